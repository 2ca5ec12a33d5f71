import { expect } from "chai";

import { knownModelIds } from "../../../simulator/nodes/LlmProxyNode.ts";
import { UpstreamUnreachableError, upstreamsFromEnvironment } from "../../../simulator/nodes/upstreams.ts";
import { rejection } from "../../support/rejection.ts";
import { ProviderServer } from "./ProviderServer.ts";

const PROMPT = [{ role: "user" as const, content: [{ type: "text" as const, text: "Hello" }] }];

describe("upstreams", () => {
  const provider = new ProviderServer();
  before(() => provider.start());
  after(() => provider.stop());

  it("fromEnvironment_withoutKeys_isTheLocalModelAlone", async () => {
    const upstreams = await upstreamsFromEnvironment({ OPENAI_API_KEY: "" });
    expect(knownModelIds(upstreams)).to.deep.equal(["opengradient/local-ngram-v1"]);
  });

  it("fromEnvironment_withAllKeys_listsEveryProvider", async () => {
    const upstreams = await upstreamsFromEnvironment({
      OPENAI_API_KEY: "a",
      ANTHROPIC_API_KEY: "b",
      GOOGLE_GENERATIVE_AI_API_KEY: "c",
      XAI_API_KEY: "d",
      OPENAI_COMPATIBLE_BASE_URL: provider.url,
    });
    expect(upstreams.map(({ provider: name }) => name)).to.deep.equal([
      "opengradient",
      "openai",
      "anthropic",
      "google",
      "x-ai",
      "compatible",
    ]);
    expect(knownModelIds(upstreams)).to.include.members([
      "openai/gpt-4.1-2025-04-14",
      "anthropic/claude-haiku-4-5",
      "google/gemini-2.5-flash",
      "x-ai/grok-4",
      "compatible/talker",
    ]);
    for (const upstream of upstreams) {
      expect(upstream.languageModel(upstream.modelIds[0] ?? "").specificationVersion).to.equal("v4");
    }
  });

  it("openai_call_usesTheChatApiWithItsKey", async () => {
    const upstreams = await upstreamsFromEnvironment({ OPENAI_API_KEY: "key", OPENAI_BASE_URL: provider.url });
    const model = upstreams.find(({ provider: name }) => name === "openai")?.languageModel("talker");
    const result = await model?.doGenerate({ prompt: PROMPT, seed: 3 });
    expect(result?.content).to.deep.include.members([{ type: "text", text: "Grüße 🌍" }]);
    expect(provider.calls.at(-1)).to.deep.include({ path: "/v1/chat/completions", authorization: "Bearer key" });
    expect(provider.lastBody).to.include({ model: "talker", seed: 3 });
  });

  it("anthropic_call_usesItsOwnApi", async () => {
    const upstreams = await upstreamsFromEnvironment({ ANTHROPIC_API_KEY: "key", ANTHROPIC_BASE_URL: provider.url });
    const model = upstreams.find(({ provider: name }) => name === "anthropic")?.languageModel("claude-haiku-4-5");
    const result = await model?.doGenerate({ prompt: PROMPT, maxOutputTokens: 10 });
    expect(result?.content).to.deep.equal([{ type: "text", text: "Hello from the other API" }]);
    expect(result?.response?.modelId).to.equal("claude-haiku-4-5-20251001");
    expect(provider.calls.at(-1)).to.deep.include({ path: "/v1/messages", authorization: "key" });
  });

  it("compatible_unreachable_throws", async () => {
    const error = await rejection(upstreamsFromEnvironment({ OPENAI_COMPATIBLE_BASE_URL: "http://127.0.0.1:1/v1" }));
    expect(error).to.be.instanceOf(UpstreamUnreachableError);
  });
});
