import { decodePaymentRequiredHeader, decodePaymentResponseHeader } from "@x402/core/http";
import type { PaymentPayload } from "@x402/core/types";
import { PERMIT2_ADDRESS, permit2WitnessTypes, x402ExactPermit2ProxyAddress } from "@x402/evm";
import { wrapFetchWithPayment } from "@x402/fetch";
import { expect } from "chai";
import { getAddress, MaxUint256, parseEther } from "ethers";
import Fastify from "fastify";
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
    fixture = await GatewayFixture.start();
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

  /** One whose file outlives it. */
  async function openFor(storeFile: string): Promise<Gateway> {
    const nodes = [{ url: node.url, token: NODE_TOKEN }];
    const opened = fixture.newGateway({ storeFile, nodes, opgPrice: priceOf("0.05"), sessionIdleMs: 3_600_000 });
    await opened.start();
    return opened;
  }

  /** Replaces a gateway by one that settles every session at once. */
  async function endSessions(at: Gateway, storeFile: string): Promise<Gateway> {
    await at.stop();
    return open({ storeFile, sessionIdleMs: 0, sweepMs: 20 });
  }

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
      expect(BigInt(upto?.amount ?? 0) >= worst).to.equal(true);
      expect(BigInt(upto?.amount ?? 0) - worst < 10n ** 12n).to.equal(true);
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

    it("post_priceChangesBeforeThePaymentComes_isChargedAsTold", async () => {
      let picoUsd = 50_000_000_000n;
      const moving = new OpgPrice({
        sources: [{ name: "moving", read: () => Promise.resolve({ picoUsd, observedAtMs: Date.now() }) }],
        bounds: { minPicoUsd: 10n ** 9n, maxPicoUsd: 10n ** 13n },
        logger: pino({ level: "silent" }),
      });
      const at = await open({ opgPrice: moving });
      const payment = await pay(at, chat("told before"));
      picoUsd /= 2n;
      await moving.refresh();
      const fee = async (body: object, paid: string): Promise<string> =>
        ((await (await ask(at, body, paid)).json()) as Proof).opengradient.receipt.fee;
      expect(await fee(chat("told before"), payment)).to.equal(costOf(2).toString());
      // who makes up a price pays the one of now
      const invented = await fixture.pay(at, chat("made up"), {
        client: stockClient(fixture.chain, fixture.payer),
        change: (payload) => {
          const { extra } = payload.accepted;
          const tariff = { baseWei: "0", inputWei: "1", outputWei: "1" };
          return { ...payload, accepted: { ...payload.accepted, extra: { ...extra, tariff } } };
        },
      });
      expect(await fee(chat("made up"), invented)).to.equal((2n * costOf(2)).toString());
    });

    it("post_unpaid_manyOperators_keepsTheHeaderShort", async () => {
      const others = Array.from({ length: 4 }, (_, i) =>
        fixture.newNode({ tokenPrice: TOKEN_PRICE, payout: `0x${`${i + 1}`.repeat(40)}` }),
      );
      await Promise.all(others.map((each) => each.start()));
      try {
        const many = await open({ nodes: others.map(({ url }) => ({ url, token: NODE_TOKEN })) });
        const all = await accepts(many, chat("hi"));
        // the first operator's offers are all there
        expect(all.slice(0, 3).map(kind)).to.deep.equal(["upto/permit2", "exact", "exact/permit2"]);
        expect(all.length).to.be.below(12);
      } finally {
        await Promise.all(others.map((each) => each.stop()));
      }
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
      const storeFile = fixture.newFile();
      const first = await openFor(storeFile);
      const payment = await pay(first, chat("a"));
      const before = await fixture.chain.provider.getTransactionCount(fixture.chain.account(9).address);
      const proofs: Proof[] = [];
      for (const content of ["a", "a b", "a b c"]) {
        const response = await ask(first, chat(content), payment);
        expect(response.status).to.equal(200);
        proofs.push((await response.json()) as Proof);
      }
      expect(new Set(proofs.map(({ opengradient }) => opengradient.receipt.requestId)).size).to.equal(3);
      const next = await settling(costOf(1) + costOf(2) + costOf(3), () => endSessions(first, storeFile));
      expect(await fixture.chain.provider.getTransactionCount(fixture.chain.account(9).address)).to.equal(before + 1);
      await eventually(() => next.sessions.counts().settled === 1, "the session settled");
      const late = await ask(next, chat("too late"), payment);
      expect(late.status).to.equal(402);
      expect(await errorCode(late)).to.equal("session_closed");
      // what was bought can still be fetched, now with the transaction that paid it
      const again = await ask(next, chat("a b"), payment);
      expect(again.status).to.equal(200);
      const { transaction } = decodePaymentResponseHeader(again.headers.get("payment-response") ?? "");
      expect(again.headers.get("x-settlement-tx-hash"), "that is the receipt's").to.equal(null);
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

  describe("when sessions end", () => {
    it("session_thatChargedNothing_isNeverSettledAndItsNonceStaysRefused", async () => {
      const quick = await open({ sessionIdleMs: 50, sweepMs: 20 });
      const payment = await pay(quick, chat("fails"));
      node.script = () => Promise.reject(new Error("out of memory"));
      expect((await ask(quick, chat("fails"), payment)).status).to.equal(502);
      await eventually(() => quick.sessions.counts().closed === 1, "the session closed");
      node.script = (words, say) => Promise.resolve(words.forEach(say));
      const count = node.inferences;
      for (const body of [chat("fails"), chat("other")]) {
        const response = await ask(quick, body, payment);
        expect(response.status).to.equal(402);
        expect(await errorCode(response)).to.equal("session_closed");
      }
      // not even when everything that may be forgotten is
      await quick.sessions.purge(Date.now() + 1, Math.floor(Date.now() / 1000));
      expect(await errorCode(await ask(quick, chat("fails"), payment))).to.equal("session_closed");
      expect(node.inferences).to.equal(count);
      const { pending, submitted } = await fixture.facilitator.store.counts();
      expect(pending + submitted).to.equal(0);
    });

    it("session_whosePermitExpiresSoon_isSettledAtOnce", async () => {
      const short = await open({ answerTimeoutMs: 1_000, sweepMs: 20 });
      const body = chat("hurry");
      const soon = BigInt(Math.floor(Date.now() / 1000)) + 62n;
      await settling(costOf(1), async () => {
        expect((await ask(short, body, await crafted(short, body, { deadline: soon }))).status).to.equal(200);
      });
    });

    it("session_usedUp_isSettledAtOnce", async () => {
      const body = chat("all of it", { max_tokens: 3 });
      const cap = 4n * INPUT * BigInt(JSON.stringify(body).length);
      const small = await open({ sessionCapWei: cap, sweepMs: 20 });
      const payment = await pay(small, body);
      await settling(costOf(3), async () => {
        expect((await ask(small, body, payment)).status).to.equal(200);
        const tooMuch = await ask(small, chat("all of it and a bit more than there is", { max_tokens: 100 }), payment);
        expect(await errorCode(tooMuch)).to.equal("session_exhausted");
        // and a new one can be signed for what that request may cost
        const required = decodePaymentRequiredHeader(tooMuch.headers.get("payment-required") ?? "");
        expect(BigInt(required.accepts[0]?.amount ?? 0) > cap).to.equal(true);
      });
    });

    it("restart_openSession_goesOnAndIsSettledOnce", async () => {
      const storeFile = fixture.newFile();
      const first = await openFor(storeFile);
      const payment = await pay(first, chat("before"));
      expect((await ask(first, chat("before"), payment)).status).to.equal(200);
      await first.stop();
      const second = await openFor(storeFile);
      expect(owed(second)).to.equal(costOf(1));
      expect((await ask(second, chat("and after"), payment)).status).to.equal(200);
      expect(owed(second)).to.equal(costOf(1) + costOf(2));
      await settling(costOf(1) + costOf(2), () => endSessions(second, storeFile));
    });
  });

  describe("attacks", () => {
    const now = (): bigint => BigInt(Math.floor(Date.now() / 1000));
    const other = `0x${"98".repeat(20)}`;
    const cases: [string, string, () => Partial<PermitFields>, Partial<PaymentPayload["accepted"]>?][] = [
      ["lessThanTheCap", "permit2_amount_mismatch", () => ({ amount: CAP - 1n })],
      ["lessThanTheCapInItsTermsToo", "no_matching_requirements", () => ({}), { amount: (CAP - 1n).toString() }],
      ["nothing", "no_matching_requirements", () => ({}), { amount: "0" }],
      ["otherToken", "permit2_token_mismatch", () => ({ token: other })],
      ["otherTokenInItsTermsToo", "no_matching_requirements", () => ({}), { asset: other }],
      ["otherNetwork", "no_matching_requirements", () => ({}), { network: "eip155:8453" }],
      ["otherChainUnderTheSignature", "invalid_permit2_signature", () => ({ chainId: 8453n })],
      ["otherRecipient", "invalid_permit2_recipient_mismatch", () => ({ to: other })],
      ["otherRecipientInItsTermsToo", "no_matching_requirements", () => ({}), { payTo: other }],
      ["otherFacilitator", "upto_facilitator_mismatch", () => ({ facilitator: other })],
      ["otherSpender", "invalid_permit2_spender", () => ({ spender: other })],
      ["expired", "payment_expires_too_soon", () => ({ deadline: now() - 10n })],
      ["expiresDuringTheInference", "payment_expires_too_soon", () => ({ deadline: now() + 100n })],
      ["notYetValid", "permit2_not_yet_valid", () => ({ validAfter: now() + 1_000n })],
    ];
    for (const [name, code, changes, terms] of cases) {
      it(`post_${name}_isRefusedBeforeTheModelRuns`, async () => {
        const count = node.inferences;
        const body = chat("for nothing");
        const payment = await fixture.pay(gateway, body, {
          client: stockClient(fixture.chain, fixture.payer),
          change: ({ accepted }) => craftedPermit(fixture.chain, fixture.payer, { ...accepted, ...terms }, changes()),
        });
        const response = await ask(gateway, body, payment);
        expect(response.status).to.equal(402);
        const { error } = (await response.json()) as { error: { code: string; message: string } };
        expect(error.code, error.message).to.equal(code);
        // what to do
        expect(error.message).to.match(/sign|pay/);
        expect(node.inferences).to.equal(count);
      });
    }

    it("post_noAllowance_saysHowToGiveOne", async () => {
      const payer = fixture.chain.account(6);
      await (await fixture.chain.opg.transfer(payer.address, CAP)).wait();
      const response = await ask(gateway, chat("x"), await crafted(gateway, chat("x"), {}, payer));
      expect(response.status).to.equal(402);
      const { error } = (await response.json()) as { error: { code: string; message: string } };
      expect(error.code).to.equal("permit2_allowance_required");
      expect(error.message).to.contain(PERMIT2_ADDRESS);
    });

    it("post_sameNonceWithAnotherSignature_isRefused", async () => {
      const body = chat("mine");
      const nonce = 4_711n;
      const first = await crafted(gateway, body, { nonce });
      const second = await crafted(gateway, body, { nonce, deadline: now() + 3_000n });
      expect((await ask(gateway, body, first)).status).to.equal(200);
      for (const asked of [body, chat("more")]) {
        expect(await errorCode(await ask(gateway, asked, second))).to.equal("payment_already_used");
      }
    });

    it("post_sameNonceByExactAndUpto_buysOnce", async () => {
      const body = chat("twice");
      const nonce = 4_712n;
      const exact = await fixture.pay(gateway, body, {
        client: stockClient(fixture.chain, fixture.payer, ["exact"]).registerPolicy((_version, all) =>
          all.filter(({ extra }) => extra?.assetTransferMethod === "permit2"),
        ),
        change: (payload) => craftedExactPermit(payload, nonce),
      });
      const upto = await crafted(gateway, body, { nonce });
      expect((await ask(gateway, body, upto)).status).to.equal(200);
      expect(await errorCode(await ask(gateway, body, exact))).to.equal("payment_already_used");
    });

    it("post_manySessionsOfAPayerWhoHoldsLittle_areServedForWhatItHolds", async () => {
      const payer = fixture.chain.account(7);
      await (await fixture.chain.opg.transfer(payer.address, CAP)).wait();
      await (await fixture.chain.opg.connect(payer).approve(PERMIT2_ADDRESS, MaxUint256)).wait();
      const body = (i: number): object => chat(`session ${i}`, { max_tokens: 10 });
      const worst = INPUT * BigInt(JSON.stringify(body(0)).length) + OUTPUT * 10n;
      // each of ten sessions may cost a fourth of what the payer holds
      const strict = await open({ exposureCapWei: 4n * worst });
      const released = Promise.withResolvers<void>();
      node.script = async (words, say) => {
        await released.promise;
        words.forEach(say);
      };
      const payments = await Promise.all(Array.from({ length: 10 }, (_, i) => pay(strict, body(i), payer)));
      let refused = 0;
      const asked = payments.map(async (payment, i) => {
        const { status } = await ask(strict, body(i), payment);
        if (status === 429) refused++;
        return status;
      });
      await eventually(() => refused === 6, "six refused");
      released.resolve();
      expect((await Promise.all(asked)).filter((status) => status === 200)).to.have.length(4);
    });

    it("post_nodeThatChargesMoreThanItsTokens_isNotPaid", async () => {
      const greedy = fixture.newNode({ tokenPrice: TOKEN_PRICE, maxOutputTokens: 1_000 });
      const at = await withTamperedNode(greedy, (json) => ({
        ...json,
        usage: { prompt_tokens: 1, completion_tokens: 1 },
      }));
      const payment = await pay(at.gateway, chat("a b c"));
      const response = await ask(at.gateway, chat("a b c"), payment);
      expect(response.status).to.equal(502);
      expect(await errorCode(response)).to.equal("bad_receipt");
      expect(at.gateway.sessions.counts()).to.include({ settling: 0, settled: 0 });
      await at.stop();
    });
  });

  /** An `exact` payment by Permit2 with a chosen nonce. */
  async function craftedExactPermit({ accepted }: PaymentPayload, nonce: bigint): Promise<PaymentPayload> {
    const deadline = BigInt(Math.floor(Date.now() / 1000)) + 3_600n;
    const message = {
      permitted: { token: getAddress(accepted.asset), amount: accepted.amount },
      spender: x402ExactPermit2ProxyAddress,
      nonce: nonce.toString(),
      deadline: deadline.toString(),
      witness: { to: getAddress(accepted.payTo), validAfter: "0" },
    };
    const types = Object.fromEntries(
      Object.entries(permit2WitnessTypes).map(([name, members]) => [name, [...members]]),
    );
    const domain = { name: "Permit2", chainId: fixture.chain.chainId, verifyingContract: PERMIT2_ADDRESS };
    const signature = await fixture.payer.signTypedData(domain, types, message);
    return {
      x402Version: 2,
      resource: { url: "http://127.0.0.1/test" },
      accepted,
      payload: { signature, permit2Authorization: { from: fixture.payer.address, ...message } },
    };
  }

  /** A gateway before a node whose answers are changed on their way. */
  async function withTamperedNode(
    behind: ScriptedNode,
    change: (json: Record<string, unknown>) => object,
  ): Promise<{ gateway: Gateway; stop: () => Promise<void> }> {
    await behind.start();
    const proxy = Fastify();
    proxy.removeAllContentTypeParsers();
    proxy.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => done(null, body));
    proxy.all("/*", async (request, reply) => {
      const headers = new Headers(request.headers as Record<string, string>);
      for (const name of ["host", "connection", "content-length", "transfer-encoding"]) headers.delete(name);
      const answer = await fetch(behind.url + request.url, {
        method: request.method,
        headers,
        ...(request.method === "POST" && { body: new Uint8Array(request.body as Buffer) }),
      });
      const json = (await answer.json()) as Record<string, unknown>;
      return reply.code(answer.status).send("opengradient" in json ? change(json) : json);
    });
    const url = await proxy.listen({ host: "127.0.0.1", port: 0 });
    return {
      gateway: await open({ nodes: [{ url, token: NODE_TOKEN }] }),
      stop: async () => {
        await proxy.close();
        await behind.stop();
      },
    };
  }
});
