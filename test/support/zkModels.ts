import { concat, type ContractTransactionResponse, ethers, type Signer } from "ethers";

import { signDigest } from "../../simulator/receipts/secp256k1.ts";
import type { Hex } from "../../simulator/receipts/types.ts";
import type { G1Point, Groth16Proof } from "../../simulator/zkml/curve.ts";
import { CHUNK_ENTRIES } from "../../simulator/zkml/hashChain.ts";
import type { ShapeKey } from "../../simulator/zkml/keys/ShapeKey.ts";
import { manifestHash, type ZkManifest } from "../../simulator/zkml/manifest.ts";
import { encodeModelVector, type ModelVector, weightsHash } from "../../simulator/zkml/modelVector.ts";
import { SHAPES } from "../../simulator/zkml/shape.ts";
import { DevelopmentShapeS__factory, type DevelopmentShapeS } from "../../typechain-types/index.ts";
import type { Groth16ProofStruct } from "../../typechain-types/zkml/IShapeVerifier.ts";
import { createWorld, type World } from "./batches.ts";
import { opgWei } from "./protocol.ts";
import { commitmentFor, developmentKey, randomModel } from "./zk.ts";

/** A world whose registry has shape S as number 1, and a repository with bonds. */
export interface ZkWorld extends World {
  shapeS: DevelopmentShapeS;
  keyS: ShapeKey;
  repositoryId: bigint;
}

/** A published version that is, or can be, registered. */
export interface ZkModel {
  modelId: Hex;
  manifest: ZkManifest;
  vector: ModelVector;
  commitment: G1Point;
}

/** A proof as the bindings type it. */
export const proofStruct = ({ a, b, c }: Groth16Proof): Groth16ProofStruct => ({ a: [...a], b: [...b], c: [...c] });

export const REPOSITORY_BONDS = opgWei(1_000);

export async function createZkWorld(): Promise<ZkWorld> {
  const world = await createWorld();
  const { models, owner, modelOwner } = world;
  const { key } = await developmentKey();
  const shapeS = await new DevelopmentShapeS__factory(owner).deploy();
  await models.addShape(shapeS);
  await models.connect(modelOwner).createRepository("zk", "MIT", "");
  const repositoryId = await models.repositoryCount();
  await models.connect(modelOwner).depositZkBond(repositoryId, REPOSITORY_BONDS);
  return { ...world, shapeS, keyS: key, repositoryId };
}

export interface ZkModelOptions {
  vector?: ModelVector;
  /** Fields of the manifest, over those that follow from the vector. */
  manifest?: Partial<ZkManifest>;
  /** What is registered, for the vector's commitment. */
  commitment?: G1Point;
}

/** Publishes the version of a vector. */
export async function publishZkModel(world: ZkWorld, options: ZkModelOptions = {}): Promise<ZkModel> {
  const { models, modelOwner, repositoryId } = world;
  const vector = options.vector ?? randomModel();
  const manifest: ZkManifest = {
    onnxHash: ethers.id("onnx") as Hex,
    weightsHash: weightsHash(vector),
    shape: 1,
    inputs: 16,
    outputs: 16,
    inputScale: 10,
    outputScale: 10,
    ...options.manifest,
  };
  await models.connect(modelOwner).publishVersion(repositoryId, {
    contentHash: manifestHash(manifest),
    blobId: ethers.id("blob"),
    price: 0n,
    royaltyBps: 500,
    modes: 1,
  });
  const { versions } = await models.repository(repositoryId);
  const modelId = (await models.modelIdOf(repositoryId, versions)) as Hex;
  return { modelId, manifest, vector, commitment: options.commitment ?? (await commitmentFor(vector, SHAPES.S)) };
}

export function registerZk(
  world: ZkWorld,
  { modelId, manifest, commitment }: ZkModel,
  caller: Signer = world.modelOwner,
): Promise<ContractTransactionResponse> {
  return world.models.connect(caller).registerZk(modelId, manifest, ...commitment);
}

/** The votes of some seats, all by default, for a commitment that is registered. */
export async function zkVotes(
  world: ZkWorld,
  modelId: Hex,
  seats: readonly number[] = world.verifiers.map((_, seat) => seat),
  setId = world.setId,
): Promise<{ seats: bigint; signatures: Hex }> {
  const digest = (await world.models.zkCommitmentDigest(modelId, setId)) as Hex;
  return {
    seats: seats.reduce((bits, seat) => bits | (1n << BigInt(seat)), 0n),
    signatures: concat(seats.map((seat) => signDigest(digest, world.verifiers[seat]!.key.privateKey as Hex))) as Hex,
  };
}

export async function attestZk(
  world: ZkWorld,
  modelId: Hex,
  seats?: readonly number[],
): Promise<ContractTransactionResponse> {
  const votes = await zkVotes(world, modelId, seats);
  return world.models.connect(world.challenger).attestZk(modelId, world.setId, votes.seats, votes.signatures);
}

/** A version that can be used in mode ZKML; with a commitment that is not its vector's where one is given. */
export async function usableZkModel(world: ZkWorld, options: ZkModelOptions = {}): Promise<ZkModel> {
  const model = await publishZkModel(world, options);
  await registerZk(world, model);
  await attestZk(world, model.modelId);
  return model;
}

/** Whole chunks of a model vector, in as few steps as the gas of a transaction allows. */
export const STEP_ENTRIES = 8 * CHUNK_ENTRIES;

/** Takes the steps of a challenge from entry `from` on; the last one is returned, not awaited. */
export async function challengeZk(
  world: ZkWorld,
  model: ZkModel,
  options: { vector?: ModelVector; bases?: Uint8Array; from?: number; challenger?: Signer } = {},
): Promise<ContractTransactionResponse> {
  const { vector = model.vector, bases = world.keyS.modelBases, challenger = world.challenger } = options;
  let from = options.from ?? 0;
  for (; from + STEP_ENTRIES < vector.length; from += STEP_ENTRIES) {
    await zkStep(world, model, from, STEP_ENTRIES, { vector, bases, challenger });
  }
  return zkStep(world, model, from, vector.length - from, { vector, bases, challenger });
}

export function zkStep(
  world: ZkWorld,
  { modelId, manifest, vector: own }: ZkModel,
  from: number,
  count: number,
  options: { vector?: ModelVector; bases?: Uint8Array; challenger?: Signer } = {},
): Promise<ContractTransactionResponse> {
  const { vector = own, bases = world.keyS.modelBases, challenger = world.challenger } = options;
  const entries = encodeModelVector(vector).subarray(4 * from, 4 * (from + count));
  const points = bases.subarray(64 * from, 64 * (from + count));
  return world.models.connect(challenger).accumulateZk(modelId, manifest, from, entries, points);
}
