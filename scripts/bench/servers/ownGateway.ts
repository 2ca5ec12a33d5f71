import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { keccak256, toUtf8Bytes, Wallet } from "ethers";
import { pino } from "pino";
import { connectChain } from "../../../simulator/chain/connectChain.ts";
import { CertificateChain } from "../../../simulator/enclave/CertificateChain.ts";
import { Enclave } from "../../../simulator/enclave/Enclave.ts";
import { measureCode } from "../../../simulator/enclave/measure.ts";
import { testRoot } from "../../../simulator/enclave/testRoot.ts";
import { Facilitator } from "../../../simulator/facilitator/Facilitator.ts";
import { ChannelClaimer } from "../../../simulator/gateway/channels/ChannelClaimer.ts";
import { ChannelLane } from "../../../simulator/gateway/channels/ChannelLane.ts";
import { quoteByTokens } from "../../../simulator/gateway/channels/quoteByTokens.ts";
import { channelReader } from "../../../simulator/gateway/channels/readChannels.ts";
import { walletAuthorizer } from "../../../simulator/gateway/channels/ReceiverAuthorizer.ts";
import { Gateway } from "../../../simulator/gateway/Gateway.ts";
import { PriceList } from "../../../simulator/gateway/payments/PriceList.ts";
import { ForwardingNode } from "../../../simulator/nodes/ForwardingNode.ts";
import { ReceiptStore } from "../../../simulator/nodes/ReceiptStore.ts";
import { GroupCommit } from "../../../simulator/persistence/GroupCommit.ts";
import { FixedPrice } from "../../../simulator/pricing/FixedPrice.ts";
import { OpgPrice } from "../../../simulator/pricing/OpgPrice.ts";
import { randomKey, signerFromKey } from "../../../simulator/receipts/secp256k1.ts";
import type { Hex } from "../../../simulator/receipts/types.ts";
import { PRICE_WEI, WEI_PER_TOKEN } from "../contenders/BenchChain.ts";
import type { Settlement } from "../harness/Contender.ts";
import { answerQuestions, serve, settings } from "../harness/serve.ts";

export interface OwnGatewaySettings {
  upstream: string;
  chainUrl: string;
  asset: Hex;
  settlement: Hex;
  /** Pays the gas of settlements. */
  facilitatorKey: Hex;
  /** Of whom the receipts are, who is paid, and who signs claims of channels. */
  operatorKey: Hex;
  /** "none" gives answers away, with their receipts. */
  payment: "none" | "exact" | "upto" | "batch-settlement";
  /** Runs in an enclave, whose answers carry its RSA signature too. */
  enclave?: true;
}

/** Payments that are on their way to the chain. */
export interface Backlog {
  waiting: number;
}

const ONE_DOLLAR_PICO_USD = 10n ** 12n;
/** How long after its last request a session is settled: less than users get, so that runs end. */
const SESSION_IDLE_MS = 1_000;

const given = settings<OwnGatewaySettings>();
const logger = pino({ level: "error" });
const directory = mkdtempSync(join(tmpdir(), "bench-gateway-"));
const chain = await connectChain({ url: given.chainUrl });
const domain = { chainId: chain.chainId, verifyingContract: given.settlement };
const wallet = new Wallet(given.operatorKey);
const operator = wallet.address.toLowerCase() as Hex;
const token = randomKey();

const keys = given.enclave
  ? {
      enclave: await Enclave.start({
        authorities: new CertificateChain(testRoot()),
        measurements: measureCode({ application: "bench" }),
      }),
    }
  : { signer: signerFromKey(randomKey()) };
const commits = new GroupCommit(join(directory, "node.sqlite"));
const picoUsdPerToken = (WEI_PER_TOKEN * ONE_DOLLAR_PICO_USD) / 10n ** 18n;
const node = new ForwardingNode({
  domain,
  operator,
  payout: operator,
  asset: given.asset,
  ...keys,
  store: new ReceiptStore(commits),
  bearerToken: token,
  logger,
  offers: [
    {
      id: "bench",
      modelId: keccak256(toUtf8Bytes("bench")) as Hex,
      feeWei: PRICE_WEI,
      tokenPrice: { inputPicoUsd: picoUsdPerToken, outputPicoUsd: picoUsdPerToken },
    },
  ],
  upstream: { baseUrl: `${given.upstream}/v1` },
});
const facilitator = new Facilitator({
  chain,
  signer: new Wallet(given.facilitatorKey),
  outboxFile: join(directory, "outbox.sqlite"),
  logger,
  plainTokens: [given.asset],
});
await Promise.all([node.start(), facilitator.start()]);

const opgPrice = new OpgPrice({
  sources: [new FixedPrice("1")],
  bounds: { minPicoUsd: ONE_DOLLAR_PICO_USD, maxPicoUsd: ONE_DOLLAR_PICO_USD },
  logger,
});
const authorizer = walletAuthorizer(wallet, chain.chainId);
const lane = new ChannelLane({
  domain,
  asset: given.asset,
  assetName: "OpenGradient",
  assetVersion: "1",
  receiverAuthorizer: operator,
  authorizer,
  sellers: [node],
  commits,
  rail: facilitator,
  readChannels: channelReader(chain.provider),
  quote: quoteByTokens(new PriceList(opgPrice)),
  logger,
});
const claimer = new ChannelClaimer({ book: lane.book, terms: lane.terms, rail: facilitator, authorizer, logger });
const byChannel = given.payment === "batch-settlement";
const gateway = new Gateway({
  domain,
  asset: given.asset,
  provider: chain.provider,
  rail: facilitator,
  nodes: [{ url: node.url, token }],
  storeFile: join(directory, "gateway.sqlite"),
  logger,
  payment: given.payment === "none" ? "none" : "x402",
  opgPrice,
  sessionIdleMs: SESSION_IDLE_MS,
  exposureCapWei: 10n ** 24n,
  limits: { refusalsPerMinute: Infinity, paidPerMinute: Infinity },
  ...(byChannel && { lanes: [lane] }),
});
await gateway.start();

async function backlog(): Promise<number> {
  const { pending, submitted } = await facilitator.store.counts();
  const { answered, settling } = gateway.store.counts();
  const sessions = gateway.sessions.counts();
  return Math.max(pending + submitted, answered + settling + sessions.open + sessions.closing + sessions.settling);
}

async function settlement(): Promise<Settlement> {
  if (byChannel) {
    const { channels, failed } = await claimer.run();
    return { onChain: channels, waiting: failed, unit: "channels" };
  }
  const { settled } = await facilitator.store.counts();
  return { onChain: settled, waiting: await backlog(), unit: given.payment === "upto" ? "sessions" : "payments" };
}

answerQuestions<"backlog" | "settlement", Backlog | Settlement>(async (question) =>
  question === "settlement" ? settlement() : { waiting: await backlog() },
);
serve({ url: gateway.url, signer: node.signer.address, operator }, async () => {
  await gateway.stop();
  await Promise.all([node.stop(), facilitator.stop()]);
  commits.close();
  chain.close();
  rmSync(directory, { recursive: true });
});
