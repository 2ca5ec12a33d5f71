import { decodePaymentRequiredHeader, decodePaymentResponseHeader } from "@x402/core/http";
import type { PaymentPayload } from "@x402/core/types";
import { expect } from "chai";
import OpenAI from "openai";
import type { Gateway } from "../../../simulator/gateway/Gateway.ts";
import type { Hex } from "../../../simulator/receipts/types.ts";
import { craftedPayment, requirementsFor } from "../facilitator/payments.ts";
import { CHAT, chat, errorCode, eventually, FEE, GatewayFixture, MODEL, post } from "./gatewayFixture.ts";
import { NODE_TOKEN } from "./ScriptedNode.ts";

describe("Gateway", () => {
  let fixture: GatewayFixture;
  let gateway: Gateway;

  before(async () => {
    fixture = await GatewayFixture.start();
    gateway = await fixture.openGateway();
  });

  after(() => fixture.stop());

  afterEach(() => {
    fixture.node.script = (words, say) => Promise.resolve(words.forEach(say));
  });

  /** Runs `work` and waits until the node's payout has grown by `fees` fees. */
  async function charging<T>(fees: bigint, work: () => Promise<T>): Promise<T> {
    await fixture.settled(gateway);
    const before = await fixture.received();
    const result = await work();
    await eventually(async () => (await fixture.received()) - before === fees * FEE, `${fees} fees received`);
    return result;
  }

  /** Runs `work`, which must leave nothing to charge. */
  async function chargingNothing<T>(work: () => Promise<T>): Promise<T> {
    await fixture.settled(gateway);
    const before = await fixture.received();
    const owed = gateway.store.outstandingWei(fixture.payer.address.toLowerCase() as Hex);
    const result = await work();
    expect(gateway.store.outstandingWei(fixture.payer.address.toLowerCase() as Hex)).to.equal(owed);
    expect(await fixture.facilitator.store.counts()).to.include({ pending: 0, submitted: 0 });
    expect(await fixture.received()).to.equal(before);
    return result;
  }

  describe("stock openai client with stock x402 client", () => {
    it("chat_paidRequest_isAnsweredWithItsProof", () =>
      charging(1n, async () => {
        const { data, response } = await fixture
          .openai(gateway)
          .chat.completions.create({ model: MODEL, messages: [{ role: "user", content: "hello verifiable world" }] })
          .withResponse();
        expect(data.choices[0]?.message.content).to.equal("hello verifiable world");
        const proof = (data as unknown as { opengradient: { receipt: { fee: string }; operator: string } })
          .opengradient;
        expect(proof.operator).to.equal(fixture.operator);
        expect(proof.receipt.fee).to.equal(FEE.toString());
        const header = Buffer.from(response.headers.get("x-inference-receipt") ?? "", "base64").toString();
        expect(JSON.parse(header)).to.deep.equal(proof);
        const paid = decodePaymentResponseHeader(response.headers.get("payment-response") ?? "");
        expect(paid).to.deep.include({ success: true, amount: FEE.toString(), extra: { settlement: "deferred" } });
      }));

    it("stream_paidRequest_deliversEachWordBeforeTheNextIsMade", () =>
      charging(1n, async () => {
        const order: string[] = [];
        let next: (() => void) | undefined;
        fixture.node.script = async (words, say) => {
          for (const word of words) {
            order.push(`made ${word.trim()}`);
            say(word);
            // the model goes on only when the client has seen the word: a gateway that buffers hangs here
            await new Promise<void>((resolve) => (next = resolve));
          }
        };
        const stream = await fixture.openai(gateway).chat.completions.create({
          model: MODEL,
          messages: [{ role: "user", content: "one two three" }],
          stream: true,
        });
        let proof: unknown;
        for await (const chunk of stream) {
          const word = chunk.choices[0]?.delta.content;
          if (word) {
            order.push(`seen ${word.trim()}`);
            next?.();
          }
          proof = (chunk as unknown as { opengradient?: unknown }).opengradient ?? proof;
        }
        expect(order).to.deep.equal(["made one", "seen one", "made two", "seen two", "made three", "seen three"]);
        expect(proof).to.have.nested.property("receipt.signature");
      }));

    it("completion_paidRequest_isAnswered", () =>
      charging(2n, async () => {
        const openai = fixture.openai(gateway);
        const whole = await openai.completions
          .create({ model: "echo", prompt: "once upon a time" })
          .catch((e: unknown) => e);
        // by its bare name the gateway finds it; the scripted node knows the full name only
        expect(whole).to.be.instanceOf(OpenAI.NotFoundError);
        const { choices } = await openai.completions.create({ model: MODEL, prompt: "once upon a time" });
        expect(choices[0]?.text).to.equal("once upon a time");
        let text = "";
        const stream = await openai.completions.create({ model: MODEL, prompt: "there was a node", stream: true });
        for await (const chunk of stream) text += chunk.choices[0]?.text ?? "";
        expect(text).to.equal("there was a node");
      }));

    it("models_listsWhatNodesOfferWithItsPrice", async () => {
      const { data } = await fixture.openai(gateway).models.list();
      expect(data).to.have.length(1);
      expect(data[0]).to.deep.include({ id: MODEL, object: "model", owned_by: fixture.operator });
      expect(data[0]).to.have.nested.property("opengradient.feeWei", FEE.toString());
    });
  });

  describe("without a payment", () => {
    it("post_unpaid_saysWhatToPayInHeaderAndBody", async () => {
      const response = await post(gateway, chat("hi"));
      expect(response.status).to.equal(402);
      expect(response.headers.get("cache-control")).to.equal("no-store");
      const required = decodePaymentRequiredHeader(response.headers.get("payment-required") ?? "");
      expect(required.accepts[0]).to.deep.equal(requirementsFor(fixture.chain, fixture.payout, FEE));
      expect(required.resource.url).to.equal(gateway.url + CHAT);
      const body = (await response.json()) as { accepts: unknown; error: { code: string }; help: string };
      expect(body.accepts).to.deep.equal(required.accepts);
      expect(body.error.code).to.equal("payment_required");
      expect(body.help).to.contain("PAYMENT-SIGNATURE");
    });

    const bad: [string, number, string, string, string?][] = [
      ["notJson", 400, "invalid_json", "{"],
      ["noModel", 400, "invalid_body", JSON.stringify({ messages: [{ role: "user", content: "x" }] })],
      ["noMessages", 400, "invalid_body", JSON.stringify({ model: MODEL, messages: [] })],
      ["twoChoices", 400, "invalid_body", JSON.stringify(chat("x", { n: 2 }))],
      ["unknownModel", 404, "model_not_found", JSON.stringify(chat("x", { model: "test/none" }))],
      [
        "chatModelForTensors",
        400,
        "wrong_endpoint",
        JSON.stringify({ model: MODEL, inputs: { x: [1] } }),
        "/v1/inference",
      ],
      ["unknownUrl", 404, "unknown_url", "{}", "/v1/embeddings"],
      ["tooLarge", 413, "fst_err_ctp_body_too_large", JSON.stringify(chat("x".repeat(5_000_000)))],
    ];
    for (const [name, status, code, body, route] of bad) {
      it(`post_${name}_isRefusedInOpenAisShape`, async () => {
        const response = await post(gateway, body, { ...(route !== undefined && { route }) });
        expect(response.status).to.equal(status);
        expect(await errorCode(response)).to.equal(code);
      });
    }

    it("post_oddSpellingsOfThePath_areNotServedForFree", async () => {
      const count = fixture.node.inferences;
      for (const route of [
        "//v1/chat/completions",
        "/v1/chat%2Fcompletions",
        "/v1/chat/completions/",
        "/V1/chat/completions",
      ]) {
        const response = await post(gateway, chat("x"), { route });
        expect(response.status, route).to.be.oneOf([402, 404]);
      }
      expect(fixture.node.inferences).to.equal(count);
    });
  });

  describe("one payment, one answer", () => {
    it("post_sameTwentyTimesAtOnce_runsTheModelOnce", () =>
      charging(1n, async () => {
        const body = chat("only once please");
        const payment = await fixture.pay(gateway, body);
        const count = fixture.node.inferences;
        const responses = await Promise.all(Array.from({ length: 20 }, () => post(gateway, body, { payment })));
        const texts = await Promise.all(responses.map((response) => response.text()));
        expect(new Set(responses.map(({ status }) => status))).to.deep.equal(new Set([200]));
        expect(new Set(texts).size).to.equal(1);
        expect(fixture.node.inferences - count).to.equal(1);
      }));

    it("post_sameAgainAfterSettlement_getsTheStoredAnswer", async () => {
      const body = chat("say it again");
      const payment = await fixture.pay(gateway, body);
      const count = fixture.node.inferences;
      const first = await charging(1n, async () => (await post(gateway, body, { payment })).text());
      const again = await chargingNothing(() => post(gateway, body, { payment }));
      expect(await again.text()).to.equal(first);
      const paid = decodePaymentResponseHeader(again.headers.get("payment-response") ?? "");
      expect((await fixture.chain.provider.getTransactionReceipt(paid.transaction))?.status).to.equal(1);
      expect(fixture.node.inferences - count).to.equal(1);
    });

    it("stream_sameAgain_getsTheSameEvents", () =>
      charging(1n, async () => {
        const body = chat("stream it twice", { stream: true });
        const payment = await fixture.pay(gateway, body);
        const [first, second] = [await post(gateway, body, { payment }), await post(gateway, body, { payment })];
        const text = await first.text();
        expect(text).to.match(/"opengradient".*\n\ndata: \[DONE\]\n\n$/s);
        expect(await second.text()).to.equal(text);
        expect(second.headers.get("content-type")).to.match(/^text\/event-stream/);
      }));

    it("post_otherBodyWithAUsedPayment_isRefused", () =>
      charging(1n, async () => {
        const body = chat("this one");
        const payment = await fixture.pay(gateway, body);
        expect((await post(gateway, body, { payment })).status).to.equal(200);
        for (const other of [chat("another one"), chat("this one", { stream: true }), chat("this one", { seed: 1 })]) {
          const response = await post(gateway, other, { payment });
          expect(response.status).to.equal(402);
          expect(await errorCode(response)).to.equal("payment_already_used");
        }
      }));

    it("post_sameNonceWithAnotherSignature_isRefused", () =>
      charging(1n, async () => {
        const body = chat("mine");
        const nonce = `0x${"77".repeat(32)}`;
        const requirements = requirementsFor(fixture.chain, fixture.payout, FEE);
        const sign = (validBefore: bigint): Promise<string> =>
          fixture.pay(gateway, body, {
            change: () => craftedPayment(fixture.chain, fixture.payer, requirements, { nonce, validBefore }),
          });
        const soon = BigInt(Math.floor(Date.now() / 1000)) + 3000n;
        const [first, second] = [await sign(soon), await sign(soon + 1n)];
        expect((await post(gateway, body, { payment: first })).status).to.equal(200);
        expect(await errorCode(await post(gateway, body, { payment: second }))).to.equal("payment_already_used");
      }));
  });

  describe("payments that are refused", () => {
    const now = BigInt(Math.floor(Date.now() / 1000));
    const crafted =
      (changes: Parameters<typeof craftedPayment>[3], terms: Partial<PaymentPayload["accepted"]> = {}) =>
      ({ accepted }: PaymentPayload): Promise<PaymentPayload> =>
        craftedPayment(fixture.chain, fixture.payer, { ...accepted, ...terms }, changes);
    const cases: [string, string, (payload: PaymentPayload) => PaymentPayload | Promise<PaymentPayload>][] = [
      ["lessThanTheFee", "invalid_exact_evm_payload_authorization_value_mismatch", crafted({ value: FEE - 1n })],
      ["lessThanTheFeeInItsTermsToo", "no_matching_requirements", crafted({}, { amount: (FEE - 1n).toString() })],
      ["otherToken", "no_matching_requirements", crafted({}, { asset: `0x${"99".repeat(20)}` })],
      ["otherRecipient", "invalid_exact_evm_recipient_mismatch", crafted({ to: `0x${"98".repeat(20)}` })],
      ["otherRecipientInItsTermsToo", "no_matching_requirements", crafted({}, { payTo: `0x${"98".repeat(20)}` })],
      ["otherNetwork", "no_matching_requirements", crafted({}, { network: "eip155:8453" })],
      [
        "replayedFromAnotherChain",
        "invalid_exact_evm_signature",
        ({ accepted }) => craftedPayment(fixture.chain, fixture.payer, accepted, {}, 8453n),
      ],
      ["expired", "payment_expires_too_soon", crafted({ validBefore: now - 10n })],
      ["expiresDuringTheInference", "payment_expires_too_soon", crafted({ validBefore: now + 100n })],
      ["notYetValid", "invalid_exact_evm_payload_authorization_valid_after", crafted({ validAfter: now + 1000n })],
      [
        "tamperedSignature",
        "invalid_exact_evm_signature",
        (payload) => {
          const signature = (payload.payload as { signature: string }).signature;
          const flipped = signature.slice(0, 20) + (signature[20] === "0" ? "1" : "0") + signature.slice(21);
          return { ...payload, payload: { ...payload.payload, signature: flipped } };
        },
      ],
      ["permit2", "invalid_payload", (payload) => ({ ...payload, payload: { permit2Authorization: {} } })],
    ];
    for (const [name, code, change] of cases) {
      it(`post_${name}_isRefusedBeforeTheModelRuns`, () =>
        chargingNothing(async () => {
          const count = fixture.node.inferences;
          const body = chat("for nothing");
          const payment = await fixture.pay(gateway, body, { change });
          const response = await post(gateway, body, { payment });
          expect(response.status).to.equal(402);
          const required = decodePaymentRequiredHeader(response.headers.get("payment-required") ?? "");
          expect(required.error).to.equal(code);
          expect(await errorCode(response)).to.equal(code);
          expect(fixture.node.inferences).to.equal(count);
        }));
    }

    it("post_garbageForAPayment_isRefused", async () => {
      for (const payment of ["garbage", Buffer.from("{}").toString("base64"), "e30="]) {
        const response = await post(gateway, chat("x"), { payment });
        expect(response.status).to.equal(402);
        expect(await errorCode(response)).to.equal("invalid_payload");
      }
    });

    it("post_payerWithoutMoney_isRefused", async () => {
      const payment = await fixture.pay(gateway, chat("x"), { payer: fixture.chain.account(2) });
      const response = await post(gateway, chat("x"), { payment });
      expect(await errorCode(response)).to.equal("invalid_exact_evm_insufficient_balance");
    });

    it("post_chainAway_isAskedToTryAgain", async () => {
      const blind = await fixture.openGateway({
        rail: fixture.railWith({ verify: () => Promise.reject(new Error("connect ECONNREFUSED")) }),
      });
      const payment = await fixture.pay(blind, chat("x"));
      const response = await post(blind, chat("x"), { payment });
      expect(response.status).to.equal(503);
      expect(await errorCode(response)).to.equal("payment_check_unavailable");
    });

    it("post_bodyThatCannotBeHashed_isRefusedAndNotCharged", () =>
      chargingNothing(async () => {
        const body = `{"model": "${MODEL}", "messages": [{"role": "user", "content": "x"}], "model": "${MODEL}"}`;
        const payment = await fixture.pay(gateway, chat("x"));
        const response = await post(gateway, body, { payment });
        expect(response.status).to.equal(400);
        expect(await errorCode(response)).to.equal("invalid_json");
      }));
  });

  describe("failed inferences", () => {
    it("post_modelFails_isNotChargedAndThePaymentStaysGood", async () => {
      const body = chat("works the second time");
      const payment = await fixture.pay(gateway, body);
      await chargingNothing(async () => {
        fixture.node.script = () => Promise.reject(new Error("out of memory"));
        const response = await post(gateway, body, { payment });
        expect(response.status).to.equal(502);
        expect(await errorCode(response)).to.equal("internal_error");
        expect(response.headers.get("payment-response")).to.equal(null);
        expect((await post(gateway, chat("other"), { payment })).status).to.equal(402);
      });
      fixture.node.script = (words, say) => Promise.resolve(words.forEach(say));
      expect((await charging(1n, () => post(gateway, body, { payment }))).status).to.equal(200);
    });

    it("stream_modelFailsInTheMiddle_endsWithAnErrorAndIsNotCharged", () =>
      chargingNothing(async () => {
        fixture.node.script = (words, say) => {
          say(words[0]!);
          return Promise.reject(new Error("out of memory"));
        };
        const stream = await fixture.openai(gateway).chat.completions.create({
          model: MODEL,
          messages: [{ role: "user", content: "first second" }],
          stream: true,
        });
        let text = "";
        let failure: unknown;
        try {
          for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
        } catch (error) {
          failure = error;
        }
        expect(text).to.equal("first ");
        expect(failure).to.be.instanceOf(OpenAI.APIError);
      }));

    it("post_modelHangs_timesOutUncharged", () =>
      chargingNothing(async () => {
        const impatient = await fixture.openGateway({ answerTimeoutMs: 100 });
        fixture.node.script = (_words, _say, signal) =>
          new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("stopped"))));
        const payment = await fixture.pay(impatient, chat("hang"));
        const response = await post(impatient, chat("hang"), { payment });
        expect(response.status).to.equal(504);
        expect(await errorCode(response)).to.equal("node_timeout");
      }));

    it("post_nodeSignsForAnotherSettlement_isNotCharged", async () => {
      const stray = fixture.newNode({ domain: { ...fixture.domain, verifyingContract: `0x${"66".repeat(20)}` } });
      await stray.start();
      const strayGateway = await fixture.openGateway({ nodes: [{ url: stray.url, token: NODE_TOKEN }] });
      await chargingNothing(async () => {
        const payment = await fixture.pay(strayGateway, chat("whose receipt"));
        const response = await post(strayGateway, chat("whose receipt"), { payment });
        expect(response.status).to.equal(502);
        expect(await errorCode(response)).to.equal("bad_receipt");
      });
      await stray.stop();
    });

    it("post_nodeDown_isRefusedBeforeItIsPaidFor", async () => {
      const mortal = fixture.newNode();
      await mortal.start();
      const alone = await fixture.openGateway({ nodes: [{ url: mortal.url, token: NODE_TOKEN }] });
      const payment = await fixture.pay(alone, chat("anybody there"));
      await mortal.stop();
      await eventually(() => alone.directory.health().every(({ up }) => !up), "the node seen down");
      for (const options of [{}, { payment }]) {
        const response = await post(alone, chat("anybody there"), options);
        expect(response.status).to.equal(503);
        expect(response.headers.get("retry-after")).to.not.equal(null);
      }
      await mortal.start();
      await eventually(() => alone.directory.health().every(({ up }) => up), "the node seen up");
      expect((await charging(1n, () => post(alone, chat("anybody there"), { payment }))).status).to.equal(200);
      await mortal.stop();
    });
  });

  describe("exposure", () => {
    it("post_moreThanTheCapUnsettled_waitsForSettlement", async () => {
      const strict = await fixture.openGateway({
        exposureCapWei: 2n * FEE,
        rail: fixture.railWith({ enqueue: () => Promise.reject(new Error("the chain is away")) }),
      });
      for (const content of ["one", "two"]) {
        const payment = await fixture.pay(strict, chat(content));
        expect((await post(strict, chat(content), { payment })).status).to.equal(200);
      }
      const payment = await fixture.pay(strict, chat("three"));
      const response = await post(strict, chat("three"), { payment });
      expect(response.status).to.equal(429);
      expect(await errorCode(response)).to.equal("exposure_exceeded");
    });

    it("post_morePromisedAtOnceThanThePayerHolds_isRefused", async () => {
      const payer = fixture.chain.account(3);
      await (await fixture.chain.opg.transfer(payer.address, 3n * FEE)).wait();
      const contents = ["a", "b", "c", "d", "e"];
      const payments = await Promise.all(contents.map((content) => fixture.pay(gateway, chat(content), { payer })));
      const responses = await charging(3n, () =>
        Promise.all(contents.map((content, i) => post(gateway, chat(content), { payment: payments[i]! }))),
      );
      const statuses = responses.map(({ status }) => status).sort();
      expect(statuses).to.deep.equal([200, 200, 200, 402, 402]);
      expect(await fixture.chain.opg.balanceOf(payer.address)).to.equal(0n);
    });
  });

  describe("settlement before the answer", () => {
    let careful: Gateway;

    before(async () => {
      careful = await fixture.openGateway({ timing: "before-answer" });
    });

    it("post_paidRequest_isOnChainWhenItIsAnswered", async () => {
      const before = await fixture.received();
      const payment = await fixture.pay(careful, chat("cash first"));
      const response = await post(careful, chat("cash first"), { payment });
      expect((await fixture.received()) - before).to.equal(FEE);
      const paid = decodePaymentResponseHeader(response.headers.get("payment-response") ?? "");
      expect((await fixture.chain.provider.getTransactionReceipt(paid.transaction))?.status).to.equal(1);
    });

    it("stream_paidRequest_holdsTheReceiptBackUntilItIsPaid", async () => {
      await fixture.settled(gateway);
      const before = await fixture.received();
      const body = chat("cash first", { stream: true });
      const payment = await fixture.pay(careful, body);
      const text = await (await post(careful, body, { payment })).text();
      expect(text).to.contain('"opengradient"');
      expect((await fixture.received()) - before).to.equal(FEE);
    });

    it("post_moneySpentMeanwhile_getsNoAnswerAndIsNeverCharged", async () => {
      const payer = fixture.chain.account(4);
      await (await fixture.chain.opg.transfer(payer.address, FEE)).wait();
      const payment = await fixture.pay(careful, chat("too late"), { payer });
      fixture.node.script = async (words, say) => {
        await (await fixture.chain.opg.connect(payer).transfer(fixture.chain.account(0).address, FEE)).wait();
        words.forEach(say);
      };
      const response = await post(careful, chat("too late"), { payment });
      expect(response.status, await response.clone().text()).to.equal(402);
      expect(await response.text()).to.not.contain('opengradient":{');
      // money that comes later is safe; asking again with it works and runs nothing anew
      const count = fixture.node.inferences;
      await (await fixture.chain.opg.transfer(payer.address, FEE)).wait();
      expect(careful.store.outstandingWei(payer.address.toLowerCase() as Hex)).to.equal(0n);
      expect(await fixture.chain.opg.balanceOf(payer.address)).to.equal(FEE);
      expect((await post(careful, chat("too late"), { payment })).status).to.equal(200);
      expect(await fixture.chain.opg.balanceOf(payer.address)).to.equal(0n);
      expect(fixture.node.inferences).to.equal(count);
    });
  });

  it("health_tellsNodesAndRequests", async () => {
    await fixture.settled(gateway);
    const payment = await fixture.pay(gateway, chat("healthy"));
    await charging(1n, () => post(gateway, chat("healthy"), { payment }));
    await fixture.settled(gateway);
    const health = (await (await fetch(`${gateway.url}/health`)).json()) as { requests: { paid: number } };
    expect(health).to.deep.include({
      status: "ok",
      network: "eip155:31337",
      nodes: [{ url: fixture.node.url, up: true }],
    });
    expect(health.requests.paid).to.be.greaterThan(0);
  });

  it("purge_paidAnswersOfThePast_areForgottenAndThePaymentStaysUsed", async () => {
    const body = chat("forget me");
    const payment = await fixture.pay(gateway, body);
    await charging(1n, () => post(gateway, body, { payment }));
    await fixture.settled(gateway);
    await gateway.store.purge(Date.now() + 1, 0);
    const count = fixture.node.inferences;
    const response = await post(gateway, body, { payment });
    expect(response.status).to.equal(402);
    expect(await errorCode(response)).to.equal("invalid_exact_evm_nonce_already_used");
    expect(fixture.node.inferences).to.equal(count);
  });
});
