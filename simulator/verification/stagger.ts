import { keccak256 } from "../receipts/keccak.ts";
import type { Hex } from "../receipts/types.ts";

/**
 * A seat's turn to do what one verifier has to do for all: 0 goes at once, 1 when it has not been done a little later, and so on. Every
 * occasion has an order of its own, so that work and rewards fall on all alike.
 * @param occasion e.g. a batch id.
 * @param seats those that may act; who is none of them goes last.
 */
export function turnOf(occasion: Hex, seats: readonly number[], seat: number): number {
  const lot = (of: number): string => keccak256(`${occasion}/${of}`);
  if (!seats.includes(seat)) return seats.length;
  return seats.filter((other) => lot(other) < lot(seat)).length;
}
