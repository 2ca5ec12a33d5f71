import { expect } from "chai";
import OpenAI from "openai";

import { ForwardingNode } from "../../../simulator/nodes/ForwardingNode.ts";
import { chatOutputHash, completionOutputHash, inputHash } from "../../../simulator/receipts/hashes.ts";
import { rejection } from "../../support/rejection.ts";
import { FEE, MODEL_ID, nodeOptions, openAiClient, payment, post, receiptOf, signerOf } from "./nodeFixture.ts";
import { RawServer } from "./RawServer.ts";

const CHAT = "/v1/chat/completions";
const ODD_BODY = '{ "messages":[{"role":"user","content":"Hi"}],"model":"talker", "top_p":1.0 }';
const TARIFF = { baseWei: 5n, inputWei: 3n, outputWei: 7n };
const user = (content: string) => ({ role: "user" as const, content });
const chunk = (choices: object[], more: object = {}) =>
  JSON.stringify({ id: "up-1", object: "chat.completion.chunk", created: 1, model: "talker", choices, ...more });
const delta = (value: object, reason: string | null = null) =>
  chunk([{ index: 0, delta: value, finish_reason: reason }]);
const usage = { prompt_tokens: 11, completion_tokens: 7, total_tokens: 18 };

describe("ForwardingNode", () => {
  const server = new RawServer();
  const options = nodeOptions({ inferenceTimeoutMs: 5_000 });
  let node: ForwardingNode;

  before(async () => {
    await server.start();
    node = new ForwardingNode({
      ...options,
      upstream: { baseUrl: server.url, apiKey: "secret-key", maxAnswerBytes: 100_000 },
      offers: [{ id: "talker", modelId: MODEL_ID, feeWei: FEE }],
      maxOutputTokens: 500,
    });
    await node.start();
  });
  after(async () => {
    await node.stop();
    await server.stop();
    options.store.close();
  });

  const answering = (text: string, status = 200, type = "application/json"): void => {
    server.answer = { status, type, pieces: [text] };
  };
  const streaming = (...events: string[]): void => {
    server.answer = { status: 200, type: "text/event-stream", pieces: events.map((event) => `data: ${event}\n\n`) };
  };

  it("chat_passesBothWaysByteForByte_withTheReceiptAdded", async () => {
    const upstream = `{"id":"up-1" , "choices":[{"message":{"role":"assistant","content":"Grüße"},"n":1.0}],"usage":${JSON.stringify(usage)} }`;
    answering(upstream);
    const response = await post(node, CHAT, ODD_BODY);
    const text = await response.text();
    expect(server.last).to.include({ url: "/v1/chat/completions", authorization: "Bearer secret-key", body: ODD_BODY });
    expect(text.startsWith(upstream.slice(0, -1))).to.equal(true);
    const signed = receiptOf(JSON.parse(text));
    expect(signerOf(signed)).to.equal(node.signer.address);
    expect(signed.receipt).to.include({
      inputHash: inputHash("chat", ODD_BODY),
      outputHash: chatOutputHash({ content: "Grüße" }),
      fee: FEE,
    });
  });

  it("chat_tariff_chargesTheTokensUsed", async () => {
    answering(JSON.stringify({ choices: [{ message: { content: "x" } }], usage }));
    const response = await post(node, CHAT, ODD_BODY, payment({ tariff: TARIFF, feeWei: 1000n }));
    expect(receiptOf(await response.json()).receipt.fee).to.equal(5n + 3n * 11n + 7n * 7n);
  });

  it("chat_upstreamClaimsAReceipt_isReplaced", async () => {
    answering('{"choices":[{"message":{"content":"x"}}],"opengradient":{"receipt":"forged"}}');
    const text = await (await post(node, CHAT, ODD_BODY)).text();
    expect(text.match(/"opengradient"/g)).to.have.length(1);
    expect(signerOf(receiptOf(JSON.parse(text)))).to.equal(node.signer.address);
  });

  it("chat_toolCalls_areHashed", async () => {
    const calls = [{ id: "call_1", type: "function", function: { name: "weather", arguments: "{}" } }];
    answering(JSON.stringify({ choices: [{ message: { content: null, tool_calls: calls } }] }));
    const { receipt } = receiptOf(await (await post(node, CHAT, ODD_BODY)).json());
    expect(receipt.outputHash).to.equal(chatOutputHash({ tool_calls: calls }));
  });

  it("completion_carriesTheTextForOpenGradientsClients", async () => {
    answering(JSON.stringify({ choices: [{ text: "and so on" }], usage }));
    const body = { model: "talker", prompt: "Once" };
    const answer = (await (await post(node, "/v1/completions", body)).json()) as { completion: string };
    expect(answer.completion).to.equal("and so on");
    expect(receiptOf(answer).receipt.outputHash).to.equal(completionOutputHash("and so on"));
    expect(server.last.url).to.equal("/v1/completions");
  });

  it("stream_passesChunks_asksForUsage_andEndsWithTheReceipt", async () => {
    streaming(
      delta({ role: "assistant", content: "" }),
      delta({ content: "Grü" }),
      delta({ content: "ße" }),
      delta({}, "stop"),
      chunk([], { usage }),
      "[DONE]",
    );
    const stream = await openAiClient(node, payment({ tariff: TARIFF })).chat.completions.create({
      model: "talker",
      messages: [user("Hi")],
      stream: true,
    });
    const chunks: OpenAI.ChatCompletionChunk[] = [];
    for await (const each of stream) chunks.push(each);
    expect(JSON.parse(server.last.body)).to.deep.include({ stream_options: { include_usage: true } });
    expect(chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join("")).to.equal("Grüße");
    const { receipt } = receiptOf(chunks.at(-1));
    expect(receipt.outputHash).to.equal(chatOutputHash({ content: "Grüße" }));
    expect(receipt.fee).to.equal(5n + 3n * 11n + 7n * 7n);
  });

  it("stream_optionsOfTheClient_areKept", async () => {
    streaming(delta({ content: "x" }, "stop"), "[DONE]");
    const wanted = '{"model":"talker","messages":[],"stream":true,"stream_options":{"include_usage":true}}';
    await (await post(node, CHAT, wanted)).text();
    expect(server.last.body).to.equal(wanted);
    await (
      await post(node, CHAT, {
        model: "talker",
        messages: [],
        stream: true,
        stream_options: { include_usage: false, x: 1 },
      })
    ).text();
    expect(JSON.parse(server.last.body)).to.deep.include({ stream_options: { include_usage: true, x: 1 } });
  });

  it("stream_cutOrFailing_endsWithAnError_andWithoutAReceipt", async () => {
    for (const events of [
      [delta({ content: "x" })],
      [delta({ content: "x" }), '{"error":{"message":"out of memory"}}', "[DONE]"],
    ]) {
      streaming(...events);
      const text = await (await post(node, CHAT, { model: "talker", messages: [user("Hi")], stream: true })).text();
      expect(text).to.include('"upstream_error"').and.not.include("opengradient").and.not.include("[DONE]");
    }
  });

  it("stream_piecesCutAnywhere_areTheSame", async () => {
    const whole = [delta({ content: "Grüße 🌍" }), delta({}, "stop"), chunk([], { usage }), "[DONE]"]
      .map((data) => `data: ${data}\n\n`)
      .join("");
    const bytes = Buffer.from(whole);
    server.answer = { status: 200, type: "text/event-stream", pieces: Array.from(bytes, (byte) => Buffer.of(byte)) };
    const text = await (await post(node, CHAT, { model: "talker", messages: [user("Hi")], stream: true })).text();
    expect(text.startsWith(whole.slice(0, whole.indexOf(',"usage"')))).to.equal(true);
  });

  it("errors_passOrAreExplained", async () => {
    const failing = async (status: number): Promise<unknown[]> => {
      answering(JSON.stringify({ error: { message: "too long", code: "context_length_exceeded" } }), status);
      const response = await post(node, CHAT, ODD_BODY);
      const { error } = (await response.json()) as { error: { code: string; message: string } };
      return [response.status, error.code, error.message.includes("too long")];
    };
    expect(await failing(400)).to.deep.equal([400, "context_length_exceeded", true]);
    expect(await failing(429)).to.deep.equal([429, "context_length_exceeded", true]);
    expect(await failing(401)).to.deep.equal([502, "upstream_auth", false]);
    expect(await failing(500)).to.deep.equal([502, "upstream_error", false]);
    expect(await failing(503)).to.deep.equal([503, "upstream_busy", false]);
  });

  it("answers_thatNoReceiptCovers_areRefused", async () => {
    const choice = { message: { content: "x" } };
    const bodies = [
      "not JSON",
      "[]",
      "{}",
      JSON.stringify({ choices: [choice, choice] }),
      JSON.stringify({ choices: [choice], filler: "x".repeat(200_000) }),
    ];
    for (const body of bodies) {
      answering(body);
      expect((await post(node, CHAT, ODD_BODY)).status, body.slice(0, 40)).to.equal(502);
    }
  });

  it("requests_thatNoReceiptCovers_areRefused", async () => {
    const image = [{ type: "image_url", image_url: { url: "data:" } }];
    const refused: [object | string, number][] = [
      [{ model: "talker", messages: [user("Hi")], n: 2 }, 400],
      [{ model: "talker", messages: [user("Hi")], max_tokens: 501 }, 400],
      [{ model: "talker", messages: [{ role: "user", content: image }] }, 400],
      [{ model: "talker" }, 400],
      [{ model: "other", messages: [] }, 404],
      ['{"model":"talker","messages":[],"model":"other"}', 400],
      ["{", 400],
    ];
    const before = server.requests;
    for (const [body, status] of refused)
      expect((await post(node, CHAT, body)).status, JSON.stringify(body)).to.equal(status);
    expect(server.requests).to.equal(before);
  });

  it("serverAway_isTold_andChargedNothing", async () => {
    const away = new ForwardingNode({
      ...nodeOptions(),
      upstream: { baseUrl: "http://127.0.0.1:1/v1" },
      offers: [{ id: "talker", modelId: MODEL_ID, feeWei: FEE }],
    });
    await away.start();
    const error = await rejection(
      openAiClient(away).chat.completions.create({ model: "talker", messages: [user("Hi")] }),
    );
    if (!(error instanceof OpenAI.APIError)) throw error;
    expect([error.status, error.code]).to.deep.equal([502, "upstream_unreachable"]);
    expect(away.store.unbatched(1)).to.have.length(0);
    await away.stop();
  });
});
