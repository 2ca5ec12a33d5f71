import { z } from "zod";

import { SETTLEMENT_TYPES } from "../receipts/settlementType.ts";
import { tariffSchema, tariffToJson } from "../receipts/tariff.ts";
import { addressSchema, bytes32Schema, uint96Schema } from "../receipts/types.ts";
import { NodeError } from "./NodeError.ts";

/** Header by which a gateway tells a node which payment a request belongs to: base64 of JSON. */
export const PAYMENT_HEADER = "x-og-payment";

const paymentSchema = z.strictObject({
  /** Token contract. */
  asset: addressSchema,
  payer: addressSchema,
  /** With `scope`, what makes the request unique (`PaymentKey`). */
  nonce: bytes32Schema,
  scope: bytes32Schema.optional(),
  /** What the client pays, wei of the asset as a decimal string; becomes the receipt's fee. With a tariff: at most. */
  feeWei: uint96Schema,
  /** Charges by use. */
  tariff: tariffSchema.optional(),
  /** How its receipt is settled. Default: "batch". */
  settlement: z.enum(SETTLEMENT_TYPES).optional(),
});

/** A payment the gateway vouches for. */
export type NodePayment = z.output<typeof paymentSchema>;

/** The header's value for a payment. */
export function encodePaymentHeader({ feeWei, tariff, ...payment }: NodePayment): string {
  const json = { ...payment, feeWei: feeWei.toString(), ...(tariff && { tariff: tariffToJson(tariff) }) };
  return Buffer.from(JSON.stringify(json)).toString("base64");
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
      `expected ${PAYMENT_HEADER}: base64 of JSON {asset, payer, nonce, scope?, feeWei, tariff?, settlement?}`,
    );
  }
  const parsed = paymentSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new NodeError(400, "invalid_payment_header", `${PAYMENT_HEADER}: ${z.prettifyError(parsed.error)}`);
}
