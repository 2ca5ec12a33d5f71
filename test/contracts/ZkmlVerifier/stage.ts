import { ethers } from "ethers";

import type { Hex } from "../../../simulator/receipts/types.ts";
import { contextSignal } from "../../../simulator/zkml/context.ts";
import type { G1Point, Groth16Proof } from "../../../simulator/zkml/curve.ts";
import type { ProvenAnswerStruct } from "../../../typechain-types/zkml/ZkmlVerifier.ts";
import { hexAddress } from "../../support/batches.ts";
import { forgedProof } from "../../support/zkForgery.ts";
import { createZkWorld, proofStruct, usableZkModel, type ZkModel, type ZkWorld } from "../../support/zkModels.ts";
import { randomModel } from "../../support/zk.ts";

/** Two usable models, and the account whose calls act on the proofs. */
export interface Stage extends ZkWorld {
  zkModels: [ZkModel, ZkModel];
  consumer: Hex;
}

/** An answer with a proof that holds, and what the verifier takes. */
export interface Answer {
  modelId: Hex;
  requestId: Hex;
  requester: Hex;
  inWords: bigint[];
  outWords: bigint[];
  proof: Groth16Proof;
}

export async function createStage(): Promise<Stage> {
  const world = await createZkWorld();
  const zkModels = [await usableZkModel(world), await usableZkModel(world, { vector: randomModel(undefined, 2) })] as [
    ZkModel,
    ZkModel,
  ];
  return { ...world, zkModels, consumer: await hexAddress(world.challenger) };
}

export interface AnswerOptions {
  model?: 0 | 1;
  consumer?: Hex;
  chainId?: bigint;
  /** What the proof is for, where it isn't what the answer says. */
  proven?: Partial<Omit<Answer, "proof">> & { commitment?: G1Point };
}

/** An answer to request `number`. */
export function answerTo(stage: Stage, number: number, options: AnswerOptions = {}): Answer {
  const { modelId, commitment } = stage.zkModels[options.model ?? 0];
  const answer = {
    modelId,
    requestId: ethers.id(`request ${number}`) as Hex,
    requester: stage.payer,
    inWords: [BigInt(number) + 1n],
    outWords: [BigInt(number) + 2n, BigInt(number) + 3n],
  };
  const proven = { commitment, ...answer, ...options.proven };
  const context = contextSignal({
    chainId: options.chainId ?? 31337n,
    consumer: options.consumer ?? stage.consumer,
    requestId: proven.requestId,
    modelId: proven.modelId,
    requester: proven.requester,
  });
  const signals = [...proven.outWords, context, ...proven.inWords];
  return { ...answer, proof: forgedProof(stage.keyS, proven.commitment, signals, number) };
}

export const structOf = (answer: Answer): ProvenAnswerStruct => ({ ...answer, proof: proofStruct(answer.proof) });

/** What the consumer is told about an answer. */
export function isProven({ zkml, challenger }: Stage, answer: Answer): Promise<boolean> {
  const { modelId, requestId, requester, inWords, outWords, proof } = answer;
  return zkml.connect(challenger).verify(modelId, requestId, requester, inWords, outWords, proofStruct(proof));
}

export const areProven = ({ zkml, challenger }: Stage, answers: readonly Answer[]): Promise<boolean> =>
  zkml.connect(challenger).verifyBatch(answers.map(structOf));
