import { feeOf, type TokenUsage } from "../receipts/tariff.ts";
import type { PaymentTerms } from "./SignedPayment.ts";

/** Bounds of a receipt's fee, both of them allowed, wei. */
export interface ExpectedFee {
  leastWei: bigint;
  mostWei: bigint;
}

/**
 * What a request may cost: of a fixed price, the price; by use, what the advertised tariff makes of the tokens that the answer tells; where none is
 * advertised, anything up to what was signed. Never more than the client allows for a request.
 * @param leftWei what is left of the authorization, wei.
 * @param usage as the answer tells.
 * @param maxPaymentWei most that a request may cost.
 */
export function expectedFee(
  { scheme, valueWei, tariff }: PaymentTerms,
  leftWei: bigint,
  usage: TokenUsage | undefined,
  maxPaymentWei: bigint,
): ExpectedFee {
  if (scheme === "exact") return { leastWei: valueWei, mostWei: valueWei };
  const capWei = leftWei < maxPaymentWei ? leftWei : maxPaymentWei;
  if (tariff === undefined) return { leastWei: 0n, mostWei: capWei };
  const feeWei = feeOf(tariff, usage, leftWei);
  return { leastWei: feeWei, mostWei: feeWei < capWei ? feeWei : capWei };
}
