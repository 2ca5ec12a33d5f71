import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodePaymentRequiredHeader } from "@x402/core/http";
import { HTTPFacilitatorClient } from "@x402/core/server";
import { BATCH_SETTLEMENT_ADDRESS } from "@x402/evm";
import { keccak256, toUtf8Bytes } from "ethers";
import { pino } from "pino";
import { IBatchSettlement__factory } from "../../../typechain-types/index.ts";
import { connectChain } from "../../../simulator/chain/connectChain.ts";
import { ChannelLane } from "../../../simulator/gateway/channels/ChannelLane.ts";
import { resolveLimits } from "../../../simulator/http/HttpLimits.ts";
import { ForwardingNode } from "../../../simulator/nodes/ForwardingNode.ts";
import { ReceiptStore } from "../../../simulator/nodes/ReceiptStore.ts";
import { RequestBody } from "../../../simulator/nodes/RequestBody.ts";
import { GroupCommit } from "../../../simulator/persistence/GroupCommit.ts";
import { randomKey, signerFromKey } from "../../../simulator/receipts/secp256k1.ts";
import type { Hex } from "../../../simulator/receipts/types.ts";
import { answerQuestions, serve, settings } from "../harness/serve.ts";
import { CHAT_BODY } from "../contenders/unpaid.ts";
import type { OwnGatewaySettings } from "./ownGateway.ts";

const given = settings<OwnGatewaySettings & { facilitatorUrl: string }>();
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
const contract = IBatchSettlement__factory.connect(BATCH_SETTLEMENT_ADDRESS, chain.provider);
const lane = new ChannelLane({
  domain,
  asset: given.asset,
  assetName: "OpenGradient",
  assetVersion: "1",
  receiverAuthorizer: given.operator,
  sellers: [node],
  commits,
  rail: new HTTPFacilitatorClient({ url: given.facilitatorUrl }),
  readChannels: (ids) =>
    Promise.all(
      ids.map(async (id) => {
        const [{ balance, totalClaimed }, { initiatedAt }, refundNonce] = await Promise.all([
          contract.channels(id),
          contract.pendingWithdrawals(id),
          contract.refundNonce(id),
        ]);
        return {
          balanceWei: balance,
          claimedWei: totalClaimed,
          withdrawRequestedAt: Number(initiatedAt),
          refundNonce,
        };
      }),
    ),
  quote: () => ({
    capWei: BigInt(given.priceWei),
    tariff: { baseWei: 0n, inputWei: BigInt(given.weiPerToken), outputWei: BigInt(given.weiPerToken) },
  }),
  logger,
});
const server = createServer((_request, response) => {
  const accepts = lane.requirements(new RequestBody("chat", Buffer.from(CHAT_BODY)));
  const required = { x402Version: 2, error: "payment_required", resource: { url: "x" }, accepts };
  response.writeHead(402, { "payment-required": encodePaymentRequiredHeader(required as never) }).end();
});
lane.takeFirst(server, resolveLimits({ refusalsPerMinute: Infinity, paidPerMinute: Infinity }));
server.listen(0, "127.0.0.1");
await once(server, "listening");
answerQuestions(() => Promise.resolve({ waiting: 0, onChain: 0, unit: "channels" }));
serve({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, signer: signer.address }, async () => {
  server.closeAllConnections();
  await node.stop();
  commits.close();
  chain.close();
  rmSync(directory, { recursive: true });
});
