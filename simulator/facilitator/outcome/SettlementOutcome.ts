import type { Hex } from "../../receipts/types.ts";

/**
 * What has become of a payment on chain, whoever sent the transaction.
 * unused: it can still be settled. paid: done; the transaction is not always known. lost: what it spends was spent otherwise.
 * unknown: spent, but how was not found where it was searched.
 */
export type SettlementOutcome =
  { kind: "unused" } | { kind: "paid"; transaction?: Hex } | { kind: "lost"; reason: LossReason } | { kind: "unknown" };

/** Why a payment can never be settled. */
export type LossReason =
  /** The payer has canceled the ERC-3009 authorization. */
  | "authorization_canceled"
  /** The payer has signed twice with one nonce, and the other signature was used. */
  | "nonce_spent_elsewhere"
  /** The payer has invalidated the Permit2 nonce. */
  | "nonce_invalidated"
  | "authorization_expired";
