import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import type { PaymentRequirements } from "@x402/core/types";
import { pino } from "pino";

import type { Enclave } from "../../../../simulator/enclave/Enclave.ts";
import type { ChainState } from "../../../../simulator/gateway/channels/Channel.ts";
import { type ChannelConfig, ChannelHasher } from "../../../../simulator/gateway/channels/channelConfig.ts";
import { ChannelLane, type ChannelLaneOptions } from "../../../../simulator/gateway/channels/ChannelLane.ts";
import { RemoteSeller } from "../../../../simulator/gateway/channels/RemoteSeller.ts";
import { ForwardingNode } from "../../../../simulator/nodes/ForwardingNode.ts";
import { RequestBody } from "../../../../simulator/nodes/RequestBody.ts";
import { ReceiptStore } from "../../../../simulator/nodes/ReceiptStore.ts";
import { GroupCommit } from "../../../../simulator/persistence/GroupCommit.ts";
import { addressOfKey, randomKey, signDigest, signerFromKey } from "../../../../simulator/receipts/secp256k1.ts";
import type { Hex, SettlementDomain, SignedReceipt } from "../../../../simulator/receipts/types.ts";
import { RawServer } from "../../nodes/RawServer.ts";
import { receiptOf } from "../../nodes/nodeFixture.ts";

export const DOMAIN: SettlementDomain = { chainId: 31337n, verifyingContract: `0x${"5e".repeat(20)}` };
export const ASSET: Hex = `0x${"a5".repeat(20)}`;
export const PAYOUT: Hex = `0x${"0c".repeat(20)}`;
export const AUTHORIZER: Hex = `0x${"0d".repeat(20)}`;
/** The most that a request costs, wei. */
export const CAP = 1_000n;
/** Of 11 and 7 tokens. */
export const FEE = 11n * 2n + 7n * 3n;
export const CHAT = "/v1/chat/completions";
export const USAGE = { prompt_tokens: 11, completion_tokens: 7, total_tokens: 18 };
export const chatBody = (content = "Hi", more: object = {}): string =>
  JSON.stringify({ model: "talker", messages: [{ role: "user", content }], ...more });

/** A lane in front of a node in front of a server, and the chain as the test says it is. */
export class LaneFixture {
  readonly upstream = new RawServer();
  readonly directory: string;
  readonly #upstreamUrl: string | undefined;
  readonly hasher = new ChannelHasher(DOMAIN.chainId);
  /** Channels on the chain. */
  readonly chain = new Map<Hex, ChainState>();
  chainReads = 0;
  rail: ChannelLaneOptions["rail"] = {
    verify: () => Promise.reject(new Error("no facilitator")),
    settle: () => Promise.reject(new Error("no facilitator")),
  };
  options: Partial<ChannelLaneOptions> = {};
  /** Whether the node is in another process, as far as the lane can tell. */
  remote = false;
  /** What is between the gateway and such a node. @returns its URL. */
  between = (nodeUrl: string): Promise<string> => Promise.resolve(nodeUrl);
  /** That the node runs in. */
  enclave: Enclave | undefined;
  asset = ASSET;
  payout = PAYOUT;
  commits!: GroupCommit;
  node!: ForwardingNode;
  lane!: ChannelLane;
  /** The gateway's, of a node that is not in its process. */
  seller: RemoteSeller | undefined;
  #nodeCommits: GroupCommit | undefined;
  #server!: Server;

  /** @param process of the test whose child process this is. */
  constructor(process?: { directory: string; upstreamUrl: string }) {
    this.directory = process?.directory ?? mkdtempSync(join(tmpdir(), "lane-"));
    this.#upstreamUrl = process?.upstreamUrl;
  }

  async start(): Promise<void> {
    await this.upstream.start();
    this.answer("Hello");
    await this.open();
  }

  async stop(): Promise<void> {
    await this.close();
    await this.upstream.stop();
    rmSync(this.directory, { recursive: true });
  }

  /** Starts the gateway's process, as it were. */
  async open(): Promise<void> {
    this.commits = new GroupCommit(join(this.directory, "gateway.sqlite"), { logBytes: 0 });
    const logger = pino({ level: "silent" });
    if (this.remote) this.#nodeCommits = new GroupCommit(join(this.directory, "node.sqlite"), { logBytes: 0 });
    this.node = new ForwardingNode({
      domain: DOMAIN,
      operator: `0x${"0b".repeat(20)}`,
      payout: this.payout,
      asset: this.asset,
      ...(this.enclave === undefined ? { signer: signerFromKey(`0x${"77".repeat(32)}`) } : { enclave: this.enclave }),
      store: new ReceiptStore(this.#nodeCommits ?? this.commits),
      bearerToken: "unused",
      logger,
      upstream: { baseUrl: this.#upstreamUrl ?? this.upstream.url },
      offers: [{ id: "talker", modelId: `0x${"cd".repeat(32)}`, feeWei: CAP }],
    });
    this.seller = this.remote ? await this.#reach(this.node) : undefined;
    this.lane = new ChannelLane({
      domain: DOMAIN,
      asset: this.asset,
      assetName: "OpenGradient",
      assetVersion: "1",
      receiverAuthorizer: AUTHORIZER,
      sellers: [this.seller ?? this.node],
      commits: this.commits,
      rail: { verify: (...args) => this.rail.verify(...args), settle: (...args) => this.rail.settle(...args) },
      readChannels: (ids) => {
        this.chainReads++;
        const nothing = { balanceWei: 0n, claimedWei: 0n, withdrawRequestedAt: 0, refundNonce: 0n };
        return Promise.resolve(ids.map((id) => ({ ...(this.chain.get(id) ?? nothing) })));
      },
      quote: () => ({ capWei: CAP, tariff: { baseWei: 0n, inputWei: 2n, outputWei: 3n } }),
      logger,
      ...this.options,
    });
    this.#server = createServer((_request, response) => response.writeHead(418).end());
    this.lane.takeFirst(this.#server, {
      bodyBytes: 10_000,
      headerCount: 50,
      paymentHeaderBytes: 8_192,
      refusalsPerMinute: Infinity,
      paidPerMinute: Infinity,
    });
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    await this.seller?.stop();
    await this.node.stop();
    this.commits.close();
    this.#nodeCommits?.close();
  }

  async #reach(node: ForwardingNode): Promise<RemoteSeller> {
    await node.start();
    const seller = new RemoteSeller({
      ...{ domain: DOMAIN, operator: node.operator, payout: node.payout, asset: node.asset, commits: this.commits },
      node: { url: await this.between(node.url), token: "unused" },
      logger: pino({ level: "silent" }),
      pollMs: 20,
    });
    await seller.start();
    return seller;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** What the server answers from now on. */
  answer(content: string): void {
    const body = { choices: [{ message: { role: "assistant", content }, finish_reason: "stop" }], usage: USAGE };
    this.upstream.answer = { status: 200, type: "application/json", pieces: [JSON.stringify(body)] };
  }

  /** A stream of `tokens` chunks. */
  stream(tokens: number): void {
    const chunk = (choices: object[], more: object = {}) => `data: ${JSON.stringify({ choices, ...more })}\n\n`;
    const usage = { prompt_tokens: 11, completion_tokens: tokens };
    this.upstream.answer = {
      status: 200,
      type: "text/event-stream",
      pieces: [
        ...Array.from({ length: tokens }, (_, i) => chunk([{ index: 0, delta: { content: `t${i}` } }])),
        chunk([], { usage }),
        "data: [DONE]\n\n",
      ],
    };
  }

  body(text = chatBody()): RequestBody {
    return new RequestBody("chat", Buffer.from(text));
  }

  /** A payer with a channel that holds `balanceWei`. */
  payer(balanceWei = 1_000_000n): TestPayer {
    const payer = new TestPayer(this);
    this.chain.set(payer.channelId, { balanceWei, claimedWei: 0n, withdrawRequestedAt: 0, refundNonce: 0n });
    return payer;
  }

  post(payment: object, body = chatBody(), headers: Record<string, string> = {}): Promise<Response> {
    return fetch(this.url + CHAT, {
      method: "POST",
      headers: { "content-type": "application/json", "payment-signature": encode(payment), ...headers },
      body,
    });
  }
}

export const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64");
export const decode = (header: string | null): unknown => JSON.parse(Buffer.from(header ?? "", "base64").toString());

/** A payment as a client sends it; tests change it. */
export interface WirePayment {
  x402Version: number;
  accepted: PaymentRequirements;
  payload: {
    type: string;
    channelConfig: ChannelConfig;
    voucher: { channelId: string; maxClaimableAmount: string; signature: string };
  };
}

export class TestPayer {
  readonly key = randomKey();
  readonly config: ChannelConfig;
  readonly channelId: Hex;
  readonly #fixture: LaneFixture;

  constructor(fixture: LaneFixture, config: Partial<ChannelConfig> = {}) {
    const payer = addressOfKey(this.key);
    this.#fixture = fixture;
    this.config = {
      payer,
      payerAuthorizer: payer,
      receiver: PAYOUT,
      receiverAuthorizer: AUTHORIZER,
      token: ASSET,
      withdrawDelay: 900,
      salt: randomKey(),
      ...config,
    };
    this.channelId = fixture.hasher.channelId(this.config);
  }

  /** A voucher for `maxWei`, by default for the first request. */
  pay(maxWei = CAP, hasher = this.#fixture.hasher): WirePayment {
    const voucher = {
      channelId: this.channelId,
      maxClaimableAmount: maxWei.toString(),
      signature: sign65(hasher.voucher(this.channelId, maxWei), this.key),
    };
    return {
      x402Version: 2,
      accepted: this.#fixture.lane.terms.requirements(PAYOUT, CAP),
      payload: { type: "voucher", channelConfig: this.config, voucher },
    };
  }

  get chargedWei(): bigint | undefined {
    return this.#fixture.lane.book.get(this.channelId)?.ledger.chargedWei;
  }
}

/** 65 bytes `r ‖ s ‖ v`, as wallets sign. */
export function sign65(digest: Hex, key: Hex): Hex {
  const compact = signDigest(digest, key);
  const vs = BigInt(`0x${compact.slice(66)}`);
  const s = vs & ((1n << 255n) - 1n);
  return `${compact.slice(0, 66) as Hex}${s.toString(16).padStart(64, "0")}${vs >> 255n === 0n ? "1b" : "1c"}`;
}

/** What a refusal says, or the charge of an answer. */
export function outcomeOf(response: Response): string {
  if (response.status === 402) return (decode(response.headers.get("payment-required")) as { error: string }).error;
  if (response.status !== 200) return `${response.status}`;
  const { extra } = decode(response.headers.get("payment-response")) as { extra: { chargedAmount: string } };
  return `charged ${extra.chargedAmount}`;
}

export const signedReceiptOf = async (response: Response): Promise<SignedReceipt> => receiptOf(await response.json());
