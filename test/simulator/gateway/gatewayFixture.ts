import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decodePaymentRequiredHeader, encodePaymentSignatureHeader } from "@x402/core/http";
import type { x402Client } from "@x402/core/client";
import type { PaymentPayload } from "@x402/core/types";
import { wrapFetchWithPayment } from "@x402/fetch";
import { parseEther, type Wallet } from "ethers";
import OpenAI from "openai";
import { pino } from "pino";
import { Facilitator } from "../../../simulator/facilitator/Facilitator.ts";
import { Gateway, type GatewayOptions } from "../../../simulator/gateway/Gateway.ts";
import type { PaymentRail } from "../../../simulator/gateway/PaymentCollector.ts";
import { randomKey, signerFromKey } from "../../../simulator/receipts/secp256k1.ts";
import type { Hex, SettlementDomain } from "../../../simulator/receipts/types.ts";
import { startLocalChain, type LocalChain } from "../facilitator/localChain.ts";
import { stockX402Client } from "../facilitator/payments.ts";
import { NODE_TOKEN, ScriptedNode, type ScriptedNodeOptions } from "./ScriptedNode.ts";

export const FEE = parseEther("0.01");
export const MODEL = "test/echo";
export const CHAT = "/v1/chat/completions";
const logger = pino({ level: "silent" });

/** A chain with funded payers, a facilitator and one scripted node; gateways are opened by the tests. */
export class GatewayFixture {
  readonly chain: LocalChain;
  readonly domain: SettlementDomain;
  readonly directory = mkdtempSync(join(tmpdir(), "gateway-"));
  readonly operator: Hex;
  readonly payout: Hex;
  /** Signs the node's receipts. */
  readonly nodeKey = randomKey();
  readonly node: ScriptedNode;
  facilitator: Facilitator;
  #gateways: Gateway[] = [];
  #files = 0;

  private constructor(chain: LocalChain) {
    this.chain = chain;
    // only hashed into receipts here
    this.domain = { chainId: chain.chainId, verifyingContract: `0x${"5e".repeat(20)}` };
    this.operator = chain.account(10).address.toLowerCase() as Hex;
    this.payout = chain.account(11).address.toLowerCase() as Hex;
    this.node = this.newNode();
    this.facilitator = this.newFacilitator();
  }

  static async start(): Promise<GatewayFixture> {
    const fixture = new GatewayFixture(await startLocalChain());
    await fixture.chain.opg.transfer(fixture.payer.address, parseEther("1000"));
    await Promise.all([fixture.node.start(), fixture.facilitator.start()]);
    return fixture;
  }

  async stop(): Promise<void> {
    await Promise.all(this.#gateways.map((gateway) => gateway.stop()));
    await Promise.all([this.node.stop(), this.facilitator.stop()]);
    await this.chain.stop();
    rmSync(this.directory, { recursive: true });
  }

  get payer(): Wallet {
    return this.chain.account(1);
  }

  newFile(): string {
    return join(this.directory, `${this.#files++}.db`);
  }

  newNode(options: Partial<ScriptedNodeOptions> = {}): ScriptedNode {
    const { domain, operator, payout } = this;
    const signer = options.enclave?.signer ?? signerFromKey(this.nodeKey);
    return new ScriptedNode({ domain, asset: this.chain.asset, operator, payout, signer, feeWei: FEE, ...options });
  }

  newFacilitator(outboxFile = this.newFile()): Facilitator {
    return new Facilitator({
      chain: this.chain,
      signer: this.chain.account(9),
      outboxFile,
      logger,
      settler: { minRetryMs: 10 },
    });
  }

  newGateway(options: Partial<GatewayOptions> = {}): Gateway {
    return new Gateway({
      domain: this.domain,
      asset: this.chain.asset,
      provider: this.chain.provider,
      rail: this.facilitator,
      nodes: [{ url: this.node.url, token: NODE_TOKEN }],
      storeFile: this.newFile(),
      logger,
      nodeRetryMs: 200,
      nodePollMs: 50,
      sweepMs: 20,
      ...options,
    });
  }

  /** Started, and stopped with the fixture. */
  async openGateway(options: Partial<GatewayOptions> = {}): Promise<Gateway> {
    const gateway = this.newGateway(options);
    await gateway.start();
    this.#gateways.push(gateway);
    return gateway;
  }

  /** A gateway that will not be stopped: its process is taken to have died. */
  async openDoomedGateway(options: Partial<GatewayOptions> = {}): Promise<Gateway> {
    const gateway = this.newGateway(options);
    await gateway.start();
    return gateway;
  }

  /** A facilitator of which some calls are replaced. */
  railWith(changes: Partial<PaymentRail>): PaymentRail {
    return new Proxy(this.facilitator, {
      get: (target, name): unknown => {
        const value: unknown = Reflect.get(name in changes ? changes : target, name);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  }

  /** The unmodified OpenAI client with the unmodified x402 client as its fetch. */
  openai(gateway: Gateway, payer = this.payer): OpenAI {
    const paying = wrapFetchWithPayment(fetch, stockX402Client(this.chain, payer));
    return new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: "none", maxRetries: 0, fetch: paying });
  }

  /** Asks without a payment and signs what is asked for. @returns the PAYMENT-SIGNATURE. */
  async pay(
    gateway: Gateway,
    body: object,
    { route = CHAT, payer = this.payer, change, client = stockX402Client(this.chain, payer) }: PayOptions = {},
  ): Promise<string> {
    const unpaid = await post(gateway, body, { route });
    const header = unpaid.headers.get("payment-required");
    if (unpaid.status !== 402 || header === null)
      throw new Error(`Expected 402, found ${unpaid.status}: ${await unpaid.text()}`);
    const required = decodePaymentRequiredHeader(header);
    const payload = await client.createPaymentPayload(required);
    return encodePaymentSignatureHeader((await change?.(payload)) ?? payload);
  }

  /** Waits until nothing that `gateway` has sold is still being settled, so that what comes in next is known. */
  settled(gateway: Gateway): Promise<void> {
    return eventually(async () => {
      const { pending, submitted } = await this.facilitator.store.counts();
      const { answered, settling } = gateway.store.counts();
      const sessions = gateway.sessions.counts();
      return pending + submitted + answered + settling + sessions.closing + sessions.settling === 0;
    }, "all payments settled");
  }

  received(): Promise<bigint> {
    return this.chain.opg.balanceOf(this.payout);
  }
}

export interface PayOptions {
  route?: string;
  payer?: Wallet;
  /** Default: the stock client with `exact` alone. */
  client?: x402Client;
  /** Tampers with the payment. */
  change?: (payload: PaymentPayload) => PaymentPayload | Promise<PaymentPayload>;
}

export interface PostOptions {
  route?: string;
  /** PAYMENT-SIGNATURE. */
  payment?: string;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

export const post = (gateway: Gateway, body: object | string, options: PostOptions = {}): Promise<Response> =>
  fetch(gateway.url + (options.route ?? CHAT), {
    method: "POST",
    headers: {
      "content-type": "application/json",
      ...options.headers,
      ...(options.payment !== undefined && { "payment-signature": options.payment }),
    },
    body: typeof body === "string" ? body : JSON.stringify(body),
    ...(options.signal && { signal: options.signal }),
  });

export const chat = (content: string, more: object = {}): { model: string; messages: object[] } => ({
  model: MODEL,
  messages: [{ role: "user", content }],
  ...more,
});

/** The code in an error's body. */
export const errorCode = async (response: Response): Promise<string> =>
  ((await response.json()) as { error: { code: string } }).error.code;

/** Waits until `condition` holds; fails after `boundMs`. */
export async function eventually(
  condition: () => boolean | Promise<boolean>,
  what: string,
  boundMs = 10_000,
): Promise<void> {
  const deadline = Date.now() + boundMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`Not within ${boundMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 3));
  }
}
