import type { PaymentPayload } from "@x402/core/types";
import type { Hex } from "../../receipts/types.ts";
import type { ChannelConfig } from "./channelConfig.ts";

/** What a client pays with: a promise that grows, perhaps with money to back it, or a wish to have what is left back. */
export interface ChannelPayment {
  type: "voucher" | "deposit" | "refund";
  /** As it came: what the facilitator is given. */
  payload: PaymentPayload;
  /** The terms it is for. */
  accepted: Readonly<Record<string, unknown>>;
  config: ChannelConfig;
  channelId: Hex;
  /** Wei, of all that was ever paid through the channel. */
  maxClaimableAmount: bigint;
  signature: string;
}

const ADDRESS = /^0x[0-9a-fA-F]{40}$/;
const WORD = /^0x[0-9a-fA-F]{64}$/;
const UINT128 = /^(?:0|[1-9][0-9]{0,38})$/;
const UINT128_MAX = (1n << 128n) - 1n;

type Unknown = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Unknown => typeof value === "object" && value !== null;

/** The value of a PAYMENT-SIGNATURE header, or undefined when it is no base64 of JSON. */
export function decodePaymentHeader(header: string): unknown {
  try {
    return JSON.parse(Buffer.from(header, "base64").toString("utf8"));
  } catch {
    return undefined;
  }
}

/**
 * Reads a decoded payment; by hand, since it is on the way of every request.
 * @returns undefined when it is none of x402's batch-settlement.
 */
export function readChannelPayment(payment: unknown): ChannelPayment | undefined {
  if (!isObject(payment) || payment["x402Version"] !== 2) return undefined;
  const { accepted, payload } = payment;
  if (!isObject(accepted) || !isObject(payload)) return undefined;
  const { type, voucher } = payload;
  const config = readConfig(payload["channelConfig"]);
  if (type !== "voucher" && type !== "deposit" && type !== "refund") return undefined;
  if (config === undefined || !isObject(voucher)) return undefined;
  const { channelId, maxClaimableAmount, signature } = voucher;
  if (!matches(channelId, WORD) || !matches(maxClaimableAmount, UINT128) || typeof signature !== "string") {
    return undefined;
  }
  const max = BigInt(maxClaimableAmount);
  if (max > UINT128_MAX) return undefined;
  return {
    type,
    payload: payment as unknown as PaymentPayload,
    accepted,
    config,
    channelId: lower(channelId),
    maxClaimableAmount: max,
    signature,
  };
}

function readConfig(value: unknown): ChannelConfig | undefined {
  if (!isObject(value)) return undefined;
  const { payer, payerAuthorizer, receiver, receiverAuthorizer, token, withdrawDelay, salt } = value;
  if (!matches(payer, ADDRESS) || !matches(payerAuthorizer, ADDRESS) || !matches(receiver, ADDRESS)) return undefined;
  if (!matches(receiverAuthorizer, ADDRESS) || !matches(token, ADDRESS) || !matches(salt, WORD)) return undefined;
  if (typeof withdrawDelay !== "number" || !Number.isInteger(withdrawDelay)) return undefined;
  if (withdrawDelay < 0 || withdrawDelay >= 2 ** 40) return undefined;
  return {
    payer: lower(payer),
    payerAuthorizer: lower(payerAuthorizer),
    receiver: lower(receiver),
    receiverAuthorizer: lower(receiverAuthorizer),
    token: lower(token),
    withdrawDelay,
    salt: lower(salt),
  };
}

const matches = (value: unknown, form: RegExp): value is string => typeof value === "string" && form.test(value);
const lower = (hex: string): Hex => hex.toLowerCase() as Hex;
