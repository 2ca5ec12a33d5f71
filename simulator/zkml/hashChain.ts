import { toHex } from "../receipts/bytes.ts";
import { keccakBytes } from "../receipts/keccak.ts";
import type { Hex } from "../receipts/types.ts";

/** Entries of a model vector in one link of the chain: what a contract takes in one step of a challenge. */
export const CHUNK_ENTRIES = 128;

/**
 * h_0 = 0, h_{j+1} = keccak256(h_j ‖ chunk_j), a chunk being 128 consecutive entries of `entryBytes` each; the last may be shorter.
 * A contract can follow it chunk by chunk, over several transactions.
 */
export function hashChain(bytes: Uint8Array, entryBytes: number): Hex {
  const chunkBytes = CHUNK_ENTRIES * entryBytes;
  let hash: Uint8Array = new Uint8Array(32);
  for (let start = 0; start < bytes.length; start += chunkBytes) {
    hash = keccakBytes(Buffer.concat([hash, bytes.subarray(start, start + chunkBytes)]));
  }
  return toHex(hash);
}
