import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { keccak256, toUtf8Bytes, Wallet } from "ethers";
import { pino } from "pino";
import { connectChain } from "../../../simulator/chain/connectChain.ts";
import { Facilitator } from "../../../simulator/facilitator/Facilitator.ts";
import { Gateway } from "../../../simulator/gateway/Gateway.ts";
import { ForwardingNode } from "../../../simulator/nodes/ForwardingNode.ts";
import { ReceiptStore } from "../../../simulator/nodes/ReceiptStore.ts";
import { randomKey, signerFromKey } from "../../../simulator/receipts/secp256k1.ts";
import type { Hex } from "../../../simulator/receipts/types.ts";
import type { Settlement } from "../harness/Contender.ts";
import { answerQuestions, serve, settings } from "../harness/serve.ts";

export interface OwnGatewaySettings {
  upstream: string;
  chainUrl: string;
  asset: Hex;
  settlement: Hex;
  /** Pays the gas of settlements. */
  facilitatorKey: Hex;
  /** Whom the receipts are of, and who is paid. */
  operator: Hex;
  /** Signs claims of its channels. */
  operatorKey: Hex;
  priceWei: string;
  weiPerToken: string;
}

/** How much is still to be settled. */
export interface Backlog {
  /** Payments that are on their way to the chain. */
  waiting: number;
}

const given = settings<OwnGatewaySettings>();
const logger = pino({ level: "warn" });
const directory = mkdtempSync(join(tmpdir(), "bench-gateway-"));
const chain = await connectChain({ url: given.chainUrl });
const domain = { chainId: chain.chainId, verifyingContract: given.settlement };
const signer = signerFromKey(randomKey());
const token = randomKey();
const receipts = new ReceiptStore(join(directory, "receipts.sqlite"));
const node = new ForwardingNode({
  domain,
  operator: given.operator,
  payout: given.operator,
  asset: given.asset,
  signer,
  store: receipts,
  bearerToken: token,
  logger,
  offers: [{ id: "bench", modelId: keccak256(toUtf8Bytes("bench")) as Hex, feeWei: BigInt(given.priceWei) }],
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
const gateway = new Gateway({
  domain,
  asset: given.asset,
  provider: chain.provider,
  rail: facilitator,
  nodes: [{ url: node.url, token }],
  storeFile: join(directory, "gateway.sqlite"),
  logger,
  exposureCapWei: 10n ** 24n,
});
await gateway.start();

async function backlog(): Promise<Backlog & Settlement> {
  const { pending, submitted, settled } = await facilitator.store.counts();
  const { answered, settling } = gateway.store.counts();
  return { waiting: Math.max(pending + submitted, answered + settling), onChain: settled, unit: "payments" };
}

answerQuestions<"backlog" | "settlement", Backlog & Settlement>(backlog);
serve({ url: gateway.url, signer: signer.address }, async () => {
  await gateway.stop();
  await Promise.all([node.stop(), facilitator.stop()]);
  receipts.close();
  chain.close();
  rmSync(directory, { recursive: true });
});
