import type { Network, PaymentPayload, PaymentRequirements } from "@x402/core/types";
import { BATCH_SETTLEMENT_ADDRESS, BATCH_SETTLEMENT_DOMAIN, claimBatchTypes } from "@x402/evm";
import { AbiCoder, keccak256, toBeHex, TypedDataEncoder } from "ethers";
import { z } from "zod";
import { addressSchema, bytes32Schema, type Hex } from "../receipts/types.ts";
import {
  envelopeFields,
  parseAs,
  paymentKeyText,
  requirementsSchema,
  uint256Text,
  type Payment,
  type PaymentAuthorization,
} from "./payment.ts";
import { PaymentError } from "./PaymentError.ts";

const bytesSchema = z
  .string()
  .regex(/^0x(?:[0-9a-fA-F]{2}){0,4096}$/, "expected bytes as 0x-prefixed hexadecimal")
  .transform((text) => text.toLowerCase() as Hex);
const UINT128_MAX = (1n << 128n) - 1n;
const uint128Text = uint256Text.refine((text) => BigInt(text) <= UINT128_MAX, "expected less than 2^128");

export const channelConfigSchema = z.object({
  payer: addressSchema,
  payerAuthorizer: addressSchema,
  receiver: addressSchema,
  receiverAuthorizer: addressSchema,
  token: addressSchema,
  /** Seconds. */
  withdrawDelay: z
    .int()
    .min(0)
    .max(2 ** 40 - 1),
  salt: bytes32Schema,
});

/** Who may pay whom through a channel; its EIP-712 hash is the channel's id. */
export type ChannelConfig = z.infer<typeof channelConfigSchema>;

const claimSchema = z.object({
  voucher: z.object({ channel: channelConfigSchema, maxClaimableAmount: uint128Text }),
  signature: bytesSchema,
  totalClaimed: uint128Text,
});

/** A voucher of a channel, and how much of it to take: all that was ever taken from the channel, so that a repetition takes nothing. */
export type VoucherClaim = z.infer<typeof claimSchema>;

/** What one transaction can claim, so that it stays well below the gas of a block. */
export const MAX_CLAIMS = 100;
const claimsSchema = z.array(claimSchema).max(MAX_CLAIMS);

const voucherSchema = z.object({ channelId: bytes32Schema, maxClaimableAmount: uint128Text, signature: bytesSchema });

const depositAuthorizationSchema = z.union([
  z.object({
    erc3009Authorization: z.object({
      validAfter: uint256Text,
      validBefore: uint256Text,
      salt: bytes32Schema,
      signature: bytesSchema,
    }),
  }),
  z.object({
    permit2Authorization: z.object({
      from: addressSchema,
      permitted: z.object({ token: addressSchema, amount: uint256Text }),
      spender: addressSchema,
      nonce: uint256Text,
      deadline: uint256Text,
      witness: z.object({ channelId: bytes32Schema }),
      signature: bytesSchema,
    }),
  }),
]);

const actionSchema = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("deposit"),
    channelConfig: channelConfigSchema,
    voucher: voucherSchema,
    deposit: z.object({ amount: uint128Text, authorization: depositAuthorizationSchema }),
  }),
  z.object({
    type: z.literal("claim"),
    claims: claimsSchema.min(1),
    claimAuthorizerSignature: bytesSchema.optional(),
    /** Ours: moves what the receiver has claimed to it in the same transaction. */
    settle: z.object({ receiver: addressSchema, token: addressSchema }).optional(),
  }),
  z.object({
    type: z.literal("settle"),
    receiver: addressSchema,
    token: addressSchema,
    /** Ours: what the receiver had ever claimed when it was asked for. Wei. */
    totalClaimed: uint128Text.default("0"),
  }),
  z.object({
    type: z.literal("refund"),
    channelConfig: channelConfigSchema,
    voucher: voucherSchema,
    amount: uint128Text,
    refundNonce: uint256Text,
    claims: claimsSchema,
    refundAuthorizerSignature: bytesSchema.optional(),
    claimAuthorizerSignature: bytesSchema.optional(),
  }),
]);

/** What a facilitator does with channels: the payloads of `@x402/evm`'s batch-settlement scheme. */
export type ChannelAction = z.infer<typeof actionSchema>;
export type ChannelDeposit = Extract<ChannelAction, { type: "deposit" }>;
export type ChannelClaim = Extract<ChannelAction, { type: "claim" }>;
export type ChannelRefund = Extract<ChannelAction, { type: "refund" }>;

export interface ChannelPayment extends Payment {
  kind: "channel/deposit" | "channel/claim" | "channel/settle" | "channel/refund";
  action: ChannelAction;
}

const payloadSchema = z.object({
  ...envelopeFields,
  accepted: requirementsSchema,
  payload: z.record(z.string(), z.unknown()),
});

/**
 * Parses what a seller asks a facilitator to do with channels. Nothing is verified.
 * @throws PaymentError invalid_payload
 */
export function parseChannelPayment(payload: unknown, requirements: unknown): ChannelPayment {
  const parsed = parseAs(payloadSchema, payload, "an x402 v2 payment, batch-settlement");
  const action = parseAs(actionSchema, parsed.payload, "a deposit, claim, settlement or refund of batch-settlement");
  const terms = parseAs(requirementsSchema, requirements, "x402 v2 requirements");
  if (parsed.accepted.scheme !== "batch-settlement" || parsed.accepted.network !== terms.network) {
    throw new PaymentError("invalid_payload", `Expected a payment by batch-settlement on ${terms.network}`);
  }
  const { network } = terms;
  const common = { network, payload: { ...parsed, payload: action } as PaymentPayload, requirements: terms, action };
  const asset = terms.asset.toLowerCase() as Hex;
  switch (action.type) {
    case "deposit": {
      const authorization = depositAuthorization(network, action);
      return {
        ...common,
        kind: "channel/deposit",
        key: paymentKeyText(authorization),
        asset: authorization.asset,
        payer: authorization.payer,
        amountWei: authorization.valueWei,
        expiresAt: authorization.validBefore,
        terms: [
          action.voucher.channelId,
          action.deposit.amount,
          authorization.validAfter,
          authorization.validBefore,
        ].join("/"),
      };
    }
    case "claim": {
      const { settle } = action;
      const suffix = settle === undefined ? [] : [settle.receiver, settle.token];
      return {
        ...common,
        kind: "channel/claim",
        key: [network, "claims", claimsDigest(network, action.claims), ...suffix].join("/"),
        asset,
        payer: action.claims[0]!.voucher.channel.receiver,
        amountWei: action.claims.reduce((sum, { totalClaimed }) => sum + BigInt(totalClaimed), 0n),
        expiresAt: NEVER,
        terms: "",
      };
    }
    case "settle":
      return {
        ...common,
        kind: "channel/settle",
        key: [network, "settle", action.receiver, action.token, action.totalClaimed].join("/"),
        asset: action.token,
        payer: action.receiver,
        amountWei: BigInt(action.totalClaimed),
        expiresAt: NEVER,
        terms: "",
      };
    case "refund": {
      const channelId = channelIdOf(network, action.channelConfig);
      return {
        ...common,
        kind: "channel/refund",
        key: [network, "refund", channelId, action.refundNonce].join("/"),
        asset: action.channelConfig.token,
        payer: action.channelConfig.payer,
        amountWei: BigInt(action.amount),
        expiresAt: NEVER,
        terms: [action.amount, claimsDigest(network, action.claims)].join("/"),
      };
    }
  }
}

const voucherPayloadSchema = z.object({
  type: z.enum(["voucher", "refund"]),
  channelConfig: channelConfigSchema,
  voucher: voucherSchema,
  amount: uint128Text.optional(),
});

/** Whether a payment pays, or asks its money back, by a voucher: it is verified, and nothing of it goes on chain. */
export const isVoucher = (payload: PaymentPayload, requirements: PaymentRequirements): boolean =>
  requirements.scheme === "batch-settlement" && ["voucher", "refund"].includes(String(payload.payload?.type));

/** @throws PaymentError invalid_payload */
export function parseVoucher(
  payload: unknown,
  requirements: unknown,
): { payload: PaymentPayload; requirements: PaymentRequirements } {
  const parsed = parseAs(payloadSchema, payload, "an x402 v2 payment, batch-settlement");
  const voucher = parseAs(voucherPayloadSchema, parsed.payload, "a voucher of batch-settlement");
  return {
    payload: { ...parsed, payload: voucher } as PaymentPayload,
    requirements: parseAs(requirementsSchema, requirements, "x402 v2 requirements"),
  };
}

/** Claims and refunds have no deadline. */
const NEVER = (1n << 256n) - 1n;

/** What a deposit spends: the same authorizations as payments, made out to a collector. */
export function depositAuthorization(
  network: Network,
  { channelConfig, deposit, voucher }: ChannelDeposit,
): PaymentAuthorization {
  const valueWei = BigInt(deposit.amount);
  if ("erc3009Authorization" in deposit.authorization) {
    const { validAfter, validBefore, salt } = deposit.authorization.erc3009Authorization;
    return {
      method: "eip3009",
      network,
      asset: channelConfig.token,
      payer: channelConfig.payer,
      payTo: voucher.channelId,
      valueWei,
      validAfter: BigInt(validAfter),
      validBefore: BigInt(validBefore),
      nonce: keccak256(AbiCoder.defaultAbiCoder().encode(["bytes32", "uint256"], [voucher.channelId, salt])) as Hex,
    };
  }
  const permit = deposit.authorization.permit2Authorization;
  return {
    method: "permit2",
    network,
    asset: permit.permitted.token,
    payer: permit.from,
    payTo: voucher.channelId,
    valueWei,
    validAfter: 0n,
    validBefore: BigInt(permit.deadline),
    nonce: toBeHex(BigInt(permit.nonce), 32) as Hex,
    spender: permit.spender,
  };
}

const chainIdOf = (network: Network): bigint => BigInt(network.slice("eip155:".length));

/** EIP-712 domain of the contract that holds all channels. */
export const channelDomain = (
  network: Network,
): { name: string; version: string; chainId: bigint; verifyingContract: string } => ({
  ...BATCH_SETTLEMENT_DOMAIN,
  chainId: chainIdOf(network),
  verifyingContract: BATCH_SETTLEMENT_ADDRESS,
});

const CONFIG_TYPES = {
  ChannelConfig: [
    { name: "payer", type: "address" },
    { name: "payerAuthorizer", type: "address" },
    { name: "receiver", type: "address" },
    { name: "receiverAuthorizer", type: "address" },
    { name: "token", type: "address" },
    { name: "withdrawDelay", type: "uint40" },
    { name: "salt", type: "bytes32" },
  ],
};

export const channelIdOf = (network: Network, config: ChannelConfig): Hex =>
  TypedDataEncoder.hash(channelDomain(network), CONFIG_TYPES, config) as Hex;

/** The message a receiver's authorizer signs to claim. */
export const claimBatchMessage = (
  network: Network,
  claims: readonly VoucherClaim[],
): { claims: { channelId: Hex; maxClaimableAmount: bigint; totalClaimed: bigint }[] } => ({
  claims: claims.map(({ voucher, totalClaimed }) => ({
    channelId: channelIdOf(network, voucher.channel),
    maxClaimableAmount: BigInt(voucher.maxClaimableAmount),
    totalClaimed: BigInt(totalClaimed),
  })),
});

export const CLAIM_BATCH_TYPES = claimBatchTypes as unknown as Record<string, { name: string; type: string }[]>;

const claimsDigest = (network: Network, claims: readonly VoucherClaim[]): Hex =>
  TypedDataEncoder.hash(channelDomain(network), CLAIM_BATCH_TYPES, claimBatchMessage(network, claims)) as Hex;
