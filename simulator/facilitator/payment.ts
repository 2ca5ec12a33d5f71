import type { Network, PaymentPayload, PaymentRequirements } from "@x402/core/types";
import { toBeHex } from "ethers";
import { z } from "zod";
import { addressSchema, bytes32Schema, type Hex } from "../receipts/types.ts";
import { PaymentError } from "./PaymentError.ts";
import { PERMIT2 } from "./permit2.ts";

/** What a job does on chain. The first three charge a payer; the others move money into, within and out of channels. */
export type SettlementKind =
  | "exact/eip3009"
  | "exact/permit2"
  | "upto/permit2"
  | "channel/deposit"
  | "channel/claim"
  | "channel/settle"
  | "channel/refund";

/**
 * What the payer signed, with the token and the chain it is for: an ERC-3009 `TransferWithAuthorization` or a Permit2
 * `PermitWitnessTransferFrom`. Hexadecimal is lower-case.
 */
export interface PaymentAuthorization {
  /** Who keeps the nonces: the token, or Permit2. */
  method: "eip3009" | "permit2";
  network: Network;
  asset: Hex;
  payer: Hex;
  payTo: Hex;
  /** Wei of the token; with `upto`, the most that may be charged. */
  valueWei: bigint;
  /** Unix seconds. ERC-3009: valid strictly between the two. Permit2: from the first to the last second. */
  validAfter: bigint;
  validBefore: bigint;
  /** 32 bytes, chosen by the payer. */
  nonce: Hex;
  /** Who gets called by the payer's leave: the x402 proxy. Permit2 only. */
  spender?: Hex;
  /** The only account that may settle it. `upto` only. */
  facilitator?: Hex;
}

/** The part of an authorization that is spent once. */
export type PaymentKey = Pick<PaymentAuthorization, "network" | "asset" | "payer" | "nonce"> & {
  method?: PaymentAuthorization["method"];
};

/** One text for a payment, however its addresses were spelled. Permit2's nonces are the payer's for all tokens, a token's for it alone. */
export const paymentKeyText = ({ method, network, asset, payer, nonce }: PaymentKey): string =>
  [network, method === "permit2" ? PERMIT2 : asset, payer, nonce].join("/");

/** Something to settle, with what it was checked against. */
export interface Payment {
  kind: SettlementKind;
  /** What it spends. */
  key: string;
  network: Network;
  asset: Hex;
  /** Who pays; for a claim over many channels, who receives. */
  payer: Hex;
  /** Wei that settling moves. */
  amountWei: bigint;
  /** Unix seconds after which the chain refuses it. */
  expiresAt: bigint;
  /** The only account that can settle it. */
  facilitator?: Hex;
  /** Everything else that two payments with one key must agree in to be the same. */
  terms: string;
  payload: PaymentPayload;
  requirements: PaymentRequirements;
}

/** A payment that charges its payer for something served. */
export interface Charge extends Payment {
  kind: "exact/eip3009" | "exact/permit2" | "upto/permit2";
  authorization: PaymentAuthorization;
}

export const uint256Text = z.string().regex(/^(0|[1-9][0-9]{0,77})$/, "expected a decimal integer as a string");
export const addressText = z.string().regex(/^0x[0-9a-fA-F]{40}$/, "expected an address");
export const networkText = z
  .string()
  .regex(/^eip155:[1-9][0-9]*$/, "expected an EVM network, eip155:<chain id>")
  .transform((network) => network as Network);
const uint256 = uint256Text.transform(BigInt);

/** Terms of any scheme. */
export const requirementsSchema = z.object({
  scheme: z.enum(["exact", "upto", "batch-settlement"]),
  network: networkText,
  asset: addressText,
  amount: uint256Text,
  payTo: addressText,
  /** 0 in what the packages ask for on behalf of a receiver. */
  maxTimeoutSeconds: z.number().nonnegative(),
  extra: z.record(z.string(), z.unknown()),
});

/** What every x402 v2 payment is wrapped in. */
export const envelopeFields = {
  x402Version: z.literal(2),
  resource: z.looseObject({ url: z.string() }).optional(),
  extensions: z.record(z.string(), z.unknown()).optional(),
};

/**
 * The signature has to be the 65 bytes of an ordinary account: OPG does not ask contracts (ERC-1271), and a second spelling of the
 * same signature would be a second spelling of the same payment.
 */
const eip3009Schema = z.object({
  signature: z.string().regex(/^0x[0-9a-fA-F]{130}$/, "expected a signature of 65 bytes"),
  authorization: z.object({
    from: addressText,
    to: addressText,
    value: uint256Text,
    validAfter: uint256Text,
    validBefore: uint256Text,
    nonce: z.string().regex(/^0x[0-9a-fA-F]{64}$/, "expected 32 bytes"),
  }),
});

/** Permit2 asks contracts, whose signatures have any length. */
const permit2Schema = z.object({
  signature: z.string().regex(/^0x(?:[0-9a-fA-F]{2}){65,2048}$/, "expected a signature of 65 bytes or more"),
  permit2Authorization: z.object({
    from: addressText,
    permitted: z.object({ token: addressText, amount: uint256Text }),
    spender: addressText,
    nonce: uint256Text,
    deadline: uint256Text,
    witness: z.object({ to: addressText, facilitator: addressText.optional(), validAfter: uint256Text }),
  }),
});

/** The scheme comes from the terms the payer accepted, the method from what the payload holds. */
const payloadSchema = z.object({
  ...envelopeFields,
  accepted: requirementsSchema,
  payload: z.record(z.string(), z.unknown()),
});

const eip3009Fields = z.object({
  from: addressSchema,
  to: addressSchema,
  value: uint256,
  validAfter: uint256,
  validBefore: uint256,
  nonce: bytes32Schema,
});

/** @throws PaymentError invalid_payload */
export function parseAs<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new PaymentError("invalid_payload", `Expected ${what}: ${z.prettifyError(parsed.error)}`);
}

const WHAT = "an x402 v2 payment, exact or upto";

/**
 * Parses an x402 v2 payment that charges its payer (`exact` by ERC-3009 or Permit2, `upto`), as the payer sent it; nothing is verified.
 * @throws PaymentError invalid_payload
 */
export function parsePayload(value: unknown): {
  kind: Charge["kind"];
  payload: PaymentPayload;
  authorization: PaymentAuthorization;
} {
  const parsed = parseAs(payloadSchema, value, WHAT);
  const { scheme, network } = parsed.accepted;
  if ("permit2Authorization" in parsed.payload) {
    const payload = parseAs(permit2Schema, parsed.payload, WHAT);
    const authorization = permit2Terms(network, payload);
    if (scheme === "batch-settlement" || (scheme === "upto") !== (authorization.facilitator !== undefined)) {
      throw new PaymentError("invalid_payload", `Expected ${WHAT}: found a witness of another scheme than "${scheme}"`);
    }
    const kind = `${scheme}/permit2` as const;
    return { kind, payload: { ...parsed, payload } as PaymentPayload, authorization };
  }
  if (scheme !== "exact") throw new PaymentError("invalid_payload", `Expected ${WHAT}: "${scheme}" is paid by Permit2`);
  const payload = parseAs(eip3009Schema, parsed.payload, WHAT);
  const { from, to, value: valueWei, ...rest } = eip3009Fields.parse(payload.authorization);
  const asset = parsed.accepted.asset.toLowerCase() as Hex;
  return {
    kind: "exact/eip3009",
    payload: { ...parsed, payload } as PaymentPayload,
    authorization: { method: "eip3009", network, asset, payer: from, payTo: to, valueWei, ...rest },
  };
}

function permit2Terms(
  network: Network,
  { permit2Authorization: signed }: z.infer<typeof permit2Schema>,
): PaymentAuthorization {
  const lower = (text: string): Hex => text.toLowerCase() as Hex;
  const nonce = BigInt(signed.nonce);
  if (nonce >> 256n !== 0n) throw new PaymentError("invalid_payload", "Expected a nonce below 2^256");
  return {
    method: "permit2",
    network,
    asset: lower(signed.permitted.token),
    payer: lower(signed.from),
    payTo: lower(signed.witness.to),
    valueWei: BigInt(signed.permitted.amount),
    validAfter: BigInt(signed.witness.validAfter),
    validBefore: BigInt(signed.deadline),
    nonce: toBeHex(nonce, 32) as Hex,
    spender: lower(signed.spender),
    ...(signed.witness.facilitator !== undefined && { facilitator: lower(signed.witness.facilitator) }),
  };
}

/**
 * Parses a payment that charges its payer, and the requirements a seller wants it checked against.
 * @param amountWei what is charged in the end. Default: with `upto` what the requirements say, otherwise what was signed.
 * @throws PaymentError invalid_payload, also when the two are for different tokens: the payment's key could not be told.
 */
export function parseCharge(payload: unknown, requirements: unknown, amountWei?: bigint): Charge {
  const parsed = parsePayload(payload);
  const { kind, authorization } = parsed;
  const terms = parseAs(requirementsSchema, requirements, "x402 v2 requirements");
  const { asset, network, payTo, valueWei, validAfter, validBefore } = authorization;
  if (terms.asset.toLowerCase() !== asset || terms.network !== network) {
    throw new PaymentError(
      "invalid_payload",
      `Expected a payment in ${terms.asset} on ${terms.network}, found ${asset} on ${network}`,
    );
  }
  const upTo = kind === "upto/permit2";
  const charged = amountWei ?? (upTo ? BigInt(terms.amount) : valueWei);
  return {
    kind,
    key: paymentKeyText(authorization),
    network,
    asset,
    payer: authorization.payer,
    amountWei: charged,
    expiresAt: validBefore,
    ...(authorization.facilitator !== undefined && { facilitator: authorization.facilitator }),
    terms: [
      kind,
      asset,
      payTo,
      valueWei,
      validAfter,
      validBefore,
      upTo ? authorization.facilitator : terms.amount,
    ].join("/"),
    payload: parsed.payload,
    requirements: terms,
    authorization,
  };
}
