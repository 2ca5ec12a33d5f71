import { keccak256 } from "../receipts/keccak.ts";
import type { Hex } from "../receipts/types.ts";
import { elementsBE } from "./field.ts";

/**
 * `inputHash` and `outputHash` of receipts for a zk model, whatever their mode: keccak256 of the packed words, 32 bytes each, so that a
 * contract can compute it from a proof's public signals.
 */
export const tensorHash = (words: readonly bigint[]): Hex => keccak256(elementsBE(words));
