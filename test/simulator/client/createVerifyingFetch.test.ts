import { expect } from "chai";
import { parseEther } from "ethers";
import OpenAI from "openai";
import { PaymentDeclinedError, VerificationError } from "../../../simulator/client/ClientError.ts";
import type { VerifyingFetchOptions } from "../../../simulator/client/createVerifyingFetch.ts";
import { keccak256 } from "../../../simulator/receipts/keccak.ts";
import { randomKey } from "../../../simulator/receipts/secp256k1.ts";
import { Mode, type Receipt } from "../../../simulator/receipts/types.ts";
import { chat, eventually, FEE, MODEL, post } from "../gateway/gatewayFixture.ts";
import { ClientFixture, tampering, type LooseAnswer } from "./clientFixture.ts";

describe("createVerifyingFetch", () => {
  let fixture: ClientFixture;

  before(async () => {
    fixture = await ClientFixture.start();
  });

  after(() => fixture.stop());

  beforeEach(() => {
    fixture.receipts.length = 0;
    fixture.world.node.script = (words, say) => Promise.resolve(words.forEach(say));
  });

  const openai = (changes: Partial<VerifyingFetchOptions> = {}, maxRetries = 0): OpenAI =>
    new OpenAI({ baseURL: `${fixture.gateway.url}/v1`, apiKey: "none", maxRetries, fetch: fixture.fetch(changes) });

  const url = (): string => `${fixture.gateway.url}/v1/chat/completions`;

  /** Asks directly, without OpenAI's client. */
  const ask = (body: object, changes: Partial<VerifyingFetchOptions> = {}): Promise<Response> =>
    fixture.fetch(changes)(url(), {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });

  async function failure(work: Promise<unknown>): Promise<unknown> {
    return work.then(
      () => undefined,
      (error: unknown) => error,
    );
  }

  describe("honest gateway", () => {
    it("chat_verified_isHandedOnWithItsReceipt", async () => {
      const answer = await openai().chat.completions.create({ ...chat("Grüße 🌍"), temperature: 1, seed: 7 } as never);
      expect((answer as OpenAI.ChatCompletion).choices[0]?.message.content).to.equal("Grüße 🌍");
      expect(fixture.receipts).to.have.length(1);
      const { signed, operator, signer, payment } = fixture.receipts[0]!;
      expect(operator).to.equal(fixture.world.operator);
      expect(signer).to.equal(fixture.signerAddress);
      expect(signed.receipt.outputHash).to.equal(keccak256("Grüße 🌍"));
      expect(payment.valueWei).to.equal(FEE);
    });

    it("stream_verified_arrivesWordByWordAndEndsAfterItsReceipt", async () => {
      let next: (() => void) | undefined;
      fixture.world.node.script = async (words, say) => {
        for (const word of words) {
          say(word);
          await new Promise<void>((resolve) => (next = resolve));
        }
      };
      const stream = await openai().chat.completions.create({
        model: MODEL,
        messages: [{ role: "user", content: "one two three" }],
        stream: true,
      });
      const words: string[] = [];
      for await (const chunk of stream) {
        const word = chunk.choices[0]?.delta.content;
        if (!word) continue;
        words.push(word);
        expect(fixture.receipts).to.have.length(0);
        next?.();
      }
      expect(words.join("")).to.equal("one two three");
      expect(fixture.receipts).to.have.length(1);
    });

    it("completion_verified_wholeAndStreamed", async () => {
      const { choices } = await openai().completions.create({ model: MODEL, prompt: "once upon" });
      expect(choices[0]?.text).to.equal("once upon");
      let text = "";
      for await (const chunk of await openai().completions.create({ model: MODEL, prompt: "a time", stream: true })) {
        text += chunk.choices[0]?.text ?? "";
      }
      expect(text).to.equal("a time");
      expect(fixture.receipts).to.have.length(2);
    });

    it("concurrentRequests_eachGetTheirOwnReceipt", async () => {
      const client = openai();
      const contents = Array.from({ length: 8 }, (_, i) => `number ${i}`);
      const answers = await Promise.all(
        contents.map((content) =>
          client.chat.completions.create({ model: MODEL, messages: [{ role: "user", content }] }),
        ),
      );
      expect(answers.map(({ choices }) => choices[0]?.message.content)).to.deep.equal(contents);
      expect(new Set(fixture.receipts.map(({ requestId }) => requestId)).size).to.equal(8);
    });

    it("otherRoutesAndErrors_passThrough", async () => {
      const { data } = await openai().models.list();
      expect(data[0]?.id).to.equal(MODEL);
      const error = await failure(openai().chat.completions.create({ model: "test/none", messages: [] }));
      expect(error).to.be.instanceOf(OpenAI.BadRequestError);
      expect(fixture.receipts).to.have.length(0);
    });
  });

  describe("lying gateway", () => {
    type Lie = (answer: LooseAnswer) => object | undefined;
    const resigned =
      (changes: Partial<Receipt>, key?: `0x${string}`): Lie =>
      (answer) => {
        const proof = answer.opengradient;
        if (proof === undefined) return answer;
        return { ...answer, opengradient: { ...proof, receipt: fixture.resign(proof.receipt, changes, key) } };
      };
    const rewritten =
      (change: (content: string) => string): Lie =>
      (answer) => {
        for (const choice of answer.choices) {
          if (choice.message?.content !== undefined) choice.message.content = change(choice.message.content);
          if (choice.delta?.content !== undefined) choice.delta.content = change(choice.delta.content);
        }
        return answer;
      };
    const hours = (n: number): bigint => BigInt(Math.floor(Date.now() / 1000) + n * 3600);
    const lies: [string, string, Lie][] = [
      ["otherText", "output_mismatch", rewritten((content) => content.replace("true", "false"))],
      ["receiptOfAnotherOutput", "output_mismatch", resigned({ outputHash: keccak256("false words") })],
      ["receiptOfAnotherInput", "input_mismatch", resigned({ inputHash: keccak256("other question") })],
      ["higherFee", "fee_mismatch", resigned({ fee: FEE + 1n })],
      ["lowerFee", "fee_mismatch", resigned({ fee: FEE - 1n })],
      ["otherPayer", "payer_mismatch", resigned({ payer: `0x${"12".repeat(20)}` })],
      ["otherRequestId", "request_id_mismatch", resigned({ requestId: keccak256("another") })],
      ["strangersKey", "unknown_signer", resigned({}, randomKey())],
      ["modeThatTheKeyMayNotSign", "unknown_signer", resigned({ mode: Mode.Tee })],
      ["servedLongAgo", "served_at_out_of_range", resigned({ servedAt: hours(-1) })],
      ["servedInTheFuture", "served_at_out_of_range", resigned({ servedAt: hours(1) })],
      [
        "brokenSignature",
        "unknown_signer",
        (answer) => {
          if (answer.opengradient) answer.opengradient.receipt.signature = `0x${"11".repeat(64)}`;
          return answer;
        },
      ],
      ["noReceipt", "missing_receipt", ({ opengradient: _gone, ...answer }) => answer],
      [
        "secondChoice",
        "unreadable_answer",
        (answer) => ({ ...answer, choices: answer.choices.flatMap((choice) => [choice, { ...choice, index: 1 }]) }),
      ],
      [
        "textThatNoReceiptCovers",
        "unreadable_answer",
        (answer) => {
          for (const choice of answer.choices) {
            Object.assign(choice.message ?? choice.delta ?? {}, { reasoning_content: "buy my token" });
          }
          return answer;
        },
      ],
    ];
    for (const stream of [false, true]) {
      for (const [name, code, lie] of lies) {
        it(`${stream ? "stream" : "chat"}_${name}_isRefused`, async () => {
          const body = chat("nothing but true words", { stream });
          const reading = ask(body, { fetch: tampering(lie) }).then((response) => response.text());
          const error = await failure(reading);
          expect(error).to.be.instanceOf(VerificationError);
          expect(error).to.include({ code });
          expect(fixture.receipts).to.have.length(0);
        });
      }
    }

    it("completion_textsThatDiffer_areRefused", async () => {
      const lie = tampering((answer) => ({ ...answer, completion: "another text" }));
      const error = await failure(openai({ fetch: lie }).completions.create({ model: MODEL, prompt: "x" }));
      expect((error as Error).cause).to.include({ code: "unsigned_content" });
    });

    it("stream_lineEndsThatReadersTakeDifferently_areRefused", async () => {
      const smuggler: typeof fetch = async (input, init) => {
        const response = await fetch(input, init);
        if (response.headers.get("payment-response") === null) return response;
        const text = await response.text();
        const evil = `: comment\rdata: {"choices":[{"index":0,"delta":{"content":"evil"}}]}\n\n`;
        return new Response(evil + text, { headers: response.headers });
      };
      const error = await failure(ask(chat("x", { stream: true }), { fetch: smuggler }).then((r) => r.text()));
      expect(error).to.include({ code: "unreadable_answer" });
    });

    it("chat_otherModelVersionThanPinned_isRefused", async () => {
      const pinned = { modelIdOf: (model: string) => Promise.resolve(model === MODEL ? keccak256("v2") : undefined) };
      expect(await failure(ask(chat("x"), { models: pinned }))).to.include({ code: "model_mismatch" });
      const right = { modelIdOf: (model: string) => Promise.resolve(keccak256(model)) };
      expect((await ask(chat("x"), { models: right })).status).to.equal(200);
    });

    it("chat_weakerModeThanAsked_isRefused", async () => {
      expect(await failure(ask(chat("x"), { modes: [Mode.Tee] }))).to.include({ code: "mode_refused" });
    });

    it("chat_answerWithoutAskingForPayment_isRefused", async () => {
      const free: typeof fetch = () =>
        Promise.resolve(Response.json({ choices: [{ message: { content: "trust me" } }] }));
      expect(await failure(ask(chat("x"), { fetch: free }))).to.include({ code: "unpaid_answer" });
    });

    it("chat_refusedAnswer_isNotBoughtAgainByOpenAisRetries", async () => {
      const before = fixture.world.node.inferences;
      const lie = tampering(rewritten(() => "lies"));
      const error = await failure(
        openai({ fetch: lie }, 2).chat.completions.create({ model: MODEL, messages: [{ role: "user", content: "y" }] }),
      );
      expect((error as Error).cause).to.be.instanceOf(VerificationError);
      expect(fixture.world.node.inferences - before).to.equal(1);
    });
  });

  describe("payments", () => {
    it("price_aboveTheLimit_isDeclinedAndNothingIsSigned", async () => {
      const before = fixture.world.node.inferences;
      expect(await failure(ask(chat("x"), { maxPaymentWei: FEE - 1n }))).to.be.instanceOf(PaymentDeclinedError);
      expect((await ask(chat("x"), { maxPaymentWei: FEE })).status).to.equal(200);
      expect(fixture.world.node.inferences - before).to.equal(1);
    });

    it("terms_otherTokenOrEndlessValidity_areDeclined", async () => {
      const rewriting =
        (changes: object): typeof fetch =>
        async (input, init) => {
          const response = await fetch(input, init);
          const header = response.headers.get("payment-required");
          if (header === null) return response;
          const required = JSON.parse(Buffer.from(header, "base64").toString()) as { accepts: object[] };
          required.accepts = required.accepts.map((each) => ({ ...each, ...changes }));
          const headers = { "payment-required": Buffer.from(JSON.stringify(required)).toString("base64") };
          return new Response("{}", { status: 402, headers });
        };
      const changes = [
        { asset: `0x${"99".repeat(20)}` },
        { network: "eip155:8453" },
        { maxTimeoutSeconds: 10_000_000 },
        { extra: { name: "OpenGradient", version: "2" } },
        { extra: { name: "OpenGradient", version: "1", assetTransferMethod: "promise" } },
        { scheme: "on-credit" },
        { scheme: "batch-settlement" },
        { payTo: "nobody" },
        { amount: "-1" },
        { amount: (10n ** 18n).toString() },
      ];
      for (const change of changes) {
        const error = await failure(ask(chat("x"), { fetch: rewriting(change) }));
        expect(error, JSON.stringify(change)).to.be.instanceOf(PaymentDeclinedError);
      }
    });

    it("connection_lostAfterPaying_isAskedAgainWithTheSamePayment", async () => {
      for (const stream of [false, true]) {
        await fixture.world.settled(fixture.gateway);
        const [runs, received] = [fixture.world.node.inferences, await fixture.world.received()];
        let losses = 2;
        const lossy: typeof fetch = async (input, init) => {
          const response = await fetch(input, init);
          if (response.headers.get("payment-response") === null || losses-- <= 0) return response;
          await response.body?.cancel();
          throw new TypeError("fetch failed");
        };
        const text = await (await ask(chat(`lossy ${stream}`, { stream }), { fetch: lossy })).text();
        expect(text).to.contain("[DONE]".repeat(Number(stream)));
        expect(fixture.world.node.inferences - runs).to.equal(1);
        await eventually(async () => (await fixture.world.received()) - received === FEE, "one fee");
      }
    });

    it("stream_cutInTheMiddle_isFetchedByTheNextCallForTheSameMoney", async () => {
      await fixture.world.settled(fixture.gateway);
      const [runs, received] = [fixture.world.node.inferences, await fixture.world.received()];
      let cuts = 1;
      const cutting: typeof fetch = async (input, init) => {
        const response = await fetch(input, init);
        if (response.headers.get("payment-response") === null || cuts-- <= 0) return response;
        const text = await response.text();
        return new Response(text.slice(0, text.indexOf("\n\n") + 10), { headers: response.headers });
      };
      const client = fixture.fetch({ fetch: cutting });
      const request = {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(chat("cut and mended", { stream: true })),
      };
      const error = await failure(client(url(), request).then((response) => response.text()));
      expect(error).to.include({ code: "missing_receipt" });
      expect(await (await client(url(), request)).text()).to.contain("[DONE]");
      expect(fixture.world.node.inferences - runs).to.equal(1);
      await eventually(async () => (await fixture.world.received()) - received === FEE, "one fee");
    });

    it("inference_failedUncharged_reusesThePaymentOnOpenAisRetry", async () => {
      await fixture.world.settled(fixture.gateway);
      const received = await fixture.world.received();
      let failures = 1;
      fixture.world.node.script = (words, say) =>
        failures-- > 0 ? Promise.reject(new Error("out of memory")) : Promise.resolve(words.forEach(say));
      const answer = await openai({}, 2).chat.completions.create({
        model: MODEL,
        messages: [{ role: "user", content: "at the second attempt" }],
      });
      expect(answer.choices[0]?.message.content).to.equal("at the second attempt");
      await eventually(async () => (await fixture.world.received()) - received === FEE, "one fee");
      expect(fixture.receipts).to.have.length(1);
    });

    it("payer_stockClientBesideIt_sharesTheGateway", async () => {
      const payment = await fixture.world.pay(fixture.gateway, chat("stock"));
      expect((await post(fixture.gateway, chat("stock"), { payment })).status).to.equal(200);
      expect(await fixture.world.chain.opg.balanceOf(fixture.world.payer.address)).to.be.lessThan(parseEther("1000"));
    });
  });
});
