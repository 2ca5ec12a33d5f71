import { feeOf, type TokenUsage } from "../receipts/tariff.ts";
import type { OpenPayment } from "./Payer.ts";

/** Bounds of a receipt's fee, both of them allowed, wei. */
export interface ExpectedFee {
  leastWei: bigint;
  mostWei: bigint;
}

/** By how much a price that was told for an earlier request may have risen since, percent. */
const DRIFT_PERCENT = 10n;

/**
 * What a request may cost: of a fixed price, the price; by use, what the advertised tariff makes of the tokens that the answer tells; where none is
 * advertised, anything up to what was signed. Never more than the client allows for a request.
 * @param usage as the answer tells.
 */
export function expectedFee(
  { authorization: { scheme, valueWei, tariff }, reused }: OpenPayment,
  usage: TokenUsage | undefined,
  {
    leftWei,
    maxPaymentWei,
  }: {
    /** Of the authorization, wei. */
    leftWei: bigint;
    /** Most that any request may cost, wei. */
    maxPaymentWei: bigint;
  },
): ExpectedFee {
  if (scheme === "exact") return { leastWei: valueWei, mostWei: valueWei };
  const capWei = min(leftWei, maxPaymentWei);
  if (tariff === undefined) return { leastWei: 0n, mostWei: capWei };
  const feeWei = feeOf(tariff, usage, leftWei);
  if (reused === true) return { leastWei: 0n, mostWei: min((feeWei * (100n + DRIFT_PERCENT)) / 100n, capWei) };
  return { leastWei: feeWei, mostWei: min(feeWei, capWei) };
}

const min = (a: bigint, b: bigint): bigint => (a < b ? a : b);
