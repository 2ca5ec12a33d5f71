import { x402Client } from "@x402/core/client";
import { BatchSettlementEvmScheme, InMemoryClientChannelStorage } from "@x402/evm/batch-settlement/client";
import { wrapFetchWithPayment } from "@x402/fetch";
import { expect } from "chai";
import { Contract, type InterfaceAbi, MaxUint256 } from "ethers";
import Fastify, { type FastifyInstance } from "fastify";
import OpenAI from "openai";
import { pino } from "pino";
import { privateKeyToAccount } from "viem/accounts";

import { x402Addresses } from "../../../../simulator/chain/x402/x402Addresses.ts";
import { ChannelClaimer } from "../../../../simulator/gateway/channels/ChannelClaimer.ts";
import { decodePaymentHeader } from "../../../../simulator/gateway/channels/ChannelPayment.ts";
import { channelReader } from "../../../../simulator/gateway/channels/readChannels.ts";
import { walletAuthorizer } from "../../../../simulator/gateway/channels/ReceiverAuthorizer.ts";
import { type Hex, signedReceiptSchema } from "../../../../simulator/receipts/types.ts";
import { LocalBatchSettlement__factory } from "../../../../typechain-types/index.ts";
import { startX402Stage, type X402Stage } from "../../../contracts/local/x402Stage.ts";
import { rejection } from "../../../support/rejection.ts";
import { CAP, CHAT, decode, DOMAIN, FEE, LaneFixture } from "./laneFixture.ts";

interface ContractRead {
  address: Hex;
  abi: readonly unknown[];
  functionName: string;
  args?: readonly unknown[];
}

const user = (content: string) => ({ role: "user" as const, content });

for (const transfer of ["eip3009", "permit2"] as const) {
  describe(`channels paid by x402's own client, deposits by ${transfer}`, function () {
    this.timeout(60_000);
    const fixture = new LaneFixture();
    let stage: X402Stage;
    let app: FastifyInstance;
    let url: string;
    let claimer: ChannelClaimer;

    before(async () => {
      stage = await startX402Stage();
      await (await stage.opg.connect(stage.payer).approve(x402Addresses.permit2, MaxUint256)).wait();
      fixture.asset = (await stage.opg.getAddress()).toLowerCase() as Hex;
      fixture.payout = stage.receiver.address.toLowerCase() as Hex;
      fixture.rail = stage.rail;
      const authorizer = walletAuthorizer(stage.receiver, DOMAIN.chainId);
      fixture.options = {
        readChannels: channelReader(stage.receiver.provider!),
        receiverAuthorizer: fixture.payout,
        authorizer,
        assetTransferMethod: transfer,
      };
      await fixture.start();
      const { book, terms } = fixture.lane;
      claimer = new ChannelClaimer({ book, terms, rail: stage.rail, authorizer, logger: pino({ level: "silent" }) });

      app = Fastify();
      app.removeAllContentTypeParsers();
      app.addContentTypeParser("application/json", { parseAs: "buffer" }, (_request, body, done) => done(null, body));
      app.register(fixture.lane.plugin);
      app.post(CHAT, (request, reply) => {
        const header = request.headers["payment-signature"];
        const payment = typeof header === "string" ? decodePaymentHeader(header) : undefined;
        reply.hijack();
        void fixture.lane.answer("chat", request.body as Buffer, payment, { headers: request.headers, url }, reply.raw);
      });
      await app.ready();
      fixture.lane.takeFirst(app.server, {
        bodyBytes: 10_000,
        headerCount: 50,
        paymentHeaderBytes: 8_192,
        refusalsPerMinute: Infinity,
        paidPerMinute: Infinity,
      });
      url = await app.listen({ port: 0, host: "127.0.0.1" });
    });
    after(async () => {
      await app.close();
      await fixture.stop();
      await stage.close();
    });

    /** A client with a wallet that has forgotten everything, or not. */
    function client(storage = new InMemoryClientChannelStorage(), salt: Hex = `0x${"00".repeat(32)}`) {
      const chain = privateKeyToAccount(stage.payer.privateKey as Hex);
      const readContract = async ({ address, abi, functionName, args }: ContractRead): Promise<unknown> => {
        const contract = new Contract(address, abi as InterfaceAbi, stage.payer.provider);
        return contract.getFunction(functionName)(...(args ?? []));
      };
      const scheme = new BatchSettlementEvmScheme({ ...chain, readContract }, { storage, salt });
      const asset = fixture.asset;
      const payer = new x402Client().register("eip155:31337", scheme).setSpendControls({
        allowedAssets: [{ network: "eip155:31337", asset, maxAmountPerPayment: `${CAP * 1_000n}` }],
      });
      const responses: Pick<Response, "status" | "headers">[] = [];
      const watched: typeof fetch = async (...args) => {
        const response = await fetch(...args);
        responses.push({ status: response.status, headers: response.headers });
        return response;
      };
      const paying = wrapFetchWithPayment(watched, payer);
      const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: "unused", maxRetries: 0, fetch: paying });
      return { scheme, openai, responses, paying };
    }
    const ask = async (openai: OpenAI, content: string) =>
      openai.chat.completions.create({ model: "talker", messages: [user(content)] });
    const receiptFee = (answer: object): bigint => {
      const { opengradient } = answer as unknown as { opengradient: { receipt: unknown } };
      return signedReceiptSchema.parse(opengradient.receipt).receipt.fee;
    };
    const onlyChannel = () => fixture.lane.book.all()[0]!;
    const batch = () => LocalBatchSettlement__factory.connect(x402Addresses.batchSettlement, stage.payer);

    it("firstRequest_deposits_andLaterOnesNeedNoTransaction", async () => {
      const { openai, responses } = client();
      const answer = await ask(openai, "one");
      expect(answer.choices[0]?.message.content).to.equal("Hello");
      expect(receiptFee(answer)).to.equal(FEE);
      const paid = decode(responses.at(-1)!.headers.get("payment-response")) as { transaction: string };
      expect(paid.transaction).to.match(/^0x[0-9a-f]{64}$/);
      const block = await stage.rpc("eth_blockNumber");
      for (const content of ["two", "three", "four"]) await ask(openai, content);
      expect(await stage.rpc("eth_blockNumber")).to.equal(block);
      expect(responses.map(({ status }) => status)).to.deep.equal([402, 200, 402, 200, 402, 200, 402, 200]);
      expect(onlyChannel().ledger.chargedWei).to.equal(4n * FEE);
      expect(onlyChannel().chain.balanceWei).to.equal((await batch().channels(onlyChannel().id)).balance);
    });

    it("clientThatLostItsMemory_isCorrected_andGoesOn", async () => {
      const { openai, responses } = client();
      expect(receiptFee(await ask(openai, "after a loss"))).to.equal(FEE);
      expect(responses.map(({ status }) => status)).to.deep.equal([402, 402, 200]);
      expect(onlyChannel().ledger.chargedWei).to.equal(5n * FEE);
    });

    it("stream_isChargedByItsTokens_andTheNextRequestIsCorrected", async () => {
      const { openai, responses } = client();
      await ask(openai, "before");
      fixture.stream(5);
      const stream = await openai.chat.completions.create({ model: "talker", messages: [user("s")], stream: true });
      let text = "";
      for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
      expect(text).to.equal("t0t1t2t3t4");
      fixture.answer("Hello");
      expect(onlyChannel().ledger.chargedWei).to.equal(6n * FEE + 11n * 2n + 5n * 3n);
      responses.splice(0);
      await ask(openai, "after");
      expect(responses.map(({ status }) => status)).to.deep.equal([402, 402, 200]);
    });

    it("claim_paysTheReceiver_andTheChannelGoesOn", async () => {
      const { chargedWei } = onlyChannel().ledger;
      const before = await stage.opg.balanceOf(stage.receiver);
      expect(await claimer.run()).to.deep.equal({ channels: 1, claimedWei: chargedWei, lostWei: 0n, failed: 0 });
      expect((await stage.opg.balanceOf(stage.receiver)) - before).to.equal(chargedWei);
      expect(await claimer.run()).to.deep.include({ channels: 0, claimedWei: 0n });
      await ask(client().openai, "after the claim");
      expect(onlyChannel().ledger.chargedWei).to.equal(chargedWei + FEE);
    });

    it("refund_givesBackTheRest_afterClaimingWhatWasCharged", async () => {
      const { scheme, openai } = client();
      await ask(openai, "the last");
      const { id, ledger } = onlyChannel();
      const { balance } = await batch().channels(id);
      const before = await stage.opg.balanceOf(stage.payer);
      const settled = await scheme.refund(url + CHAT);
      expect(settled.success).to.equal(true);
      expect((await stage.opg.balanceOf(stage.payer)) - before).to.equal(balance - ledger.chargedWei);
      expect((await batch().channels(id)).totalClaimed).to.equal(ledger.chargedWei);
      expect(String(await rejection(scheme.refund(url + CHAT)))).to.match(/no_balance|no remaining balance/);
    });

    it("deposit_afterARefund_reopensTheChannel", async () => {
      const { chargedWei } = onlyChannel().ledger;
      await ask(client().openai, "again");
      expect(onlyChannel().ledger.chargedWei).to.equal(chargedWei + FEE);
    });

    it("depositWhoseRequestFails_isKept_andPaysForTheNext", async () => {
      const storage = new InMemoryClientChannelStorage();
      const { openai, responses } = client(storage, `0x${"01".repeat(32)}`);
      fixture.upstream.answer = { status: 500, type: "application/json", pieces: ["{}"] };
      await rejection(ask(openai, "fails"));
      fixture.answer("Hello");
      const block = await stage.rpc("eth_blockNumber");
      await ask(openai, "works");
      expect(await stage.rpc("eth_blockNumber")).to.equal(block);
      expect(responses.map(({ status }) => status)).to.deep.equal([402, 502, 402, 200]);
    });

    it("drainedDuringARequest_isClaimedBeforeTheWithdrawalIsDue", async () => {
      const { openai, scheme, paying } = client(undefined, `0x${"02".repeat(32)}`);
      await ask(openai, "first");
      // before the chain's clock goes ahead of the one that deposits are dated by
      await ask(client(undefined, `0x${"03".repeat(32)}`).openai, "first");
      const channel = fixture.lane.book.all().find(({ config }) => config.salt === `0x${"02".repeat(32)}`)!;
      const config = scheme.buildChannelConfig(fixture.lane.terms.requirements(fixture.payout, CAP));
      const wake = fixture.upstream.hold();
      const asked = paying(url + CHAT, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ model: "talker", messages: [user("slow")] }),
      });
      await fixture.upstream.held();
      const { balance } = await batch().channels(channel.id);
      await (await batch().initiateWithdraw(config, balance)).wait();
      wake();
      expect((await asked).status).to.equal(200);
      expect(channel.ledger.chargedWei).to.equal(2n * FEE);
      expect(await claimer.run()).to.deep.include({ lostWei: 0n, failed: 0 });
      await stage.rpc("evm_increaseTime", config.withdrawDelay);
      await (await batch().finalizeWithdraw(config)).wait();
      expect((await batch().channels(channel.id)).totalClaimed).to.equal(2n * FEE);
      // what the claimer saw is known: no more requests, whatever the client thinks
      await rejection(ask(openai, "third"));
      expect(channel.ledger.chargedWei).to.equal(2n * FEE);
    });

    it("drainedWhileNobodyLooked_isTold", async () => {
      const { openai, scheme } = client(undefined, `0x${"03".repeat(32)}`);
      await ask(openai, "second");
      const salt = `0x${"03".repeat(32)}`;
      const channel = fixture.lane.book.all().find(({ config }) => config.salt === salt)!;
      const config = scheme.buildChannelConfig(fixture.lane.terms.requirements(fixture.payout, CAP));
      const { balance, totalClaimed } = await batch().channels(channel.id);
      await (await batch().initiateWithdraw(config, balance - totalClaimed)).wait();
      await stage.rpc("evm_increaseTime", config.withdrawDelay);
      await (await batch().finalizeWithdraw(config)).wait();
      expect(await claimer.run()).to.deep.include({ lostWei: FEE, failed: 0 });
    });
  });
}
