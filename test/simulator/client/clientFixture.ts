import { pino } from "pino";
import { createVerifyingFetch, type VerifyingFetchOptions } from "../../../simulator/client/createVerifyingFetch.ts";
import type { SignerDirectory } from "../../../simulator/client/SignerDirectory.ts";
import type { VerifiedReceipt } from "../../../simulator/client/ReceiptBook.ts";
import type { Gateway, GatewayOptions } from "../../../simulator/gateway/Gateway.ts";
import { FixedPrice } from "../../../simulator/pricing/FixedPrice.ts";
import { OpgPrice } from "../../../simulator/pricing/OpgPrice.ts";
import { SettlementHasher } from "../../../simulator/receipts/eip712.ts";
import { addressOfKey, signDigest } from "../../../simulator/receipts/secp256k1.ts";
import {
  signedReceiptSchema,
  signedReceiptToJson,
  type Hex,
  type Receipt,
  type SignedReceiptJson,
} from "../../../simulator/receipts/types.ts";
import { GatewayFixture } from "../gateway/gatewayFixture.ts";
import { NODE_TOKEN, type ScriptedNode } from "../gateway/ScriptedNode.ts";

/** Of a token, wei. */
export const INPUT_WEI = 4_000_000_000n;
export const OUTPUT_WEI = 20_000_000_000n;

/** The gateway's fixture, a client of it, and a liar between the two. */
export class ClientFixture {
  readonly #gateways: GatewayFixture;
  readonly gateway: Gateway;
  /** Behind the gateway. */
  readonly node: ScriptedNode;
  readonly receipts: VerifiedReceipt[] = [];

  private constructor(gateways: GatewayFixture, gateway: Gateway, node = gateways.node) {
    this.#gateways = gateways;
    this.gateway = gateway;
    this.node = node;
  }

  static async start(): Promise<ClientFixture> {
    const gateways = await GatewayFixture.start();
    return new ClientFixture(gateways, await gateways.openGateway());
  }

  /** With Permit2, and a node whose model is sold by the token: at $0.05 for an OPG, for `INPUT_WEI` and `OUTPUT_WEI`. */
  static async startByToken(options: Partial<GatewayOptions> = {}): Promise<ClientFixture> {
    const gateways = await GatewayFixture.start();
    const node = gateways.newNode({
      tokenPrice: { inputPicoUsd: 200n, outputPicoUsd: 1_000n },
      maxOutputTokens: 1_000,
    });
    await node.start();
    const opgPrice = new OpgPrice({
      sources: [new FixedPrice("0.05")],
      bounds: { minPicoUsd: 10n ** 9n, maxPicoUsd: 10n ** 13n },
      logger: pino({ level: "silent" }),
    });
    const nodes = [{ url: node.url, token: NODE_TOKEN }];
    return new ClientFixture(gateways, await gateways.openGateway({ nodes, opgPrice, ...options }), node);
  }

  async stop(): Promise<void> {
    await this.#gateways.stop();
    if (this.node !== this.#gateways.node) await this.node.stop();
  }

  get world(): GatewayFixture {
    return this.#gateways;
  }

  get signerAddress(): Hex {
    return addressOfKey(this.#gateways.nodeKey);
  }

  /** Knows the node's key, for mode VANILLA and ever. */
  readonly signers: SignerDirectory = {
    operatorOf: (key, mode) =>
      Promise.resolve(key === this.signerAddress && mode === 0 ? this.#gateways.operator : undefined),
  };

  options(changes: Partial<VerifyingFetchOptions> = {}): VerifyingFetchOptions {
    const { chain, domain, payer } = this.#gateways;
    return {
      wallet: payer,
      domain,
      asset: chain.asset,
      maxPaymentWei: 10n ** 17n,
      signers: this.signers,
      onReceipt: (receipt) => this.receipts.push(receipt),
      retryPauseMs: 5,
      ...changes,
    };
  }

  fetch(changes: Partial<VerifyingFetchOptions> = {}): typeof fetch {
    return createVerifyingFetch(this.options(changes));
  }

  /** Changes fields of a receipt and signs it again, as the node itself could. */
  resign(json: SignedReceiptJson, changes: Partial<Receipt>, key = this.#gateways.nodeKey): SignedReceiptJson {
    const receipt = { ...signedReceiptSchema.parse(json).receipt, ...changes };
    const digest = new SettlementHasher(this.#gateways.domain).receiptDigest(receipt);
    return signedReceiptToJson({ receipt, signature: signDigest(digest, key) });
  }
}

/** An answer, or a chunk of one, as a liar sees it. */
export interface LooseAnswer {
  choices: { message?: { content?: string }; delta?: { content?: string }; text?: string }[];
  completion?: string;
  opengradient?: { receipt: SignedReceiptJson; operator: string; signer: string };
}

/** A fetch through somebody who rewrites paid answers; streams chunk by chunk. */
export const tampering =
  (change: (answer: LooseAnswer) => object | undefined): typeof fetch =>
  async (input, init) => {
    const response = await fetch(input, init);
    if (!response.ok || response.headers.get("payment-response") === null) return response;
    const text = await response.text();
    const { status, headers } = response;
    const rewrite = (json: string): string => JSON.stringify(change(JSON.parse(json) as LooseAnswer) ?? undefined);
    if (!(headers.get("content-type") ?? "").startsWith("text/event-stream")) {
      return new Response(rewrite(text), { status, headers });
    }
    const events = text.split("\n\n").filter((event) => event !== "");
    const rewritten = events.map((event) => (event === "data: [DONE]" ? event : `data: ${rewrite(event.slice(6))}`));
    return new Response(rewritten.map((event) => `${event}\n\n`).join(""), { status, headers });
  };
