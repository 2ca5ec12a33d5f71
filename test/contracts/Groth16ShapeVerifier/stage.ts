import { network } from "hardhat";
import type { NetworkConnection } from "hardhat/types/network";

import { SeededRandom } from "../../../simulator/models/SeededRandom.ts";
import type { G1Point, Groth16Proof } from "../../../simulator/zkml/curve.ts";
import type { ShapeKey } from "../../../simulator/zkml/keys/ShapeKey.ts";
import { DevelopmentShapeS__factory, type DevelopmentShapeS } from "../../../typechain-types/index.ts";
import { commitmentFor, developmentKey, randomModel } from "../../support/zk.ts";
import { forgedProof } from "../../support/zkForgery.ts";
import { proofStruct } from "../../support/zkModels.ts";

/** Something that holds: a proof with what it is a proof of. */
export interface Claim {
  commitment: G1Point;
  proof: Groth16Proof;
  signals: bigint[];
}

export interface Stage {
  connection: NetworkConnection;
  verifier: DevelopmentShapeS;
  key: ShapeKey;
  /** Commitments of two models. */
  models: [G1Point, G1Point];
}

export async function createStage(): Promise<Stage> {
  const connection = await network.create();
  const [deployer] = await connection.ethers.getSigners();
  const verifier = await new DevelopmentShapeS__factory(deployer!).deploy();
  const { key } = await developmentKey();
  const models = [
    await commitmentFor(randomModel()),
    await commitmentFor(randomModel(undefined, 2)),
  ] as Stage["models"];
  return { connection, verifier, key, models };
}

/** A claim of random signals; a seed always gives the same. */
export function claimOf({ key, models }: Stage, seed: number, model: 0 | 1 = 0): Claim {
  const random = new SeededRandom(seed);
  const signals = Array.from({ length: key.requestSignals }, () => {
    const words = Array.from({ length: 7 }, () => BigInt(random.uint32()));
    return words.reduce((signal, word) => (signal << 32n) | word);
  });
  return { commitment: models[model], signals, proof: forgedProof(key, models[model], signals, seed) };
}

export const holds = ({ verifier }: Stage, { commitment, proof, signals }: Claim): Promise<boolean> =>
  verifier.verify(...commitment, proofStruct(proof), signals);

/** The words of a claim in a batch. */
export const itemOf = ({ commitment, proof, signals }: Claim): bigint[] => [
  ...commitment,
  ...proof.a,
  ...proof.b,
  ...proof.c,
  ...signals,
];

export const allHold = ({ verifier }: Stage, claims: readonly Claim[]): Promise<boolean> =>
  verifier.verifyBatch(claims.flatMap(itemOf));
