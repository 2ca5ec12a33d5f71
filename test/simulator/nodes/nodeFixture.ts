import { randomBytes } from "node:crypto";

import OpenAI from "openai";
import { pino } from "pino";

import type { InferenceNode, InferenceNodeOptions } from "../../../simulator/nodes/InferenceNode.ts";
import { encodePaymentHeader, type NodePayment, PAYMENT_HEADER } from "../../../simulator/nodes/paymentHeader.ts";
import { ReceiptStore } from "../../../simulator/nodes/ReceiptStore.ts";
import { toHex } from "../../../simulator/receipts/bytes.ts";
import { SettlementHasher } from "../../../simulator/receipts/eip712.ts";
import { randomKey, recoverAddress, signerFromKey } from "../../../simulator/receipts/secp256k1.ts";
import {
  type Hex,
  type SettlementDomain,
  type SignedReceipt,
  signedReceiptSchema,
} from "../../../simulator/receipts/types.ts";

export const BEARER = "a token of this test";
export const ASSET: Hex = `0x${"a5".repeat(20)}`;
export const PAYER: Hex = `0x${"bb".repeat(20)}`;
export const FEE = 10n ** 15n;
export const MODEL_ID: Hex = `0x${"cd".repeat(32)}`;
export const DOMAIN: SettlementDomain = { chainId: 31337n, verifyingContract: `0x${"5e".repeat(20)}` };

/** Options of a node with a key of its own, or its enclave's, and a store in memory. */
export function nodeOptions(overrides: Partial<InferenceNodeOptions> = {}): InferenceNodeOptions {
  return {
    domain: DOMAIN,
    operator: `0x${"0b".repeat(20)}`,
    payout: `0x${"0c".repeat(20)}`,
    asset: ASSET,
    ...(overrides.enclave === undefined && { signer: signerFromKey(randomKey()) }),
    store: new ReceiptStore(":memory:"),
    bearerToken: BEARER,
    logger: pino({ level: "silent" }),
    ...overrides,
  };
}

export function payment(overrides: Partial<NodePayment> = {}): NodePayment {
  return { asset: ASSET, payer: PAYER, nonce: toHex(randomBytes(32)), feeWei: FEE, ...overrides };
}

/** Headers of a request that a gateway passes on. */
export function headers(paid: NodePayment = payment()): Record<string, string> {
  return {
    authorization: `Bearer ${BEARER}`,
    "content-type": "application/json",
    [PAYMENT_HEADER]: encodePaymentHeader(paid),
  };
}

export function post(node: { url: string }, path: string, body: unknown, paid?: NodePayment): Promise<Response> {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return fetch(node.url + path, { method: "POST", headers: headers(paid), body: text });
}

/** The stock client, pointed straight at a node. Never retries, so that a test sees every answer. */
export function openAiClient(node: InferenceNode, paid: NodePayment = payment()): OpenAI {
  return new OpenAI({
    apiKey: BEARER,
    baseURL: `${node.url}/v1`,
    maxRetries: 0,
    defaultHeaders: { [PAYMENT_HEADER]: encodePaymentHeader(paid) },
  });
}

/** The receipt of an answer (or last chunk), parsed. */
export function receiptOf(answer: unknown): SignedReceipt {
  const { opengradient } = answer as { opengradient: { receipt: unknown } };
  return signedReceiptSchema.parse(opengradient.receipt);
}

/** Who signed a receipt. */
export function signerOf({ receipt, signature }: SignedReceipt): Hex | undefined {
  return recoverAddress(new SettlementHasher(DOMAIN).receiptDigest(receipt), signature);
}
