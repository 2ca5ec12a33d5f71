import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { x402Client } from "@x402/core/client";
import { BatchSettlementEvmScheme } from "@x402/evm/batch-settlement/client";
import { ExactEvmScheme } from "@x402/evm/exact/client";
import { wrapFetchWithPayment } from "@x402/fetch";
import { expect } from "chai";
import { Contract, type InterfaceAbi, parseEther } from "ethers";
import { pino } from "pino";
import { privateKeyToAccount } from "viem/accounts";

import { Facilitator } from "../../../../simulator/facilitator/Facilitator.ts";
import { ChannelClaimer } from "../../../../simulator/gateway/channels/ChannelClaimer.ts";
import { ChannelLane } from "../../../../simulator/gateway/channels/ChannelLane.ts";
import { quoteByTokens } from "../../../../simulator/gateway/channels/quoteByTokens.ts";
import { walletAuthorizer } from "../../../../simulator/gateway/channels/ReceiverAuthorizer.ts";
import { Gateway } from "../../../../simulator/gateway/Gateway.ts";
import { PriceList } from "../../../../simulator/gateway/payments/PriceList.ts";
import { ForwardingNode } from "../../../../simulator/nodes/ForwardingNode.ts";
import { ReceiptStore } from "../../../../simulator/nodes/ReceiptStore.ts";
import { GroupCommit } from "../../../../simulator/persistence/GroupCommit.ts";
import { keccak256 } from "../../../../simulator/receipts/keccak.ts";
import { randomKey, signerFromKey } from "../../../../simulator/receipts/secp256k1.ts";
import type { Hex, SettlementDomain } from "../../../../simulator/receipts/types.ts";
import { startLocalChain, type LocalChain } from "../../facilitator/localChain.ts";
import { RawServer } from "../../nodes/RawServer.ts";
import { chatBody, CHAT, decode, USAGE } from "./laneFixture.ts";

const FEE = parseEther("0.01");
const logger = pino({ level: "silent" });

describe("Gateway with channels", function () {
  this.timeout(60_000);
  const upstream = new RawServer();
  const directory = mkdtempSync(join(tmpdir(), "gateway-channels-"));
  let chain: LocalChain;
  let commits: GroupCommit;
  let node: ForwardingNode;
  let facilitator: Facilitator;
  let lane: ChannelLane;
  let gateway: Gateway;
  let claimer: ChannelClaimer;
  let network: `eip155:${string}`;

  before(async () => {
    await upstream.start();
    const body = { choices: [{ message: { role: "assistant", content: "Hello" } }], usage: USAGE };
    upstream.answer = { status: 200, type: "application/json", pieces: [JSON.stringify(body)] };
    chain = await startLocalChain();
    network = `eip155:${chain.chainId}`;
    const domain: SettlementDomain = { chainId: chain.chainId, verifyingContract: `0x${"5e".repeat(20)}` };
    const payout = chain.account(11);
    commits = new GroupCommit(join(directory, "channels.db"), { logBytes: 0 });
    const common = { domain, asset: chain.asset, logger };
    node = new ForwardingNode({
      ...common,
      operator: chain.account(10).address.toLowerCase() as Hex,
      payout: payout.address.toLowerCase() as Hex,
      signer: signerFromKey(randomKey()),
      store: new ReceiptStore(commits),
      bearerToken: "secret",
      upstream: { baseUrl: upstream.url },
      offers: [{ id: "talker", modelId: keccak256("talker"), feeWei: FEE }],
    });
    await node.start();
    facilitator = new Facilitator({
      chain,
      signer: chain.account(9),
      outboxFile: join(directory, "outbox.db"),
      logger,
      settler: { minRetryMs: 10 },
    });
    await facilitator.start();
    const authorizer = walletAuthorizer(payout, chain.chainId);
    lane = new ChannelLane({
      ...common,
      assetName: "OpenGradient",
      assetVersion: "1",
      receiverAuthorizer: payout.address.toLowerCase() as Hex,
      authorizer,
      sellers: [node],
      commits,
      rail: facilitator,
      readChannels: (ids) => facilitator.channelStates(ids),
      quote: quoteByTokens(new PriceList(undefined)),
    });
    claimer = new ChannelClaimer({ book: lane.book, terms: lane.terms, rail: facilitator, authorizer, logger });
    gateway = new Gateway({
      ...common,
      provider: chain.provider,
      rail: facilitator,
      nodes: [{ url: node.url, token: "secret" }],
      storeFile: join(directory, "gateway.db"),
      lanes: [lane],
    });
    await gateway.start();
  });
  after(async () => {
    await gateway.stop();
    await Promise.all([node.stop(), facilitator.stop(), upstream.stop()]);
    commits.close();
    await chain.stop();
    rmSync(directory, { recursive: true });
  });

  async function payer(schemes: readonly ("exact" | "batch-settlement")[]) {
    const account = privateKeyToAccount(randomKey());
    await (await chain.opg.transfer(account.address, parseEther("5"))).wait();
    const readContract = async (read: {
      address: Hex;
      abi: unknown;
      functionName: string;
      args?: readonly unknown[];
    }) => {
      const contract = new Contract(read.address, read.abi as InterfaceAbi, chain.provider);
      const result: unknown = await contract.getFunction(read.functionName)(...(read.args ?? []));
      return result;
    };
    const channels = new BatchSettlementEvmScheme({ ...account, readContract });
    const client = new x402Client();
    if (schemes.includes("batch-settlement")) client.register(network, channels);
    if (schemes.includes("exact")) client.register(network, new ExactEvmScheme(account));
    client.setSpendControls({
      allowedAssets: [{ network, asset: chain.asset, maxAmountPerPayment: parseEther("1").toString() }],
    });
    const pay = wrapFetchWithPayment(fetch, client);
    const ask = (content: string): Promise<Response> =>
      pay(gateway.url + CHAT, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: chatBody(content),
      });
    return { account, ask, channels };
  }
  const paid = (response: Response) => {
    return decode(response.headers.get("payment-response")) as {
      transaction: string;
      extra: { chargedAmount: string };
    };
  };

  it("402_offersChannelsBesideTheOthers", async () => {
    const response = await fetch(gateway.url + CHAT, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: chatBody(),
    });
    const { accepts } = (await response.json()) as { accepts: { scheme: string; amount: string }[] };
    expect(response.status).to.equal(402);
    expect(accepts.map(({ scheme }) => scheme)).to.include.members(["exact", "batch-settlement"]);
    expect(accepts.find(({ scheme }) => scheme === "batch-settlement")?.amount).to.equal(FEE.toString());
  });

  it("channel_isOpenedThroughFastify_usedAheadOfIt_claimedAndRefunded", async () => {
    const { account, ask, channels } = await payer(["batch-settlement"]);
    const first = await ask("one");
    expect(first.status, await first.clone().text()).to.equal(200);
    expect(paid(first).transaction).to.match(/^0x/);
    for (const content of ["two", "three"]) {
      const response = await ask(content);
      expect(response.status).to.equal(200);
      expect(paid(response)).to.deep.include({ transaction: "" });
      expect(paid(response).extra.chargedAmount).to.equal(FEE.toString());
    }
    const [channel] = lane.book.all();
    expect(channel?.ledger.chargedWei).to.equal(3n * FEE);
    // what is answered ahead of Fastify is counted with the rest
    const metrics = await (await fetch(`${gateway.url}/metrics`)).text();
    const answered = `gateway_http_requests_total{method="POST",route="${CHAT}",status="200",scheme="batch-settlement"} 3`;
    expect(metrics)
      .to.contain(answered)
      .and.contain(`gateway_payments_total{scheme="batch-settlement",outcome="accepted"} 3`)
      .and.contain("gateway_open_channels 1");
    expect(await claimer.run()).to.deep.equal({ channels: 1, claimedWei: 3n * FEE, lostWei: 0n, failed: 0 });
    expect(await chain.opg.balanceOf(node.payout)).to.equal(3n * FEE);
    const refunded = await channels.refund(gateway.url + CHAT);
    expect(refunded.success).to.equal(true);
    expect(await chain.opg.balanceOf(account.address)).to.equal(parseEther("5") - 3n * FEE);
    expect(await (await fetch(`${gateway.url}/metrics`)).text()).to.contain("gateway_open_channels 0");
  });

  it("otherSchemes_areServedAsBefore", async () => {
    const { ask } = await payer(["exact"]);
    const response = await ask("exactly");
    expect(response.status).to.equal(200);
    expect(lane.book.all()).to.have.length(1);
  });

  it("depositSentTwice_isMadeOnce", async () => {
    const { account, ask } = await payer(["batch-settlement"]);
    const both = await Promise.all([ask("same"), ask("same")]);
    expect(both.some(({ status }) => status === 200)).to.equal(true);
    const channel = lane.book.all().find(({ config }) => config.payer === account.address.toLowerCase());
    expect(channel?.ledger.chargedWei).to.equal(FEE);
  });
});
