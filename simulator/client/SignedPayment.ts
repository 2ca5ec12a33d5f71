import { encodePaymentSignatureHeader } from "@x402/core/http";
import type { Network, PaymentPayload, PaymentRequirements } from "@x402/core/types";
import { z } from "zod";
import { parsePayload } from "../facilitator/payment.ts";
import { channelScope, PERMIT2_SCOPE, sessionScope, type PaymentKey } from "../receipts/requestId.ts";
import { tariffSchema, type Tariff } from "../receipts/tariff.ts";
import { bytes32Schema, uint96Schema, type Hex } from "../receipts/types.ts";
import type { Scheme } from "./PaymentLimits.ts";

export const PAYMENT_HEADER = "PAYMENT-SIGNATURE";
export const IDEMPOTENCY_HEADER = "Idempotency-Key";

/** What a request is paid by. Hexadecimal is lower-case. */
export interface PaymentTerms {
  scheme: Scheme;
  network: Network;
  asset: Hex;
  payer: Hex;
  payTo: Hex;
  /** Wei: of `exact` the price, otherwise the most that may be charged. */
  valueWei: bigint;
  /** Of the authorization; the id of a channel. */
  nonce: Hex;
  /** Unix seconds after which it cannot be charged; a voucher always can. */
  validBefore: bigint;
  /** What a request costs that is charged by use, as the gateway advertised it. */
  tariff?: Tariff;
}

/** A signed payment, as it goes into the PAYMENT-SIGNATURE header, with what is sent besides. */
export interface SignedPayment {
  header: string;
  authorization: PaymentTerms;
  /** Makes the request another one than those before it that the same authorization paid. `upto` only. */
  idempotencyKey?: string;
  /** The voucher. `batch-settlement` only. */
  voucher?: Voucher;
}

export interface Voucher {
  channelId: Hex;
  /** Charged of the channel when it was signed, wei. */
  baseWei: bigint;
  /** What the channel may be charged altogether, wei. */
  maxClaimableWei: bigint;
  /** Deposited with it, wei. */
  depositWei?: bigint;
}

const voucherSchema = z.object({
  channelConfig: z.object({ payer: z.string() }),
  voucher: z.object({ channelId: bytes32Schema, maxClaimableAmount: uint96Schema }),
  deposit: z.object({ amount: uint96Schema }).optional(),
});

/** Puts a payment that x402's client made into our terms. */
export function signedPayment(payload: PaymentPayload): SignedPayment {
  const header = encodePaymentSignatureHeader(payload);
  const tariff = tariffOf(payload.accepted);
  if (payload.accepted.scheme !== "batch-settlement") {
    const { kind, authorization } = parsePayload(payload);
    const { network, asset, payer, payTo, valueWei, nonce, validBefore } = authorization;
    const scheme = kind === "upto/permit2" ? "upto" : "exact";
    const terms = { scheme, network, asset, payer, payTo, valueWei, nonce, validBefore } as const;
    return { header, authorization: { ...terms, ...(tariff !== undefined && { tariff }) } };
  }
  const { channelConfig, voucher, deposit } = voucherSchema.parse(payload.payload);
  const { network, asset, payTo, amount } = payload.accepted;
  const maxClaimableWei = voucher.maxClaimableAmount;
  return {
    header,
    authorization: {
      scheme: "batch-settlement",
      network,
      asset: asset.toLowerCase() as Hex,
      payer: channelConfig.payer.toLowerCase() as Hex,
      payTo: payTo.toLowerCase() as Hex,
      valueWei: BigInt(amount),
      nonce: voucher.channelId,
      validBefore: NEVER,
      ...(tariff !== undefined && { tariff }),
    },
    voucher: {
      channelId: voucher.channelId,
      baseWei: maxClaimableWei - BigInt(amount),
      maxClaimableWei,
      ...(deposit !== undefined && { depositWei: deposit.amount }),
    },
  };
}

const NEVER = (1n << 64n) - 1n;

/** What makes a request unique that `payment` pays for. */
export function paymentKeyOf({ authorization, voucher, header }: SignedPayment, requestHash: () => Hex): PaymentKey {
  const { asset, payer, nonce, scheme } = authorization;
  const key = { asset, payer, nonce };
  if (voucher !== undefined) return { ...key, scope: channelScope(voucher.maxClaimableWei, requestHash()) };
  if (scheme === "upto") return { ...key, scope: sessionScope(requestHash()) };
  return isPermit2(header) ? { ...key, scope: PERMIT2_SCOPE } : key;
}

/** The tariff that an offer advertises; undefined where it has none. */
export function tariffOf({ extra }: PaymentRequirements): Tariff | undefined {
  const parsed = tariffSchema.safeParse(extra.tariff);
  return parsed.success ? parsed.data : undefined;
}

function isPermit2(header: string): boolean {
  const { payload } = JSON.parse(Buffer.from(header, "base64").toString("utf8")) as { payload: object };
  return "permit2Authorization" in payload;
}
