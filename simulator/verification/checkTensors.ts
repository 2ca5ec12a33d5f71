import { setImmediate } from "node:timers/promises";

import { toHex } from "../receipts/bytes.ts";
import { keccak256 } from "../receipts/keccak.ts";
import {
  committedProof,
  proofOf,
  type ReceiptTensors,
  type TensorProof,
  type TensorReceipt,
} from "../receipts/tensors.ts";
import { Mode, type Hex, type Receipt, type SettlementDomain } from "../receipts/types.ts";
import { contextSignal } from "../zkml/context.ts";
import { packOutputs, unpackInputs } from "../zkml/packing.ts";
import { runModel } from "../zkml/runModel.ts";
import { tensorHash } from "../zkml/tensorHash.ts";
import { verifyProof } from "../zkml/verifyProof.ts";
import { ZkRangeError } from "../zkml/ZkError.ts";
import { missingProofChallenge, proofChallenge, refuteChallenge } from "./challenge.ts";
import type { Fault } from "./Fault.ts";
import type { OpenBatch } from "./openBatch.ts";
import type { ZkModel, ZkModels } from "./ZkModels.ts";

/**
 * Checks the proofs of receipts of mode ZKML, and runs the zk models of other receipts that show their tensors. A proof takes some 0.3 s.
 * @param zk without it nothing of mode ZKML can be taken for right.
 * @returns the first fault of each kind.
 */
export async function checkTensors(
  batch: OpenBatch,
  domain: SettlementDomain,
  zk: ZkModels | undefined,
): Promise<Fault[]> {
  const faults: Fault[] = [];
  for (const [leaf, signed] of batch.receipts.entries()) {
    const fault =
      signed.receipt.mode === Mode.Zkml
        ? await checkProof(batch, leaf, signed, domain, zk)
        : await checkOutput(batch, leaf, signed, zk);
    if (fault && !faults.some(({ kind }) => kind === fault.kind)) faults.push({ ...fault, leaf });
  }
  return faults;
}

async function checkProof(
  batch: OpenBatch,
  leaf: number,
  signed: TensorReceipt,
  domain: SettlementDomain,
  zk: ZkModels | undefined,
): Promise<Fault | undefined> {
  const { receipt, tensors } = signed;
  const proof = proofOf(signed);
  if (!proof || !tensors) {
    const message = "Expected a proof beside a receipt of mode ZKML, found none";
    return { kind: "proof-missing", message, challenge: missingProofChallenge(batch, leaf) };
  }
  if (batch.positions[leaf]! % 2 === 1) {
    const message = "Expected the proof to be the sibling of its receipt, found it in another place of the tree";
    return { kind: "proof-missing", message, challenge: missingProofChallenge(batch, leaf) };
  }
  const model = await zk?.model(receipt.modelId);
  if (!model) {
    const what = zk
      ? `a model that can be used in mode ZKML, found ${receipt.modelId}`
      : "no proofs: none can be checked here";
    return { kind: "mode", message: `Expected ${what}` };
  }
  if (isItsOwn(receipt, tensors) && (await holds(model, receipt, proof, tensors, domain))) return undefined;
  const message = `Expected a proof of request ${receipt.requestId}, found one that does not hold`;
  return { kind: "proof-invalid", message, challenge: proofChallenge(batch, leaf) };
}

async function checkOutput(
  batch: OpenBatch,
  leaf: number,
  { receipt, tensors }: TensorReceipt,
  zk: ZkModels | undefined,
): Promise<Fault | undefined> {
  if (!tensors) return undefined;
  if (!isItsOwn(receipt, tensors)) {
    return { kind: "tensors", message: "Expected the tensors that the receipt's hashes are of, found others" };
  }
  const model = await zk?.model(receipt.modelId);
  if (!zk || !model) return undefined;
  const { vector } = await zk.weights(receipt.modelId);
  let outWords: readonly bigint[];
  try {
    outWords = packOutputs(model.shape, runModel(model.shape, vector, unpackInputs(model.shape, tensors.inWords)));
  } catch (error) {
    if (!(error instanceof ZkRangeError)) throw error;
    return { kind: "tensors", message: error.message };
  }
  const expected = tensorHash(outWords);
  if (expected === receipt.outputHash) return undefined;
  const message = `Expected model ${receipt.modelId} to answer with an output of hash ${expected}, found ${receipt.outputHash}`;
  return { kind: "output-refuted", message, challenge: refuteChallenge(batch, leaf, tensors) };
}

const isItsOwn = (receipt: Receipt, { inWords, outWords }: ReceiptTensors): boolean =>
  tensorHash(inWords) === receipt.inputHash && tensorHash(outWords) === receipt.outputHash;

/** A batch is checked for the vote, and again when it is on chain. */
const checked = new WeakMap<ZkModel, Map<Hex, boolean>>();
const MAX_CHECKED = 4_096;

async function holds(
  model: ZkModel,
  { requestId, modelId, payer }: Receipt,
  proof: TensorProof,
  tensors: ReceiptTensors,
  { chainId, verifyingContract }: SettlementDomain,
): Promise<boolean> {
  const context = contextSignal({ chainId, consumer: verifyingContract, requestId, modelId, requester: payer });
  const results = checked.get(model) ?? new Map<Hex, boolean>();
  checked.set(model, results);
  const id = keccak256(`${toHex(committedProof(proof, tensors))}:${context}`);
  const known = results.get(id);
  if (known !== undefined) return known;
  const isRightSize =
    tensors.outWords.length === model.shape.outputWords && tensors.inWords.length === model.shape.inputWords;
  const result =
    isRightSize && verifyProof(model.key, model.commitment, proof, [...tensors.outWords, context, ...tensors.inWords]);
  if (results.size >= MAX_CHECKED) results.clear();
  results.set(id, result);
  // let others have a turn between two pairings
  await setImmediate();
  return result;
}
