import type { SettlementHasher } from "../receipts/eip712.ts";
import { recoverAddress } from "../receipts/secp256k1.ts";
import { proofOf, type TensorReceipt } from "../receipts/tensors.ts";
import { Mode, type Hex } from "../receipts/types.ts";
import { tensorHash } from "../zkml/tensorHash.ts";
import type { RoyaltyTerms } from "./royalties.ts";

/** A receipt key as the NodeRegistry has it; valid in [validFrom, validUntil), unix seconds. */
export interface SignerRecord {
  operator: Hex;
  validFrom: bigint;
  validUntil: bigint;
  /** Bit per mode. */
  modes: number;
}

export interface ModelTerms extends RoyaltyTerms {
  /** Least fee of one inference, wei of OPG. */
  price: bigint;
  /** Bit per mode. */
  modes: number;
}

export interface ScreeningFacts {
  operator: Hex;
  hasher: SettlementHasher;
  /** By lower-case address; keys that are missing are not registered. */
  signers: ReadonlyMap<Hex, SignerRecord>;
  models: ReadonlyMap<Hex, ModelTerms>;
  /** Receipts served earlier cannot be posted in time any more, unix seconds. */
  earliest: bigint;
  /** Receipts served later are held back. */
  latest: bigint;
}

export type RefusalReason =
  "invalid_signature" | "invalid_signer" | "mode_not_offered" | "fee_below_price" | "expired" | "invalid_tensors";

export interface ScreenedReceipts<T extends TensorReceipt> {
  settleable: T[];
  /** For a later batch: dated ahead, without its proof yet, or by a key or for a model that the node we ask does not know, perhaps only yet. */
  heldBack: T[];
  /** Would be a fault in any batch, or can no longer be in one. */
  refused: { receipt: T; reason: RefusalReason }[];
}

/**
 * Sorts out what must not go into a batch. One wrong receipt costs the operator its stake, and its node may have signed with a key
 * that was revoked meanwhile, so the settler applies the contract's own test before it posts.
 */
export function screenReceipts<T extends TensorReceipt>(
  receipts: readonly T[],
  facts: ScreeningFacts,
): ScreenedReceipts<T> {
  const screened: ScreenedReceipts<T> = { settleable: [], heldBack: [], refused: [] };
  for (const receipt of receipts) {
    const verdict = judge(receipt, facts);
    if (verdict === "settleable" || verdict === "heldBack") screened[verdict].push(receipt);
    else screened.refused.push({ receipt, reason: verdict });
  }
  return screened;
}

function judge(signed: TensorReceipt, facts: ScreeningFacts): RefusalReason | "settleable" | "heldBack" {
  const { mode, modelId, servedAt, fee } = signed.receipt;
  const address = recoverAddress(facts.hasher.receiptDigest(signed.receipt), signed.signature);
  if (!address) return "invalid_signature";
  if (servedAt < facts.earliest) return "expired";
  const [signer, model] = [facts.signers.get(address), facts.models.get(modelId)];
  if (!signer || !model || servedAt > facts.latest) return "heldBack";
  const valid =
    signer.operator === facts.operator &&
    servedAt >= signer.validFrom &&
    servedAt < signer.validUntil &&
    offers(signer.modes, mode);
  if (!valid) return "invalid_signer";
  if (!offers(model.modes, mode)) return "mode_not_offered";
  if (fee < model.price) return "fee_below_price";
  if (!hasOwnTensors(signed)) return "invalid_tensors";
  return mode === Mode.Zkml && !proofOf(signed) ? "heldBack" : "settleable";
}

const offers = (modes: number, mode: number): boolean => ((modes >> mode) & 1) === 1;

/** Words that hash to something else than the receipt says are a fault, with or without a proof. */
const hasOwnTensors = ({ receipt, tensors }: TensorReceipt): boolean =>
  !tensors ||
  (tensorHash(tensors.inWords) === receipt.inputHash && tensorHash(tensors.outWords) === receipt.outputHash);
