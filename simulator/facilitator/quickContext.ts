import type { Hex } from "../receipts/types.ts";
import type { PayerState, PayerStates } from "./PayerStates.ts";
import type { Charge } from "./payment.ts";

/** What a check needs beside the payment. */
export interface QuickContext {
  chainId: bigint;
  facilitator: Hex;
  permit2Domain: Hex;
  states: PayerStates;
  /** Unix seconds. */
  nowSeconds: bigint;
}

/** Why a payment is refused; undefined: it is good. `unsure`: ask the x402 packages. */
export type QuickVerdict = { reason: string | undefined } | "unsure";

/** Seconds that the x402 packages want a payment to be valid for at least. */
export const MIN_VALIDITY = 6n;

/**
 * Judges a payment by the chain's state. What can be used once is always asked for anew: it may have been used since. A refusal by
 * something remembered is looked at again: the payer may have done what was missing.
 */
export async function judged(
  { kind, authorization }: Charge,
  states: PayerStates,
  judge: (state: PayerState) => QuickVerdict,
): Promise<QuickVerdict> {
  const state = await states.of(authorization, kind !== "upto/permit2");
  const verdict = judge(state);
  if (verdict === "unsure" || verdict.reason === undefined || !state.remembered) return verdict;
  return judge(await states.of(authorization, true));
}
