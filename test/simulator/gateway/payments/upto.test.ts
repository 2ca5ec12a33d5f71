import { decodePaymentRequiredHeader, decodePaymentResponseHeader } from "@x402/core/http";
import type { PaymentPayload } from "@x402/core/types";
import { PERMIT2_ADDRESS } from "@x402/evm";
import { wrapFetchWithPayment } from "@x402/fetch";
import { expect } from "chai";
import { MaxUint256, parseEther } from "ethers";
import OpenAI from "openai";
import { pino } from "pino";
import type { Gateway, GatewayOptions } from "../../../../simulator/gateway/Gateway.ts";
import { FixedPrice } from "../../../../simulator/pricing/FixedPrice.ts";
import { OpgPrice } from "../../../../simulator/pricing/OpgPrice.ts";
import type { Hex } from "../../../../simulator/receipts/types.ts";
import { chat, errorCode, eventually, GatewayFixture, MODEL, post, type PostOptions } from "../gatewayFixture.ts";
import { NODE_TOKEN, type ScriptedNode } from "../ScriptedNode.ts";
import { craftedPermit, type PermitFields, stockClient } from "./uptoClient.ts";

const CAP = parseEther("0.1");
/** At $0.05 for an OPG: 4 and 20 gwei. */
const TOKEN_PRICE = { inputPicoUsd: 200n, outputPicoUsd: 1_000n };
const [INPUT, OUTPUT] = [4_000_000_000n, 20_000_000_000n];
const costOf = (inputTokens: number, outputTokens = inputTokens): bigint =>
  INPUT * BigInt(inputTokens) + OUTPUT * BigInt(outputTokens);

interface Proof {
  opengradient: { receipt: { fee: string; requestId: string } };
}

describe("Gateway: upto sessions", () => {
  let fixture: GatewayFixture;
  let node: ScriptedNode;
  let gateway: Gateway;

  before(async () => {
    fixture = await GatewayFixture.start({ permit2: true });
    node = fixture.newNode({ tokenPrice: TOKEN_PRICE, maxOutputTokens: 1_000 });
    await node.start();
    await (await fixture.chain.opg.connect(fixture.payer).approve(PERMIT2_ADDRESS, MaxUint256)).wait();
    gateway = await open();
  });

  after(async () => {
    await fixture.stop();
    await node.stop();
  });

  afterEach(() => {
    node.script = (words, say) => Promise.resolve(words.forEach(say));
  });

  const priceOf = (usd: string): OpgPrice =>
    new OpgPrice({
      sources: [new FixedPrice(usd)],
      bounds: { minPicoUsd: 10n ** 9n, maxPicoUsd: 10n ** 13n },
      logger: pino({ level: "silent" }),
    });

  const open = (options: Partial<GatewayOptions> = {}): Promise<Gateway> =>
    fixture.openGateway({
      nodes: [{ url: node.url, token: NODE_TOKEN }],
      opgPrice: priceOf("0.05"),
      sessionIdleMs: 3_600_000,
      ...options,
    });

  const openai = (at: Gateway, schemes: ("exact" | "upto")[] = ["upto"]): OpenAI =>
    new OpenAI({
      baseURL: `${at.url}/v1`,
      apiKey: "none",
      maxRetries: 0,
      fetch: wrapFetchWithPayment(fetch, stockClient(fixture.chain, fixture.payer, schemes)),
    });

  /** A PAYMENT-SIGNATURE for the scheme. */
  const pay = (at: Gateway, body: object, payer = fixture.payer): Promise<string> =>
    fixture.pay(at, body, { client: stockClient(fixture.chain, payer) });

  const crafted = (at: Gateway, body: object, changes: Partial<PermitFields>, payer = fixture.payer): Promise<string> =>
    fixture.pay(at, body, {
      client: stockClient(fixture.chain, payer),
      change: ({ accepted }) => craftedPermit(fixture.chain, payer, accepted, changes),
    });

  const ask = (at: Gateway, body: object, payment: string, more: PostOptions = {}): Promise<Response> =>
    post(at, body, { payment, ...more });

  const owed = (at: Gateway): bigint => at.store.outstandingWei(fixture.payer.address.toLowerCase() as Hex);

  /** Runs `work` and waits until exactly `wei` were paid for it in one transfer. */
  async function settling<T>(wei: bigint, work: () => Promise<T>): Promise<T> {
    const before = await fixture.received();
    const result = await work();
    await eventually(async () => (await fixture.received()) !== before, "a settlement");
    expect((await fixture.received()) - before).to.equal(wei);
    return result;
  }

  describe("stock openai client with stock x402 client", () => {
    it("chat_paidRequest_isChargedByTokens", async () => {
      const quick = await open({ sessionIdleMs: 0, sweepMs: 20 });
      await settling(costOf(3), async () => {
        const { data, response } = await openai(quick)
          .chat.completions.create({ model: MODEL, messages: [{ role: "user", content: "pay per token" }] })
          .withResponse();
        expect(data.choices[0]?.message.content).to.equal("pay per token");
        expect((data as unknown as Proof).opengradient.receipt.fee).to.equal(costOf(3).toString());
        const paid = decodePaymentResponseHeader(response.headers.get("payment-response") ?? "");
        expect(paid.amount).to.equal(costOf(3).toString());
        expect(paid.extra).to.deep.equal({
          settlement: "session",
          sessionChargedWei: costOf(3).toString(),
          sessionRemainingWei: (CAP - costOf(3)).toString(),
        });
      });
      await eventually(() => quick.sessions.counts().settled === 1, "the session settled");
      expect(owed(quick)).to.equal(0n);
    });

    it("stream_paidRequest_isChargedByTokens", async () => {
      const quick = await open({ sessionIdleMs: 0, sweepMs: 20 });
      await settling(costOf(4), async () => {
        const stream = await openai(quick).chat.completions.create({
          model: MODEL,
          messages: [{ role: "user", content: "one two three four" }],
          stream: true,
        });
        let proof: Proof | undefined;
        for await (const chunk of stream) if ("opengradient" in chunk) proof = chunk as unknown as Proof;
        expect(proof?.opengradient.receipt.fee).to.equal(costOf(4).toString());
      });
    });

    it("chat_payerWithoutAllowanceOrEther_isSponsored", async () => {
      const quick = await open({ sessionIdleMs: 0, sweepMs: 20 });
      const payer = fixture.chain.account(5);
      await (await fixture.chain.opg.transfer(payer.address, CAP)).wait();
      await fixture.chain.provider.send("hardhat_setBalance", [payer.address, "0x0"]);
      await settling(costOf(2), async () => {
        const client = new OpenAI({
          baseURL: `${quick.url}/v1`,
          apiKey: "none",
          maxRetries: 0,
          fetch: wrapFetchWithPayment(fetch, stockClient(fixture.chain, payer)),
        });
        await client.chat.completions.create({ model: MODEL, messages: [{ role: "user", content: "no gas" }] });
      });
      expect(await fixture.chain.opg.balanceOf(payer.address)).to.equal(CAP - costOf(2));
    });

    for (const schemes of [["exact"], ["upto"], ["exact", "upto"]] as ("exact" | "upto")[][]) {
      it(`chat_clientOf_${schemes.join("And")}_isServed`, async () => {
        const { response } = await openai(gateway, schemes)
          .chat.completions.create({ model: MODEL, messages: [{ role: "user", content: "hello" }] })
          .withResponse();
        const { extra } = decodePaymentResponseHeader(response.headers.get("payment-response") ?? "");
        // with both, a model that is sold by the token is paid by use
        expect(extra?.settlement).to.equal(schemes.includes("upto") ? "session" : "deferred");
      });
    }
  });

  describe("what is asked for", () => {
    const accepts = async (at: Gateway, body: object): Promise<PaymentPayload["accepted"][]> => {
      const header = (await post(at, body)).headers.get("payment-required") ?? "";
      expect(header.length).to.be.below(8_000);
      const required = decodePaymentRequiredHeader(header);
      expect(Object.keys(required.extensions ?? {})).to.include("eip2612GasSponsoring");
      return required.accepts;
    };
    const kind = ({ scheme, extra }: PaymentPayload["accepted"]): string =>
      `${scheme}${extra?.assetTransferMethod === "permit2" ? "/permit2" : ""}`;

    it("post_unpaid_soldByToken_asksForUptoFirst", async () => {
      const all = await accepts(gateway, chat("hi"));
      expect(all.map(kind)).to.deep.equal(["upto/permit2", "exact", "exact/permit2"]);
      expect(all[0]?.amount).to.equal(CAP.toString());
    });

    it("post_unpaid_soldByRequest_asksForExactFirst", async () => {
      const fixed = await fixture.openGateway();
      expect((await accepts(fixed, chat("hi"))).map(kind)).to.deep.equal(["exact", "upto/permit2", "exact/permit2"]);
    });

    it("post_unpaid_requestThatMayCostMoreThanASession_asksForMore", async () => {
      const dear = await open({ opgPrice: priceOf("0.001"), sessionCapWei: 10n ** 12n });
      const [upto] = await accepts(dear, chat("hi", { max_tokens: 10 }));
      // a body of 79 bytes, each a token at most, and 10 tokens of the answer
      const bytes = BigInt(JSON.stringify(chat("hi", { max_tokens: 10 })).length);
      const worst = 50n * (INPUT * bytes + OUTPUT * 10n);
      expect(BigInt(upto!.amount) >= worst).to.equal(true);
      expect(BigInt(upto!.amount) - worst < 10n ** 12n).to.equal(true);
      const payment = await pay(dear, chat("hi", { max_tokens: 10 }));
      expect((await ask(dear, chat("hi", { max_tokens: 10 }), payment)).status).to.equal(200);
    });

    it("post_priceUnknown_fixedFeesStillSell", async () => {
      const blind = await open({ opgPrice: priceOf("0.0000001") });
      expect((await accepts(blind, chat("hi"))).map(kind)).to.deep.equal(["exact", "exact/permit2"]);
      const response = await ask(blind, chat("hi"), await pay(gateway, chat("hi")));
      expect(response.status).to.equal(503);
      expect(response.headers.get("retry-after")).to.not.equal(null);
      expect(await errorCode(response)).to.equal("price_unavailable");
      const exact = await fixture.pay(blind, chat("hi"));
      expect((await ask(blind, chat("hi"), exact)).status).to.equal(200);
      const models = (await (await fetch(`${blind.url}/v1/models`)).json()) as {
        data: { opengradient: { tariff: unknown } }[];
      };
      expect(models.data[0]?.opengradient.tariff).to.equal(null);
    });

    it("models_soldByToken_listPriceAndTariff", async () => {
      const { data } = (await (await fetch(`${gateway.url}/v1/models`)).json()) as { data: { opengradient: object }[] };
      expect(data[0]?.opengradient).to.deep.include({
        tokenPrice: { inputPicoUsd: "200", outputPicoUsd: "1000" },
        tariff: { baseWei: "0", inputWei: INPUT.toString(), outputWei: OUTPUT.toString() },
        maxOutputTokens: 1_000,
      });
    });
  });

  describe("one authorization, several requests", () => {
    it("post_threeRequests_areSettledOnceTogether", async () => {
      const quick = await open({ sessionIdleMs: 300, sweepMs: 20 });
      const payment = await pay(quick, chat("a"));
      const before = await fixture.chain.provider.getTransactionCount(fixture.chain.account(9).address);
      const ids = await settling(costOf(1) + costOf(2) + costOf(3), async () => {
        const proofs = [];
        for (const content of ["a", "a b", "a b c"]) {
          const response = await ask(quick, chat(content), payment);
          expect(response.status).to.equal(200);
          proofs.push((await response.json()) as Proof);
        }
        return proofs.map(({ opengradient }) => opengradient.receipt.requestId);
      });
      expect(new Set(ids).size).to.equal(3);
      expect(await fixture.chain.provider.getTransactionCount(fixture.chain.account(9).address)).to.equal(before + 1);
      await eventually(() => quick.sessions.counts().settled === 1, "the session settled");
      const late = await ask(quick, chat("too late"), payment);
      expect(late.status).to.equal(402);
      expect(await errorCode(late)).to.equal("session_closed");
      // what was bought can still be fetched, now with the transaction that paid it
      const again = await ask(quick, chat("a b"), payment);
      expect(again.status).to.equal(200);
      const { transaction } = decodePaymentResponseHeader(again.headers.get("payment-response") ?? "");
      expect(again.headers.get("x-settlement-tx-hash")).to.equal(transaction);
      expect((await fixture.chain.provider.getTransactionReceipt(transaction))?.status).to.equal(1);
    });

    it("post_sameRequestTwentyTimesAtOnce_isAnsweredAndChargedOnce", async () => {
      const payment = await pay(gateway, chat("once"));
      const [count, before] = [node.inferences, owed(gateway)];
      const answers = await Promise.all(
        Array.from({ length: 20 }, async () => (await ask(gateway, chat("just this once"), payment)).text()),
      );
      expect(new Set(answers).size).to.equal(1);
      expect(node.inferences - count).to.equal(1);
      expect(owed(gateway) - before).to.equal(costOf(3));
    });

    it("post_sameBodyWithAnotherIdempotencyKey_isAnotherRequest", async () => {
      const payment = await pay(gateway, chat("key"));
      const [count, before] = [node.inferences, owed(gateway)];
      for (const key of ["a", "b", "a"]) {
        const response = await ask(gateway, chat("same body"), payment, { headers: { "idempotency-key": key } });
        expect(response.status).to.equal(200);
      }
      expect(node.inferences - count).to.equal(2);
      expect(owed(gateway) - before).to.equal(2n * costOf(2));
    });

    it("post_failedInference_isNotChargedAndTheSessionGoesOn", async () => {
      const payment = await pay(gateway, chat("fails"));
      const before = owed(gateway);
      node.script = () => Promise.reject(new Error("out of memory"));
      expect((await ask(gateway, chat("fails"), payment)).status).to.equal(502);
      expect(owed(gateway)).to.equal(before);
      node.script = (words, say) => Promise.resolve(words.forEach(say));
      expect((await ask(gateway, chat("fails"), payment)).status).to.equal(200);
      expect(owed(gateway) - before).to.equal(costOf(1));
    });

    it("post_moreAtOnceThanTheSessionCanPay_areRefusedAndTheRestIsCharged", async () => {
      // a request may cost what its bytes and 10 tokens come to; three fit
      const body = (i: number): object => chat(`race number ${i}`, { max_tokens: 10 });
      const worst = INPUT * BigInt(JSON.stringify(body(0)).length) + OUTPUT * 10n;
      const small = await open({ sessionCapWei: 3n * worst, sweepMs: 20 });
      const payment = await pay(small, body(0));
      const before = owed(small);
      let waiting = 0;
      const released = Promise.withResolvers<void>();
      node.script = async (words, say) => {
        waiting++;
        await released.promise;
        words.forEach(say);
      };
      const asked = Array.from({ length: 10 }, (_, i) => ask(small, body(i), payment));
      const refused: Response[] = [];
      for (const answer of asked) void answer.then((response) => response.status === 402 && refused.push(response));
      await eventually(() => waiting === 3 && refused.length === 7, "three requests under way and seven refused");
      expect(owed(small) - before).to.equal(3n * worst);
      for (const response of refused) expect(await errorCode(response)).to.equal("session_exhausted");
      released.resolve();
      const statuses = (await Promise.all(asked)).map(({ status }) => status);
      expect(statuses.filter((status) => status === 200)).to.have.length(3);
      expect(owed(small) - before).to.equal(3n * costOf(3));
    });
  });
});
