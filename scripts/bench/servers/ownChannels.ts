import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodePaymentRequiredHeader } from "@x402/core/http";
import type { PaymentRequired } from "@x402/core/types";
import { keccak256, toUtf8Bytes, Wallet } from "ethers";
import { pino } from "pino";
import { connectChain } from "../../../simulator/chain/connectChain.ts";
import { Facilitator } from "../../../simulator/facilitator/Facilitator.ts";
import { ChannelClaimer } from "../../../simulator/gateway/channels/ChannelClaimer.ts";
import { ChannelLane } from "../../../simulator/gateway/channels/ChannelLane.ts";
import { decodePaymentHeader } from "../../../simulator/gateway/channels/ChannelPayment.ts";
import { channelReader } from "../../../simulator/gateway/channels/readChannels.ts";
import { walletAuthorizer } from "../../../simulator/gateway/channels/ReceiverAuthorizer.ts";
import { ForwardingNode } from "../../../simulator/nodes/ForwardingNode.ts";
import { ReceiptStore } from "../../../simulator/nodes/ReceiptStore.ts";
import { RequestBody } from "../../../simulator/nodes/RequestBody.ts";
import { GroupCommit } from "../../../simulator/persistence/GroupCommit.ts";
import { randomKey, signerFromKey } from "../../../simulator/receipts/secp256k1.ts";
import type { Hex } from "../../../simulator/receipts/types.ts";
import type { Settlement } from "../harness/Contender.ts";
import { CHAT_BODY } from "../contenders/unpaid.ts";
import { answerQuestions, serve, settings } from "../harness/serve.ts";
import type { Backlog, OwnGatewaySettings } from "./ownGateway.ts";

const given = settings<OwnGatewaySettings>();
const logger = pino({ level: "warn" });
const directory = mkdtempSync(join(tmpdir(), "bench-gateway-"));
const chain = await connectChain({ url: given.chainUrl });
const domain = { chainId: chain.chainId, verifyingContract: given.settlement };
const commits = new GroupCommit(join(directory, "gateway.sqlite"));
const signer = signerFromKey(randomKey());
const node = new ForwardingNode({
  domain,
  operator: given.operator,
  payout: given.operator,
  asset: given.asset,
  signer,
  store: new ReceiptStore(commits),
  bearerToken: randomKey(),
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
await facilitator.start();
const operator = new Wallet(given.operatorKey);
const authorizer = walletAuthorizer(operator, chain.chainId);
const lane = new ChannelLane({
  domain,
  asset: given.asset,
  assetName: "OpenGradient",
  assetVersion: "1",
  receiverAuthorizer: operator.address.toLowerCase() as Hex,
  authorizer,
  sellers: [node],
  commits,
  rail: facilitator,
  readChannels: channelReader(chain.provider),
  quote: () => ({
    capWei: BigInt(given.priceWei),
    tariff: { baseWei: 0n, inputWei: BigInt(given.weiPerToken), outputWei: BigInt(given.weiPerToken) },
  }),
  logger,
});
const claimer = new ChannelClaimer({ book: lane.book, terms: lane.terms, rail: facilitator, authorizer, logger });
const server = createServer((request, response) => {
  const header = request.headers["payment-signature"];
  const parts: Buffer[] = [];
  request.on("data", (part: Buffer) => parts.push(part));
  request.on("end", () => {
    if (typeof header === "string") {
      const http = { headers: request.headers, url: "http://bench" };
      void lane.answer("chat", Buffer.concat(parts), decodePaymentHeader(header), http, response);
      return;
    }
    const accepts = lane.requirements(new RequestBody("chat", Buffer.from(CHAT_BODY)));
    const required: PaymentRequired = { x402Version: 2, resource: { url: "http://bench" }, accepts };
    response.writeHead(402, { "payment-required": encodePaymentRequiredHeader(required) }).end();
  });
});
const many = Number.MAX_SAFE_INTEGER;
lane.takeFirst(server, {
  bodyBytes: 1 << 20,
  headerCount: 50,
  paymentHeaderBytes: 1 << 14,
  refusalsPerMinute: many,
  paidPerMinute: many,
});
server.listen(0, "127.0.0.1");
await once(server, "listening");
answerQuestions<"backlog" | "settlement", Backlog | Settlement>(async (question) => {
  if (question === "backlog") return { waiting: 0 };
  const { channels, failed } = await claimer.run();
  return { onChain: channels, waiting: failed, unit: "channels" };
});
serve({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, signer: signer.address }, async () => {
  server.closeAllConnections();
  await Promise.all([node.stop(), facilitator.stop()]);
  commits.close();
  chain.close();
  rmSync(directory, { recursive: true });
});
