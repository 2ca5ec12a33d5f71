import { z } from "zod";
import { delay } from "../chain/delay.ts";
import type { ReceiptTensors, TensorProof } from "../receipts/tensors.ts";
import type { SettlementDomain, SignedReceipt } from "../receipts/types.ts";
import { Mode } from "../receipts/types.ts";
import { contextSignal } from "../zkml/context.ts";
import { keyDigest } from "../zkml/keys/ShapeKey.ts";
import { type ProofAnswer, proofAnswerSchema } from "../zkml/proofJson.ts";
import { tensorHash } from "../zkml/tensorHash.ts";
import { verifyProof } from "../zkml/verifyProof.ts";
import type { ZkDirectory } from "../zkml/ZkDirectory.ts";
import { ProofError, ProofTimeoutError } from "./ClientError.ts";

export interface ProofRequest {
  /** Of the gateway, with "/v1". */
  baseUrl: string;
  fetch: typeof fetch;
  domain: SettlementDomain;
  directory: ZkDirectory;
  timeoutMs: number;
}

export type ProvenTensors = ReceiptTensors & { proof: TensorProof };

const LONGEST_PAUSE_MS = 5_000;
const FIRST_PAUSE_MS = 100;

/**
 * Waits for the proof of an answer, and checks it here: against the model's commitment on chain, and for this very request.
 * @throws ProofError, ProofTimeoutError
 */
export async function awaitProof(signed: SignedReceipt, options: ProofRequest): Promise<ProvenTensors> {
  const { requestId, mode } = signed.receipt;
  if (mode !== Mode.Zkml) throw new ProofError("proof_mismatch", `Expected a receipt of mode ZKML, found mode ${mode}`);
  const deadlineMs = performance.now() + options.timeoutMs;
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
    const answer = await fetchProof(`${options.baseUrl}/proofs/${requestId}`, options.fetch);
    if (answer?.status === "failed") throw new ProofError("proof_failed", `The node cannot prove it: ${answer.reason}`);
    if (answer?.status === "proven") return checkProof(signed, answer, options);
    const leftMs = deadlineMs - performance.now();
    if (leftMs <= 0) throw new ProofTimeoutError(`No proof of ${requestId} after ${options.timeoutMs} ms`);
    await delay(Math.min(pauseMs, leftMs));
  }
}

/**
 * Checks a proof against the receipt it is for, with nothing taken from whoever sent it: the model's commitment and the digest of the key are
 * the chain's.
 * @throws ProofError
 */
export async function checkProof(
  { receipt }: SignedReceipt,
  answer: Extract<ProofAnswer, { status: "proven" }>,
  { domain, directory }: Pick<ProofRequest, "domain" | "directory">,
): Promise<ProvenTensors> {
  const { tensors, verifyingKey } = answer;
  const { proof, inWords, outWords } = tensors;
  const { modelId, requestId, payer, inputHash, outputHash } = receipt;
  if (tensorHash(inWords) !== inputHash || tensorHash(outWords) !== outputHash) {
    throw new ProofError("proof_mismatch", "The proof is about other tensors than the receipt");
  }
  const { commitment, shape: number } = await directory.registration(modelId);
  const { keyHash, shape } = await directory.shape(number);
  if (keyDigest(verifyingKey) !== keyHash) {
    throw new ProofError("verifying_key_mismatch", `The proof's key is not the one of shape ${number} on chain`);
  }
  const { chainId, verifyingContract: consumer } = domain;
  const context = contextSignal({ chainId, consumer, requestId, modelId, requester: payer });
  const fits = inWords.length === shape.inputWords && outWords.length === shape.outputWords;
  if (!fits || !verifyProof(verifyingKey, commitment, proof, [...outWords, context, ...inWords])) {
    throw new ProofError("proof_invalid", `The proof does not show that version ${modelId} gave this answer`);
  }
  return tensors;
}

/** undefined while it can be asked again. */
async function fetchProof(url: string, send: typeof fetch): Promise<ProofAnswer | undefined> {
  const response = await send(url);
  const body: unknown = await response.json().catch(() => undefined);
  if (response.status === 429 || response.status >= 500) return undefined;
  if (!response.ok) {
    throw new ProofError(
      "proof_failed",
      `The gateway answered with status ${response.status}: ${JSON.stringify(body)}`,
    );
  }
  const parsed = proofAnswerSchema.safeParse(body);
  if (parsed.success) return parsed.data;
  throw new ProofError("proof_unreadable", `The answer is not a proof: ${z.prettifyError(parsed.error)}`);
}
