import { decodePaymentResponseHeader } from "@x402/core/http";
import { z } from "zod";
import { VerificationError } from "./ClientError.ts";
import type { PaymentTerms } from "./SignedPayment.ts";

const responseSchema = z.looseObject({
  success: z.literal(true),
  network: z.string(),
  payer: z.string().toLowerCase().optional(),
  // of a voucher, nothing is moved: x402's servers write ""
  amount: z
    .string()
    .regex(/^[0-9]{0,78}$/)
    .optional(),
  extra: z.record(z.string(), z.unknown()).optional(),
});

/**
 * Checks what an answer says about its payment, as far as it says anything: applications keep it beside the answer.
 * @param header PAYMENT-RESPONSE.
 * @param feeWei of the receipt.
 * @returns its `extra`, which is about the channel if there is one.
 * @throws VerificationError payment_response_mismatch
 */
export function checkPaymentResponse(header: string | null, { network, payer }: PaymentTerms, feeWei: bigint): unknown {
  if (header === null) return undefined;
  const parsed = responseSchema.safeParse(decode(header));
  if (!parsed.success) throw mismatch(`is no account of a payment: ${z.prettifyError(parsed.error)}`);
  const { network: where, payer: who, amount, extra } = parsed.data;
  if (where !== network) throw mismatch(`is about ${where}, not ${network}`);
  if (who !== undefined && who !== payer) throw mismatch(`is about payments of ${who}, not of ${payer}`);
  if (amount !== undefined && amount !== "" && BigInt(amount) !== feeWei) {
    throw mismatch(`says ${amount} wei, and the receipt ${feeWei}`);
  }
  return extra;
}

function decode(header: string): unknown {
  try {
    return decodePaymentResponseHeader(header);
  } catch {
    return undefined;
  }
}

const mismatch = (what: string): VerificationError =>
  new VerificationError("payment_response_mismatch", `PAYMENT-RESPONSE ${what}`);
