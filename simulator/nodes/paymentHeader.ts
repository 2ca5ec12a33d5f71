import { z } from "zod";

import { addressSchema, bytes32Schema, uint96Schema } from "../receipts/types.ts";
import { NodeError } from "./NodeError.ts";

/** Header by which a gateway tells a node which payment a request belongs to: base64 of JSON. */
export const PAYMENT_HEADER = "x-og-payment";

const paymentSchema = z.strictObject({
  /** Token contract. */
  asset: addressSchema,
  payer: addressSchema,
  /** Nonce of the ERC-3009 authorization, 32 bytes. */
  nonce: bytes32Schema,
  /** What the client pays, wei of the asset as a decimal string; becomes the receipt's fee. */
  feeWei: uint96Schema,
});

/** A payment the gateway vouches for. */
export type NodePayment = z.output<typeof paymentSchema>;

/** The header's value for a payment. */
export function encodePaymentHeader({ feeWei, ...payment }: NodePayment): string {
  return Buffer.from(JSON.stringify({ ...payment, feeWei: feeWei.toString() })).toString("base64");
}

/** @throws NodeError 400 `invalid_payment_header`. */
export function parsePaymentHeader(header: string | string[] | undefined): NodePayment {
  const text = typeof header === "string" ? Buffer.from(header, "base64").toString("utf8") : "";
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new NodeError(
      400,
      "invalid_payment_header",
      `expected ${PAYMENT_HEADER}: base64 of JSON {asset, payer, nonce, feeWei}`,
    );
  }
  const parsed = paymentSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new NodeError(400, "invalid_payment_header", `${PAYMENT_HEADER}: ${z.prettifyError(parsed.error)}`);
}
