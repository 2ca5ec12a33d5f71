import { join } from "node:path";
import { expect } from "chai";
import OpenAI from "openai";
import { SealingError, VerificationError } from "../../../simulator/client/ClientError.ts";
import { createVerifyingFetch, type VerifyingFetchOptions } from "../../../simulator/client/createVerifyingFetch.ts";
import { OpenGradientClient } from "../../../simulator/client/OpenGradientClient.ts";
import { LIQUIDATION_RISK_ID, LIQUIDATION_RISK_MODEL } from "../../../simulator/models/liquidationRisk.ts";
import { LocalInferenceNode } from "../../../simulator/nodes/LocalInferenceNode.ts";
import { ReceiptStore } from "../../../simulator/nodes/ReceiptStore.ts";
import { blindedHash } from "../../../simulator/ohttp/blindedHash.ts";
import { PADDING_BYTES } from "../../../simulator/ohttp/innerMessages.ts";
import { generateSealingKey } from "../../../simulator/ohttp/keyConfig.ts";
import { OHTTP_CHUNKED_RESPONSE, OHTTP_RESPONSE } from "../../../simulator/ohttp/suite.ts";
import { inputHash } from "../../../simulator/receipts/hashes.ts";
import { keccak256 } from "../../../simulator/receipts/keccak.ts";
import { signerFromKey } from "../../../simulator/receipts/secp256k1.ts";
import { rejection } from "../../support/rejection.ts";
import { chat, errorCode, FEE, MODEL, post } from "../gateway/gatewayFixture.ts";
import { NODE_TOKEN } from "../gateway/ScriptedNode.ts";
import { SealedFixture } from "./sealedFixture.ts";
import { flipped } from "./sealing.ts";

/** Words that nothing else says. */
const SECRETS = ["quokka", "zyzzyva", "axolotl"];
const PROMPT = SECRETS.join(" ");

describe("sealed client", () => {
  let fixture: SealedFixture;

  before(async () => {
    fixture = await SealedFixture.start();
  });

  after(() => fixture.stop());

  beforeEach(() => {
    fixture.receipts.length = 0;
    fixture.node.script = (words, say) => Promise.resolve(words.forEach(say));
  });

  const openai = (changes: Partial<VerifyingFetchOptions> = {}, maxRetries = 0): OpenAI =>
    new OpenAI({ baseURL: `${fixture.outside.url}/v1`, apiKey: "none", maxRetries, fetch: fixture.fetch(changes) });

  const user = (content: string) => [{ role: "user" as const, content }];

  const seen = (words: readonly string[]): string[] => words.filter((word) => fixture.visible().includes(word));

  /** What reading a stream to its end gives, or fails with. */
  async function read(client: OpenAI, content: string): Promise<string> {
    let text = "";
    const stream = await client.chat.completions.create({ model: MODEL, messages: user(content), stream: true });
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
    return text;
  }

  /** The error that OpenAI's client wraps. */
  const causeOf = async (work: Promise<unknown>): Promise<Error> => {
    const error = await rejection(work);
    return error instanceof OpenAI.APIConnectionError ? (error.cause as Error) : error;
  };

  /** What the payer is charged by `work`, in fees. */
  async function feesOf(work: () => Promise<void>): Promise<bigint> {
    await fixture.world.settled(fixture.gateway);
    const before = await fixture.world.received();
    await work();
    await fixture.world.settled(fixture.gateway);
    return ((await fixture.world.received()) - before) / FEE;
  }

  describe("honest gateway", () => {
    it("chat_isAnswered_andNobodyOnTheWaySawIt", async () => {
      const answer = await openai().chat.completions.create({ model: MODEL, messages: user(PROMPT), temperature: 1 });
      expect(answer.choices[0]?.message.content).to.equal(PROMPT);
      expect(fixture.receipts).to.have.length(1);
      await fixture.world.settled(fixture.gateway);
      expect(seen(SECRETS)).to.deep.equal([]);
    });

    it("sameInTheClear_isSeen_soThatTheTestLooksAtTheRightPlaces", async () => {
      const secret = "capybara";
      const open = createVerifyingFetch(fixture.openOptions());
      const client = new OpenAI({ baseURL: `${fixture.outside.url}/v1`, apiKey: "none", fetch: open });
      await client.chat.completions.create({ model: MODEL, messages: user(secret) });
      for (const place of [fixture.inside.seen, fixture.outside.seen]) expect(place.includes(secret)).to.be.true;
      expect(fixture.files().includes(secret)).to.be.true;
    });

    it("receipt_statesBlindedHashes_thatTheSaltOpens", async () => {
      const body = chat("who hears this?");
      await openai().chat.completions.create(body as OpenAI.ChatCompletionCreateParamsNonStreaming);
      const { signed, salt } = fixture.receipts[0]!;
      const plain = inputHash("chat", JSON.stringify(body));
      expect(signed.receipt.inputHash).to.equal(blindedHash(salt!, "input", plain));
      expect(signed.receipt.outputHash).to.equal(blindedHash(salt!, "output", keccak256("who hears this?")));
      // the salt is nowhere but with the two who made it
      expect(fixture.visible().includes(Buffer.from(salt!.slice(2), "hex"))).to.be.false;
      expect(seen([salt!.slice(2), plain.slice(2)])).to.deep.equal([]);
    });

    it("stream_arrivesWordByWord_andNobodyOnTheWaySawIt", async () => {
      let next: (() => void) | undefined;
      fixture.node.script = async (words, say) => {
        for (const word of words) {
          say(word);
          await new Promise<void>((resolve) => (next = resolve));
        }
      };
      const words: string[] = [];
      const stream = await openai().chat.completions.create({ model: MODEL, messages: user(PROMPT), stream: true });
      for await (const chunk of stream) {
        const word = chunk.choices[0]?.delta.content;
        if (!word) continue;
        words.push(word);
        expect(fixture.receipts).to.have.length(0);
        next?.();
      }
      expect(words.join("")).to.equal(PROMPT);
      expect(words).to.have.length(SECRETS.length);
      expect(fixture.receipts).to.have.length(1);
      await fixture.world.settled(fixture.gateway);
      expect(seen(SECRETS)).to.deep.equal([]);
    });

    it("streamedWords_makeChunksOfOneLength", async () => {
      const lengths: number[] = [];
      const watching: typeof fetch = async (input, init) => {
        const response = await fetch(input, init);
        if (response.headers.get("content-type") !== OHTTP_CHUNKED_RESPONSE) return response;
        const bytes = Buffer.from(await response.arrayBuffer());
        for (let at = 32; bytes[at] !== 0;) {
          const length = bytes.readUInt16BE(at) & 0x3fff;
          lengths.push(length);
          at += 2 + length;
        }
        return new Response(new Uint8Array(bytes), response);
      };
      await read(openai({ fetch: watching }), "a considerably incomprehensibilities of I");
      expect(lengths).to.have.length(6);
      expect(new Set(lengths)).to.deep.equal(new Set([PADDING_BYTES + 16]));
    });

    it("completion_wholeAndStreamed", async () => {
      const { choices } = await openai().completions.create({ model: MODEL, prompt: PROMPT });
      expect(choices[0]?.text).to.equal(PROMPT);
      let text = "";
      for await (const chunk of await openai().completions.create({ model: MODEL, prompt: PROMPT, stream: true })) {
        text += chunk.choices[0]?.text ?? "";
      }
      expect(text).to.equal(PROMPT);
      expect(fixture.receipts.map(({ kind }) => kind)).to.deep.equal(["completion", "completion"]);
      expect(seen(SECRETS)).to.deep.equal([]);
    });

    it("applicationsHeaders_stayHome", async () => {
      fixture.outside.forget();
      await openai().chat.completions.create(
        { model: MODEL, messages: user("hello") },
        { headers: { "x-mine": "quokka" } },
      );
      const sent = fixture.outside.seen.toString("latin1").toLowerCase();
      expect(sent).to.contain("x-og-model: test/echo");
      expect(sent).to.not.contain("x-stainless").and.not.contain("x-mine");
    });

    it("tensors_areInferred_andNobodyOnTheWaySawThem", async () => {
      const key = await generateSealingKey(42);
      const { world } = fixture;
      const node = new LocalInferenceNode({
        domain: world.domain,
        asset: world.chain.asset,
        operator: world.operator,
        payout: world.payout,
        signer: signerFromKey(world.nodeKey),
        store: new ReceiptStore(join(world.directory, "onnx.db")),
        bearerToken: NODE_TOKEN,
        logger: fixture.logger(),
        sealing: key,
        offers: [{ id: LIQUIDATION_RISK_ID, modelId: keccak256("risk"), feeWei: FEE, source: LIQUIDATION_RISK_MODEL }],
      });
      await node.start();
      const gateway = await world.openGateway({
        nodes: [{ url: node.url, token: NODE_TOKEN }],
        logger: fixture.logger(),
      });
      const client = new OpenGradientClient({
        ...fixture.options({ sealing: () => Promise.resolve(key) }),
        gatewayUrl: gateway.url,
      });
      const { outputs, receipt } = await client.infer(LIQUIDATION_RISK_ID, {
        positions: [[0.6123456, 0.8, 0.9, 0.01, -0.1, 0.05, 4, 30]],
      });
      expect(outputs).to.have.property("risk");
      expect(receipt.salt).to.match(/^0x[0-9a-f]{64}$/);
      expect(seen(["0.6123456", "positions"])).to.deep.equal([]);
      await node.stop();
      node.store.close();
    });

    it("refusedByTheEnclave_isReadByTheClientOnly", async () => {
      const body = chat("hello", { messages: [{ role: "wombat", content: "hello" }] });
      // refused before anything is sent: it cannot be hashed
      expect(await causeOf(openai().chat.completions.create(body as never))).to.be.instanceOf(Error);
      const fees = await feesOf(async () => {
        const error = await rejection(
          openai().chat.completions.create({ model: MODEL, messages: user("x"), stream: "wombat" } as never),
        );
        expect(error).to.be.instanceOf(Error);
        fixture.node.script = () => Promise.reject(new Error("wombat"));
        const failed = await rejection(openai().chat.completions.create({ model: MODEL, messages: user("y") }));
        expect(failed).to.be.instanceOf(OpenAI.InternalServerError);
        expect((failed as unknown as { code: string }).code).to.equal("internal_error");
      });
      expect(fees).to.equal(0n);
      expect(seen(["wombat"])).to.deep.equal([]);
    });

    it("whatCannotBeSealed_isNotSent", async () => {
      fixture.outside.forget();
      const other = await causeOf(openai().embeddings.create({ model: MODEL, input: PROMPT }));
      expect(other).to.be.instanceOf(SealingError);
      const sealing = fixture.fetch();
      const ambiguous = { ...chat("hello"), prompt: "hello" };
      const url = `${fixture.outside.url}/v1/completions`;
      const headers = { "content-type": "application/json" };
      const error = await rejection(sealing(url, { method: "POST", headers, body: JSON.stringify(ambiguous) }));
      expect(error).to.be.instanceOf(SealingError);
      const unknown = openai({ sealing: () => Promise.reject(new SealingError("no enclave serves it")) });
      expect(await causeOf(unknown.chat.completions.create({ model: MODEL, messages: user("x") }))).to.be.instanceOf(
        SealingError,
      );
      expect(fixture.outside.seen).to.have.length(0);
      const { data } = await openai().models.list();
      expect(data[0]?.id).to.equal(MODEL);
    });
  });

  describe("key of another", () => {
    it("keyReplaced_isLookedUpAgainForTheNextRequest_andNothingIsCharged", async () => {
      const stale = await generateSealingKey();
      const keys = [stale, fixture.key];
      const client = openai({ sealing: () => Promise.resolve(keys.shift()!) });
      const fees = await feesOf(async () => {
        const error = await rejection(client.chat.completions.create({ model: MODEL, messages: user("again") }));
        expect(error).to.be.instanceOf(OpenAI.BadRequestError);
        expect((error as unknown as { code: string }).code).to.equal("cannot_open");
      });
      expect(fees).to.equal(0n);
      const answer = await client.chat.completions.create({ model: MODEL, messages: user("again") });
      expect(answer.choices[0]?.message.content).to.equal("again");
    });

    it("gatewaysOwnKey_isNotAskedFor", async () => {
      // what the gateway says of keys plays no part: only what the lookup gives does
      fixture.outside.forget();
      await openai().chat.completions.create({ model: MODEL, messages: user("mine") });
      expect(fixture.outside.seen.includes("/v1/ohttp/config")).to.be.false;
    });
  });

  describe("lying gateway", () => {
    /** A fetch through somebody who changes the first sealed answer. */
    const changingOnce = (
      change: (response: Response, bytes: Buffer) => Response | Promise<Response>,
    ): typeof fetch => {
      let done = false;
      return async (input, init) => {
        const response = await fetch(input, init);
        const sealed = [OHTTP_RESPONSE, OHTTP_CHUNKED_RESPONSE].includes(response.headers.get("content-type") ?? "");
        if (done || !sealed || !response.ok) return response;
        done = true;
        return change(response, Buffer.from(await response.arrayBuffer()));
      };
    };
    const withBody = ({ status, headers }: Response, body: Buffer): Response =>
      new Response(new Uint8Array(body), { status, headers });

    it("answerInTheClear_isRefused", async () => {
      const lie = {
        choices: [{ index: 0, message: { role: "assistant", content: "trust me" }, finish_reason: "stop" }],
      };
      const send = changingOnce(() => Response.json(lie));
      const error = await causeOf(
        openai({ fetch: send }).chat.completions.create({ model: MODEL, messages: user("clear") }),
      );
      expect(error).to.be.instanceOf(VerificationError).with.property("code", "unsealed_answer");
    });

    it("answerChanged_isRefused_andItsPaymentBuysTheTrueOne", async () => {
      const send = changingOnce((response, bytes) => withBody(response, flipped(bytes, 40)));
      const client = openai({ fetch: send });
      const fees = await feesOf(async () => {
        const error = await causeOf(client.chat.completions.create({ model: MODEL, messages: user("changed") }));
        expect(error).to.be.instanceOf(VerificationError).with.property("code", "unreadable_answer");
        const answer = await client.chat.completions.create({ model: MODEL, messages: user("changed") });
        expect(answer.choices[0]?.message.content).to.equal("changed");
      });
      expect(fees).to.equal(1n);
    });

    it("answerToAnotherRequest_isRefused", async () => {
      let first: Buffer | undefined;
      const keep = changingOnce((response, bytes) => withBody(response, (first = bytes)));
      await openai({ fetch: keep }).chat.completions.create({ model: MODEL, messages: user("one") });
      const swap = changingOnce((response) => withBody(response, first!));
      const error = await causeOf(
        openai({ fetch: swap }).chat.completions.create({ model: MODEL, messages: user("one") }),
      );
      expect(error).to.be.instanceOf(VerificationError).with.property("code", "unreadable_answer");
    });

    it("streamCut_isNoticed_andItsPaymentBuysAllOfIt", async () => {
      for (const cut of [33, 200, -300, -1]) {
        const client = openai({ fetch: changingOnce((response, bytes) => withBody(response, bytes.subarray(0, cut))) });
        const content = `cut at ${cut}`;
        const fees = await feesOf(async () => {
          const error = await rejection(read(client, content));
          expect(error).to.be.instanceOf(VerificationError);
          expect((error as VerificationError).code).to.be.oneOf(["missing_receipt", "unreadable_answer"]);
          expect(fixture.receipts).to.have.length(0);
          expect(await read(client, content)).to.equal(content);
        });
        expect(fees, content).to.equal(1n);
        fixture.receipts.length = 0;
      }
    });

    it("errorInPlaceOfTheAnswer_doesNotMakeItPayTwice", async () => {
      const client = openai({ fetch: changingOnce(() => Response.json({ error: { code: "busy" } }, { status: 503 })) });
      const fees = await feesOf(async () => {
        expect(await rejection(client.chat.completions.create({ model: MODEL, messages: user("e") }))).to.be.instanceOf(
          OpenAI.InternalServerError,
        );
        await client.chat.completions.create({ model: MODEL, messages: user("e") });
      });
      expect(fees).to.equal(1n);
    });
  });

  describe("failing enclave", () => {
    it("failureInTheMiddle_isToldUnderSeal_andNotCharged", async () => {
      fixture.node.script = (words, say) => {
        say(words[0]!);
        return Promise.reject(new Error("numbat"));
      };
      const fees = await feesOf(async () => {
        const error = await rejection(read(openai(), "some words"));
        expect(error).to.be.instanceOf(OpenAI.APIError);
        expect((error as unknown as { code: string }).code).to.equal("internal_error");
      });
      expect(fees).to.equal(0n);
      expect(seen(["numbat"])).to.deep.equal([]);
    });

    it("gatewayInTheClear_stillServes", async () => {
      const response = await post(fixture.gateway, chat("no seal"));
      expect(response.status).to.equal(402);
      expect(await errorCode(response)).to.equal("payment_required");
    });
  });
});
