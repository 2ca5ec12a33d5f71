import { EncodingError } from "../receipts/bytes.ts";
import { keccak256 } from "../receipts/keccak.ts";
import { UINT96_MAX, type Hex, type SignedReceipt } from "../receipts/types.ts";

/** Who gets how much of a model's fees. */
export interface RoyaltyTerms {
  /** Who receives the royalty: `royaltyTo` of the model's version. */
  owner: Hex;
  /** Basis points of the fee. */
  royaltyBps: number;
}

export interface Royalty {
  owner: Hex;
  /** Wei of OPG. */
  amount: bigint;
}

const BPS = 10_000n;

/** The terms of a model in a batch are missing. */
export class UnknownModelError extends Error {
  override readonly name = "UnknownModelError";
  readonly code = "unknown_model";
}

/**
 * What a batch owes model owners: for each model its fees times its rate, rounded down once; owners in ascending order, each once;
 * nothing for those who get nothing. Verifiers compute the same and compare.
 * @throws UnknownModelError when a receipt's model is not in `models`.
 */
export function royaltiesOf(receipts: readonly SignedReceipt[], models: ReadonlyMap<Hex, RoyaltyTerms>): Royalty[] {
  const feesByModel = new Map<Hex, bigint>();
  for (const { receipt } of receipts) {
    feesByModel.set(receipt.modelId, (feesByModel.get(receipt.modelId) ?? 0n) + receipt.fee);
  }
  const amounts = new Map<Hex, bigint>();
  for (const [modelId, fees] of feesByModel) {
    const terms = models.get(modelId);
    if (!terms) throw new UnknownModelError(`Expected the royalty terms of model ${modelId}, found none`);
    const amount = (fees * BigInt(terms.royaltyBps)) / BPS;
    if (amount > 0n) amounts.set(terms.owner, (amounts.get(terms.owner) ?? 0n) + amount);
  }
  return [...amounts].map(([owner, amount]) => ({ owner, amount })).sort((a, b) => (a.owner < b.owner ? -1 : 1));
}

/** One word of the contract's list: owner (160 bits) ‖ amount (96 bits). */
export function packRoyalty({ owner, amount }: Royalty): bigint {
  if (amount < 0n || amount > UINT96_MAX) throw new EncodingError(`Expected a uint96, found ${amount}`);
  return (BigInt(owner) << 96n) | amount;
}

export const unpackRoyalty = (word: bigint): Royalty => ({
  owner: `0x${(word >> 96n).toString(16).padStart(40, "0")}`,
  amount: word & UINT96_MAX,
});

/** `royaltiesHash` of a header: keccak256 of the words, of nothing when there are none. */
export function royaltiesHash(words: readonly bigint[]): Hex {
  const bytes = Buffer.alloc(32 * words.length);
  words.forEach((word, i) => bytes.write(word.toString(16).padStart(64, "0"), 32 * i, "hex"));
  return keccak256(bytes);
}
