import { putUint, putWord } from "../receipts/bytes.ts";
import { keccak256 } from "../receipts/keccak.ts";
import type { Hex } from "../receipts/types.ts";
import { SCALAR_FIELD } from "./field.ts";

/** What a proof is for. A proof for anything else has another public signal and fails. */
export interface ProofContext {
  chainId: bigint;
  /** The contract that acts on the proof: the verifier's msg.sender. */
  consumer: Hex;
  requestId: Hex;
  modelId: Hex;
  /** Who asked; for a receipt, its payer. */
  requester: Hex;
}

/** keccak256(abi.encode(chainId, consumer, requestId, modelId, requester)) modulo the field: the proof's `context` signal. */
export function contextSignal({ chainId, consumer, requestId, modelId, requester }: ProofContext): bigint {
  const words = Buffer.alloc(5 * 32);
  putUint(words, 0, chainId, 64);
  putWord(words, 32, consumer, 20);
  putWord(words, 64, requestId, 32);
  putWord(words, 96, modelId, 32);
  putWord(words, 128, requester, 20);
  return BigInt(keccak256(words)) % SCALAR_FIELD;
}
