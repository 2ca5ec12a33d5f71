import type { Network, PaymentPayload, PaymentRequirements } from "@x402/core/types";
import { z } from "zod";
import { addressSchema, bytes32Schema, type Hex } from "../receipts/types.ts";
import { PaymentError } from "./PaymentError.ts";

/** What an ERC-3009 `TransferWithAuthorization` says, with the token and the chain it is for. Hexadecimal is lower-case. */
export interface PaymentAuthorization {
  network: Network;
  asset: Hex;
  payer: Hex;
  payTo: Hex;
  /** Wei of the token. */
  valueWei: bigint;
  /** Unix seconds; valid strictly between the two. */
  validAfter: bigint;
  validBefore: bigint;
  /** 32 bytes, chosen by the payer. */
  nonce: Hex;
}

/** The part of an authorization that a token spends once. */
export type PaymentKey = Pick<PaymentAuthorization, "network" | "asset" | "payer" | "nonce">;

/** One text for a payment, however its addresses were spelled. */
export const paymentKeyText = ({ network, asset, payer, nonce }: PaymentKey): string =>
  [network, asset, payer, nonce].join("/");

/** An x402 payment together with what it was checked against. */
export interface Payment {
  payload: PaymentPayload;
  requirements: PaymentRequirements;
  authorization: PaymentAuthorization;
}

const uint256Text = z.string().regex(/^(0|[1-9][0-9]{0,77})$/, "expected a decimal integer as a string");
const addressText = z.string().regex(/^0x[0-9a-fA-F]{40}$/, "expected an address");
const uint256 = uint256Text.transform(BigInt);

const requirementsSchema = z.object({
  scheme: z.literal("exact"),
  network: z
    .string()
    .regex(/^eip155:[1-9][0-9]*$/, "expected an EVM network, eip155:<chain id>")
    .transform((network) => network as Network),
  asset: addressText,
  amount: uint256Text,
  payTo: addressText,
  maxTimeoutSeconds: z.number().positive(),
  extra: z.record(z.string(), z.unknown()),
});

/**
 * The signature has to be the 65 bytes of an ordinary account: OPG does not ask contracts (ERC-1271), and a second spelling of the
 * same signature would be a second spelling of the same payment.
 */
const payloadSchema = z.object({
  x402Version: z.literal(2),
  resource: z.looseObject({ url: z.string() }).optional(),
  accepted: requirementsSchema,
  payload: z.object({
    signature: z.string().regex(/^0x[0-9a-fA-F]{130}$/, "expected a signature of 65 bytes"),
    authorization: z.object({
      from: addressText,
      to: addressText,
      value: uint256Text,
      validAfter: uint256Text,
      validBefore: uint256Text,
      nonce: z.string().regex(/^0x[0-9a-fA-F]{64}$/, "expected 32 bytes"),
    }),
  }),
  extensions: z.record(z.string(), z.unknown()).optional(),
});

const authorizationSchema = z.object({
  from: addressSchema,
  to: addressSchema,
  value: uint256,
  validAfter: uint256,
  validBefore: uint256,
  nonce: bytes32Schema,
});

function parse<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new PaymentError("invalid_payload", `Expected ${what}: ${z.prettifyError(parsed.error)}`);
}

/**
 * Parses an x402 v2 payment of the scheme `exact` by ERC-3009, as the payer sent it; nothing is verified.
 * @throws PaymentError invalid_payload
 */
export function parsePayload(value: unknown): { payload: PaymentPayload; authorization: PaymentAuthorization } {
  const parsed = parse(payloadSchema, value, "an x402 v2 payment, exact by ERC-3009");
  const { from, to, value: valueWei, ...rest } = authorizationSchema.parse(parsed.payload.authorization);
  const { network } = parsed.accepted;
  const asset = addressSchema.parse(parsed.accepted.asset);
  return {
    payload: parsed as PaymentPayload,
    authorization: { network, asset, payer: from, payTo: to, valueWei, ...rest },
  };
}

/**
 * Parses a payment and the requirements a seller wants it checked against.
 * @throws PaymentError invalid_payload, also when the two are for different tokens: the payment's key could not be told.
 */
export function parsePayment(payload: unknown, requirements: unknown): Payment {
  const payment = {
    ...parsePayload(payload),
    requirements: parse(requirementsSchema, requirements, "exact requirements"),
  };
  const { asset, network } = payment.authorization;
  if (payment.requirements.asset.toLowerCase() !== asset || payment.requirements.network !== network) {
    throw new PaymentError(
      "invalid_payload",
      `Expected a payment in ${payment.requirements.asset} on ${payment.requirements.network}, found ${asset} on ${network}`,
    );
  }
  return payment;
}
