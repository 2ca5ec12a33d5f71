import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hexlify, parseEther, randomBytes } from "ethers";
import type OpenAI from "openai";
import { pino } from "pino";
import { privateKeyToAccount, type PrivateKeyAccount } from "viem/accounts";
import { Facilitator } from "../../../simulator/facilitator/Facilitator.ts";
import { ChannelLane } from "../../../simulator/gateway/channels/ChannelLane.ts";
import { quoteByTokens } from "../../../simulator/gateway/channels/quoteByTokens.ts";
import { walletAuthorizer } from "../../../simulator/gateway/channels/ReceiverAuthorizer.ts";
import { PriceList } from "../../../simulator/gateway/payments/PriceList.ts";
import { GroupCommit } from "../../../simulator/persistence/GroupCommit.ts";
import { Gateway, type GatewayOptions } from "../../../simulator/gateway/Gateway.ts";
import { LOCAL_TEXT_MODEL_ID } from "../../../simulator/models/LocalTextModel.ts";
import { LlmProxyNode } from "../../../simulator/nodes/LlmProxyNode.ts";
import { ReceiptStore } from "../../../simulator/nodes/ReceiptStore.ts";
import { compatibleUpstream, localUpstream } from "../../../simulator/nodes/upstreams.ts";
import { FixedPrice } from "../../../simulator/pricing/FixedPrice.ts";
import { OpgPrice } from "../../../simulator/pricing/OpgPrice.ts";
import { keccak256 } from "../../../simulator/receipts/keccak.ts";
import { randomKey, signerFromKey } from "../../../simulator/receipts/secp256k1.ts";
import type { Hex, SettlementDomain } from "../../../simulator/receipts/types.ts";
import { startLocalChain, type LocalChain } from "../facilitator/localChain.ts";
import { eventually } from "../gateway/gatewayFixture.ts";
import { ModelServer } from "./ModelServer.ts";

/** Calls tools, fills in schemas, and repeats what it is told. */
export const PARROT = "compatible/parrot";
/** The local text model. */
export const TEXT_MODEL = LOCAL_TEXT_MODEL_ID;
/** What a request costs at a fixed price. */
export const FEE = parseEther("0.01");
/** What a payer has at first. */
export const FUNDS = parseEther("5");

/** Of the parrot's tokens, at $0.05 for an OPG: 4 and 20 gwei. */
const TOKEN_PRICE = { inputPicoUsd: 200n, outputPicoUsd: 1_000n };
const [INPUT_WEI, OUTPUT_WEI] = [4_000_000_000n, 20_000_000_000n];

/** What an answer of the parrot costs by the token. */
export const costOf = ({ usage }: { usage?: OpenAI.CompletionUsage | null | undefined }): bigint => {
  if (!usage) throw new Error("The answer does not tell its usage");
  return INPUT_WEI * BigInt(usage.prompt_tokens) + OUTPUT_WEI * BigInt(usage.completion_tokens);
};

/** Signs the node's receipts. */
export const NODE_KEY = randomKey();
/** Receipts are for it; it is only hashed here. */
export const DOMAIN: SettlementDomain = { chainId: 31_337n, verifyingContract: `0x${"5e".repeat(20)}` };
const NODE_TOKEN = "operator-secret";
const logger = pino({ level: "silent" });

type Parts = Pick<StockWorld, "chain" | "payout" | "node" | "facilitator" | "lane" | "gateway">;

/**
 * Everything real but the money: a chain, a facilitator, a gateway, a node whose models are the local one and an OpenAI-compatible server.
 * Payers have OPG and no ETH.
 */
export class StockWorld {
  readonly chain: LocalChain;
  readonly network: `eip155:${string}`;
  readonly payout: Hex;
  readonly node: LlmProxyNode;
  readonly facilitator: Facilitator;
  readonly lane: ChannelLane;
  readonly gateway: Gateway;
  readonly #close: () => Promise<void>;

  private constructor({ chain, payout, node, facilitator, lane, gateway }: Parts, close: () => Promise<void>) {
    this.chain = chain;
    this.network = `eip155:${chain.chainId}`;
    this.payout = payout;
    this.node = node;
    this.facilitator = facilitator;
    this.lane = lane;
    this.gateway = gateway;
    this.#close = close;
  }

  static async start(options: Partial<GatewayOptions> = {}): Promise<StockWorld> {
    const directory = mkdtempSync(join(tmpdir(), "stock-"));
    const chain = await startLocalChain();
    const domain = { ...DOMAIN, chainId: chain.chainId };
    const models = new ModelServer();
    await models.start();
    const payout = chain.account(11).address.toLowerCase() as Hex;
    const commits = new GroupCommit(join(directory, "node.db"));
    const node = new LlmProxyNode({
      domain,
      asset: chain.asset,
      operator: chain.account(10).address.toLowerCase() as Hex,
      payout,
      signer: signerFromKey(NODE_KEY),
      store: new ReceiptStore(commits),
      bearerToken: NODE_TOKEN,
      logger,
      upstreams: [localUpstream(), await compatibleUpstream(models.url)],
      offers: [
        { id: PARROT, modelId: keccak256(PARROT), feeWei: FEE, tokenPrice: TOKEN_PRICE },
        { id: TEXT_MODEL, modelId: keccak256(TEXT_MODEL), feeWei: FEE },
      ],
    });
    await node.start();
    const facilitator = new Facilitator({
      chain,
      signer: chain.account(9),
      outboxFile: join(directory, "outbox.db"),
      logger,
      settler: { minRetryMs: 10 },
    });
    await facilitator.start();
    const opgPrice = new OpgPrice({
      sources: [new FixedPrice("0.05")],
      bounds: { minPicoUsd: 10n ** 9n, maxPicoUsd: 10n ** 13n },
      logger,
    });
    const lane = new ChannelLane({
      domain,
      asset: chain.asset,
      assetName: "OpenGradient",
      assetVersion: "1",
      receiverAuthorizer: payout,
      authorizer: walletAuthorizer(chain.account(11), chain.chainId),
      sellers: [node],
      commits,
      rail: facilitator,
      readChannels: (ids) => facilitator.channelStates(ids),
      quote: quoteByTokens(new PriceList(opgPrice)),
      logger,
    });
    const gateway = new Gateway({
      domain,
      asset: chain.asset,
      provider: chain.provider,
      rail: facilitator,
      nodes: [{ url: node.url, token: NODE_TOKEN }],
      storeFile: join(directory, "gateway.db"),
      logger,
      opgPrice,
      lanes: [lane],
      // sessions are settled as soon as nothing is asked of them
      sessionIdleMs: 100,
      sweepMs: 20,
      ...options,
    });
    await gateway.start();
    return new StockWorld({ chain, payout, node, facilitator, lane, gateway }, async () => {
      await gateway.stop();
      await Promise.all([facilitator.stop(), node.stop(), models.stop()]);
      commits.close();
      await chain.stop();
      rmSync(directory, { recursive: true });
    });
  }

  stop(): Promise<void> {
    return this.#close();
  }

  /** For OpenAI's clients. */
  get baseUrl(): string {
    return `${this.gateway.url}/v1`;
  }

  /** A new account with OPG, without ETH. */
  async newPayer(): Promise<PrivateKeyAccount> {
    const account = privateKeyToAccount(hexlify(randomBytes(32)) as Hex);
    await (await this.chain.opg.transfer(account.address, FUNDS)).wait();
    return account;
  }

  /** What x402's clients have to be told to spend OPG. */
  get spendControls(): {
    allowedAssets: { network: `eip155:${string}`; asset: string; maxAmountPerPayment: string }[];
  } {
    const { network, chain } = this;
    return { allowedAssets: [{ network, asset: chain.asset, maxAmountPerPayment: parseEther("0.1").toString() }] };
  }

  /** Waits until exactly `wei` have left the account. */
  async spent(account: { address: string }, wei: bigint): Promise<void> {
    await eventually(
      async () => FUNDS - (await this.chain.opg.balanceOf(account.address)) === wei,
      `${account.address} to have paid ${wei} wei`,
    );
  }
}
