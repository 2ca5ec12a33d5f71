import { expect } from "chai";
import OpenAI from "openai";

import { LOCAL_TEXT_MODEL_ID } from "../../../simulator/models/LocalTextModel.ts";
import { knownModelIds, LlmProxyNode } from "../../../simulator/nodes/LlmProxyNode.ts";
import { compatibleUpstream, localUpstream, type Upstream } from "../../../simulator/nodes/upstreams.ts";
import { chatOutputHash, completionOutputHash, inputHash } from "../../../simulator/receipts/hashes.ts";
import { rejection } from "../../support/rejection.ts";
import { FEE, MODEL_ID, nodeOptions, openAiClient, payment, post, receiptOf, signerOf } from "./nodeFixture.ts";
import { ProviderServer } from "./ProviderServer.ts";

const CHAT = "/v1/chat/completions";
const user = (content: string) => ({ role: "user" as const, content });
const WEATHER: OpenAI.ChatCompletionTool = {
  type: "function",
  function: { name: "weather", parameters: { type: "object", properties: { city: { type: "string" } } } },
};

describe("LlmProxyNode", () => {
  const provider = new ProviderServer();
  const options = nodeOptions({ inferenceTimeoutMs: 5_000 });
  let node: LlmProxyNode;

  before(async () => {
    await provider.start();
    const compatible = await compatibleUpstream(provider.url, "secret-key");
    const upstreams: Upstream[] = [localUpstream(), { ...compatible, complete: false }];
    const models = ["breaker", "sleeper", ...[400, 401, 404, 429, 500].map((status) => `status-${status}`)];
    const ids = [...knownModelIds(upstreams), ...models.map((model) => `compatible/${model}`), "openai/gpt-5"];
    node = new LlmProxyNode({
      ...options,
      upstreams,
      offers: ids.map((id) => ({ id, modelId: MODEL_ID, feeWei: FEE })),
      maxOutputTokens: 500,
    });
    await node.start();
  });
  after(async () => {
    await node.stop();
    await provider.stop();
    options.store.close();
  });

  describe("local model", () => {
    it("models_listsOnlyWhatHasAnUpstream", () => {
      const ids = node.offers.map(({ id }) => id);
      expect(ids).to.include.members([LOCAL_TEXT_MODEL_ID, "compatible/talker"]);
      expect(ids).to.not.include("openai/gpt-5");
    });

    it("chat_stockClient_getsAnAnswerThatNamesTheModel", async () => {
      const answer = await openAiClient(node).chat.completions.create({
        model: LOCAL_TEXT_MODEL_ID,
        messages: [user("What is a receipt?")],
        max_tokens: 8,
      });
      expect(answer).to.include({ object: "chat.completion", model: LOCAL_TEXT_MODEL_ID });
      expect(answer.choices[0]).to.deep.include({ index: 0, finish_reason: "length" });
      expect(answer.choices[0]?.message.content).to.equal("A receipt is what a node signs about");
      expect(answer.usage).to.deep.equal({ prompt_tokens: 5, completion_tokens: 8, total_tokens: 13 });
    });

    it("chat_bareId_isRouted", async () => {
      const answer = await openAiClient(node).chat.completions.create({
        model: "local-ngram-v1",
        messages: [user("Hi")],
      });
      expect(answer.model).to.equal(LOCAL_TEXT_MODEL_ID);
    });

    it("chat_receipt_coversRequestAndAnswer", async () => {
      const body = JSON.stringify({
        model: "local-ngram-v1",
        messages: [user("What is OPG?")],
        max_tokens: 20,
        temperature: 0,
      });
      const answer = (await (await post(node, CHAT, body)).json()) as OpenAI.ChatCompletion;
      const signed = receiptOf(answer);
      expect(signed.receipt.inputHash).to.equal(inputHash("chat", body));
      expect(signed.receipt.outputHash).to.equal(chatOutputHash(answer.choices[0]?.message ?? {}));
      expect(signerOf(signed)).to.equal(node.signer.address);
    });

    it("chatStream_stockClient_readsDeltasThenTheReceipt", async () => {
      const request = { model: LOCAL_TEXT_MODEL_ID, messages: [user("What is a batch?")] };
      const whole = await openAiClient(node).chat.completions.create(request);
      const stream = await openAiClient(node).chat.completions.create({ ...request, stream: true });
      const chunks: OpenAI.ChatCompletionChunk[] = [];
      for await (const chunk of stream) chunks.push(chunk);

      const text = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");
      expect(text).to.equal(whole.choices[0]?.message.content);
      expect(chunks[0]?.choices[0]?.delta.role).to.equal("assistant");
      expect(chunks.length).to.be.greaterThan(20);
      expect(new Set(chunks.map(({ id }) => id)).size).to.equal(1);
      expect(chunks.at(-2)?.choices[0]?.finish_reason).to.equal("stop");
      const last = chunks.at(-1);
      expect(last?.choices).to.deep.equal([]);
      expect(last?.usage).to.deep.equal(whole.usage);
      const signed = receiptOf(last);
      expect(signed.receipt.outputHash).to.equal(completionOutputHash(text));
      expect(signerOf(signed)).to.equal(node.signer.address);
    });

    it("chatStream_sameAgain_replaysEveryByte", async () => {
      const paid = payment();
      const body = { model: LOCAL_TEXT_MODEL_ID, messages: [user("What is a stake?")], stream: true };
      const [first, concurrent] = await Promise.all(
        [1, 2].map(async () => (await post(node, CHAT, body, paid)).text()),
      );
      const later = await post(node, CHAT, body, paid);
      expect(later.headers.get("content-type")).to.match(/^text\/event-stream/);
      expect(await later.text()).to.equal(first);
      expect(concurrent).to.equal(first);
      expect(first?.endsWith("data: [DONE]\n\n")).to.equal(true);
      expect((await post(node, CHAT, { ...body, stream: false }, paid)).status).to.equal(409);
    });

    it("chatStream_clientGone_isServedAndStoredAllTheSame", async () => {
      const paid = payment();
      const body = { model: LOCAL_TEXT_MODEL_ID, messages: [user("What is settlement?")], stream: true };
      const added = new Promise<void>((resolve) => {
        const end = node.store.onAdded(() => {
          end();
          resolve();
        });
      });
      const response = await post(node, CHAT, body, paid);
      await response.body?.cancel();
      await added;
      expect(await (await post(node, CHAT, body, paid)).text()).to.include("[DONE]");
    });

    it("completion_stockClient_continuesThePrompt", async () => {
      const body = { model: LOCAL_TEXT_MODEL_ID, prompt: "The verifier checks", max_tokens: 6 };
      const answer = await openAiClient(node).completions.create(body);
      const text = answer.choices[0]?.text ?? "";
      expect(text).to.match(/^ [a-z]/);
      expect(answer).to.include({ object: "text_completion", completion: text });
      const signed = receiptOf(answer);
      expect(signed.receipt.outputHash).to.equal(completionOutputHash(text));
      expect(signed.receipt.inputHash).to.equal(inputHash("completion", JSON.stringify(body)));
    });

    it("completionStream_stockClient_readsText", async () => {
      const request = { model: LOCAL_TEXT_MODEL_ID, prompt: "A batch is", max_tokens: 10 };
      const whole = await openAiClient(node).completions.create(request);
      let text = "";
      let last: unknown;
      for await (const chunk of await openAiClient(node).completions.create({ ...request, stream: true })) {
        text += chunk.choices[0]?.text ?? "";
        last = chunk;
      }
      expect(text).to.equal(whole.choices[0]?.text);
      expect(receiptOf(last).receipt.outputHash).to.equal(completionOutputHash(text));
    });

    it("chat_jsonObject_isJson", async () => {
      const answer = await openAiClient(node).chat.completions.create({
        model: LOCAL_TEXT_MODEL_ID,
        messages: [user("What is OPG?")],
        response_format: { type: "json_object" },
      });
      expect(JSON.parse(answer.choices[0]?.message.content ?? "")).to.have.property("text");
    });
  });

  describe("upstream", () => {
    it("chat_passesEveryParameterOn", async () => {
      const answer = await openAiClient(node).chat.completions.create({
        model: "compatible/talker",
        messages: [
          { role: "developer", content: "Be brief." },
          user("Hello"),
          {
            role: "assistant",
            content: null,
            tool_calls: [{ id: "c1", type: "function", function: { name: "weather", arguments: '{"city":"Bonn"}' } }],
          },
          { role: "tool", tool_call_id: "c1", content: "rain" },
        ],
        tools: [WEATHER],
        tool_choice: "auto",
        temperature: 0.5,
        top_p: 0.9,
        max_tokens: 50,
        stop: ["END"],
        seed: 7,
        response_format: { type: "json_object" },
      });
      expect(answer.choices[0]?.message.content).to.equal("Grüße 🌍");
      expect(answer.model).to.equal("compatible/talker-2026-01-01");
      expect(answer.usage?.total_tokens).to.equal(18);
      const sent = provider.lastBody;
      expect(sent).to.deep.include({
        model: "talker",
        temperature: 0.5,
        top_p: 0.9,
        max_tokens: 50,
        stop: ["END"],
        seed: 7,
        response_format: { type: "json_object" },
        tool_choice: "auto",
      });
      expect(sent.messages).to.deep.equal([
        { role: "system", content: "Be brief." },
        { role: "user", content: "Hello" },
        {
          role: "assistant",
          content: null,
          tool_calls: [{ id: "c1", type: "function", function: { name: "weather", arguments: '{"city":"Bonn"}' } }],
        },
        { role: "tool", tool_call_id: "c1", content: "rain" },
      ]);
      expect(sent.tools).to.deep.equal([WEATHER]);
      expect(provider.calls.at(-1)?.authorization).to.equal("Bearer secret-key");
    });

    it("chat_withoutTemperature_asksForWhatTheReceiptStandsFor", async () => {
      await openAiClient(node).chat.completions.create({ model: "talker", messages: [user("Hello")] });
      expect(provider.lastBody).to.deep.include({ temperature: 0, max_tokens: 500 });
    });

    it("chat_jsonSchema_isPassedOn", async () => {
      const schema = { type: "object", properties: { a: { type: "number" } } };
      await openAiClient(node).chat.completions.create({
        model: "talker",
        messages: [user("Hello")],
        response_format: { type: "json_schema", json_schema: { name: "s", schema } },
      });
      expect(provider.lastBody.response_format).to.have.nested.property("json_schema.schema").that.deep.equals(schema);
    });

    it("chat_toolCall_isAnsweredAndSigned", async () => {
      const answer = await openAiClient(node).chat.completions.create({
        model: "caller",
        messages: [user("Weather?")],
        tools: [WEATHER],
      });
      const { message, finish_reason: finishReason } = answer.choices[0] ?? {};
      expect(finishReason).to.equal("tool_calls");
      expect(message?.content).to.equal(null);
      expect(message?.tool_calls).to.deep.equal([
        { id: "call_1", type: "function", function: { name: "weather", arguments: '{"city": "Köln"}' } },
      ]);
      expect(receiptOf(answer).receipt.outputHash).to.equal(chatOutputHash(message ?? {}));
    });

    it("chatStream_toolCall_isAssembledByTheStockClient", async () => {
      const stream = openAiClient(node).chat.completions.stream({
        model: "caller",
        messages: [user("Weather?")],
        tools: [WEATHER],
      });
      let last: unknown;
      for await (const chunk of stream) last = chunk;
      const [call] = (await stream.finalMessage()).tool_calls ?? [];
      expect(call).to.deep.include({ id: "call_1", type: "function" });
      const toolCall = { id: "call_1", type: "function", function: { name: "weather", arguments: '{"city": "Köln"}' } };
      expect(call?.type === "function" && call.function.arguments).to.equal(toolCall.function.arguments);
      expect(receiptOf(last).receipt.outputHash).to.equal(chatOutputHash({ tool_calls: [toolCall] }));
    });

    it("chatStream_text_isPassedOnWithUsage", async () => {
      const stream = await openAiClient(node).chat.completions.create({
        model: "talker",
        messages: [user("Hello")],
        stream: true,
      });
      const chunks: OpenAI.ChatCompletionChunk[] = [];
      for await (const chunk of stream) chunks.push(chunk);
      expect(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("")).to.equal("Grüße 🌍");
      expect(chunks.at(-1)?.usage?.total_tokens).to.equal(18);
      expect(chunks.every(({ model }) => model === "compatible/talker-2026-01-01")).to.equal(true);
    });

    it("chat_concurrentCopies_callTheUpstreamOnce", async () => {
      const paid = payment();
      const body = { model: "sleeper", messages: [user("Hello")] };
      const before = provider.calls.length;
      const answers = [1, 2, 3].map(async () => (await post(node, CHAT, body, paid)).text());
      while (provider.calls.length === before) await new Promise(setImmediate);
      // A copy that comes while the model runs waits for the same answer; another body does not.
      expect((await post(node, CHAT, { ...body, seed: 1 }, paid)).status).to.equal(409);
      provider.wake();
      expect(new Set(await Promise.all(answers)).size).to.equal(1);
      expect(provider.calls.length).to.equal(before + 1);
    });

    it("chatStream_brokenOff_endsWithAnErrorAndNoReceipt", async () => {
      const paid = payment();
      const before = node.store.unbatched(1000).length;
      const response = await post(node, CHAT, { model: "breaker", messages: [user("Hello")], stream: true }, paid);
      const text = await response.text();
      expect(text).to.include("Grüße").and.to.not.include("[DONE]");
      expect(text.trimEnd().split("\n").at(-1)).to.match(/^data: \{"error":\{"message":.*"type":"server_error"/);
      expect(node.store.unbatched(1000)).to.have.length(before);
      const stream = await openAiClient(node).chat.completions.create({
        model: "breaker",
        messages: [user("Hello")],
        stream: true,
      });
      const error = await rejection(
        (async () => {
          for await (const chunk of stream) expect(chunk.choices).to.have.length(1);
        })(),
      );
      expect(error).to.be.instanceOf(OpenAI.APIError);
    });

    const failures: [upstream: number, status: number, code: string][] = [
      [400, 400, "upstream_refused"],
      [401, 502, "upstream_auth"],
      [404, 502, "upstream_model_missing"],
      [429, 429, "upstream_rate_limited"],
      [500, 502, "upstream_error"],
    ];
    for (const [upstream, status, code] of failures) {
      it(`chat_upstreamStatus${upstream}_answers${status}`, async () => {
        for (const stream of [false, true]) {
          const response = await post(node, CHAT, { model: `status-${upstream}`, messages: [user("Hello")], stream });
          const text = await response.text();
          expect(response.status).to.equal(status);
          expect(JSON.parse(text)).to.have.nested.property("error.code", code);
          if (status !== 400) expect(text).to.not.include("secret-key");
        }
      });
    }
  });

  const refused: [what: string, code: string, body: object][] = [
    ["noMessages", "invalid_request", { messages: [] }],
    [
      "image",
      "invalid_request",
      { messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "x" } }] }] },
    ],
    ["unknownRole", "invalid_request", { messages: [{ role: "robot", content: "x" }] }],
    ["severalChoices", "invalid_request", { messages: [user("x")], n: 2 }],
    ["logprobs", "invalid_request", { messages: [user("x")], logprobs: true }],
    ["tooManyTokens", "max_tokens_too_large", { messages: [user("x")], max_tokens: 501 }],
    ["strayToolAnswer", "invalid_request", { messages: [{ role: "tool", content: "x", tool_call_id: "c" }] }],
    [
      "schemaOfLocalModel",
      "invalid_model_input",
      { messages: [user("x")], response_format: { type: "json_schema", json_schema: { name: "s", schema: {} } } },
    ],
    [
      "forcedToolOfLocalModel",
      "invalid_model_input",
      { messages: [user("x")], tools: [WEATHER], tool_choice: "required" },
    ],
  ];
  for (const [what, code, body] of refused) {
    it(`chat_${what}_isRefused`, async () => {
      const response = await post(node, CHAT, { model: LOCAL_TEXT_MODEL_ID, ...body });
      expect(response.status).to.equal(400);
      expect(await response.json()).to.have.nested.property("error.code", code);
    });
  }

  it("chat_modelWithoutUpstream_isNotFound", async () => {
    const error = await rejection(
      openAiClient(node).chat.completions.create({ model: "openai/gpt-5", messages: [user("x")] }),
    );
    expect(error).to.be.instanceOf(OpenAI.NotFoundError).with.property("code", "model_not_found");
  });

  it("stop_whileAModelRuns_answersThatNothingWasCharged", async () => {
    const own = nodeOptions();
    const other = new LlmProxyNode({
      ...own,
      upstreams: [await compatibleUpstream(provider.url).then((upstream) => ({ ...upstream, complete: false }))],
      offers: [{ id: "compatible/sleeper", modelId: MODEL_ID, feeWei: FEE }],
    });
    await other.start();
    const before = provider.calls.length;
    const answer = post(other, CHAT, { model: "sleeper", messages: [user("x")] });
    while (provider.calls.length === before) await new Promise(setImmediate);
    await other.stop();
    expect((await answer).status).to.equal(503);
    expect(own.store.unbatched(10)).to.deep.equal([]);
    own.store.close();
  });

  it("inference_tooSlow_timesOut", async () => {
    const own = nodeOptions({ inferenceTimeoutMs: 50 });
    const upstream = { ...(await compatibleUpstream(provider.url)), complete: false };
    const offers = [{ id: "compatible/sleeper", modelId: MODEL_ID, feeWei: FEE }];
    const other = new LlmProxyNode({ ...own, upstreams: [upstream], offers });
    await other.start();
    const response = await post(other, CHAT, { model: "sleeper", messages: [user("x")] });
    expect(response.status).to.equal(504);
    expect(await response.json()).to.have.nested.property("error.code", "inference_timeout");
    await other.stop();
    own.store.close();
  });
});
