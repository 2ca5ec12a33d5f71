import { readFileSync } from "node:fs";

import { expect } from "chai";

import type { CallOptions } from "../../../simulator/models/languageModel.ts";
import { LOCAL_TEXT_CORPUS, LOCAL_TEXT_MODEL_ID, LocalTextModel } from "../../../simulator/models/LocalTextModel.ts";
import { ModelInputError } from "../../../simulator/models/ModelError.ts";
import { rejection } from "../../support/rejection.ts";

const user = (text: string): CallOptions["prompt"][number] => ({ role: "user", content: [{ type: "text", text }] });

describe("LocalTextModel", () => {
  const model = new LocalTextModel();
  const generate = (text: string, options: Partial<CallOptions> = {}) =>
    model.doGenerate({ prompt: [user(text)], ...options });
  const say = async (text: string, options: Partial<CallOptions> = {}) => {
    const [part] = (await generate(text, options)).content;
    return part?.type === "text" ? part.text : "";
  };

  it("generate_aboutItself_saysThatItIsSmall", async () => {
    for (const prompt of ["Hello!", "Who are you?", "What is your name?"]) {
      expect(await say(prompt), prompt).to.match(/small|few thousand words/);
    }
  });

  it("generate_aboutATopic_staysWithIt", async () => {
    expect(await say("What is a receipt?")).to.match(/^A receipt is what a node signs/);
    expect(await say("Tell me about slashing")).to.include("stake");
    expect(await say("How do I pay for an answer?")).to.include("OPG");
  });

  it("generate_unknownTopic_admitsIt", async () => {
    expect(await say("What is the weather in Paris?")).to.match(/^I do not know the answer to every question/);
  });

  it("generate_sameCall_givesTheSameAnswer", async () => {
    for (const options of [{}, { temperature: 1, seed: 7 }, { temperature: 1 }]) {
      expect(await say("Tell me about verifiers", options)).to.equal(await say("Tell me about verifiers", options));
    }
  });

  it("generate_otherSeeds_giveOtherAnswers", async () => {
    const answers = await Promise.all(
      [1, 2, 3, 4, 5].map((seed) => say("Tell me about verifiers", { temperature: 1, seed })),
    );
    expect(new Set(answers).size).to.be.greaterThan(1);
  });

  it("generate_tinyTopP_isGreedy", async () => {
    expect(await say("What is a batch?", { temperature: 1, topP: 1e-6 })).to.equal(await say("What is a batch?"));
  });

  it("generate_maxTokens_endsWithLength", async () => {
    const { content, finishReason, usage } = await generate("What is a receipt?", { maxOutputTokens: 4 });
    expect(content).to.deep.equal([{ type: "text", text: "A receipt is what" }]);
    expect(finishReason.unified).to.equal("length");
    expect(usage.outputTokens.total).to.equal(4);
    expect(usage.inputTokens.total).to.equal(5);
  });

  it("generate_stopSequence_isCutBefore", async () => {
    const whole = await say("What is OPG?");
    const cut = await generate("What is OPG?", { stopSequences: ["one bill"] });
    expect(cut.content).to.deep.equal([{ type: "text", text: whole.slice(0, whole.indexOf("one bill")) }]);
    expect(cut.finishReason.unified).to.equal("stop");
  });

  it("generate_continuation_goesOnInTheSentence", async () => {
    const text = await say("The verifier checks", { providerOptions: { opengradient: { continue: true } } });
    expect(text).to.match(/^ [a-z]/);
  });

  it("generate_json_isJson", async () => {
    const text = await say("What is OPG?", { responseFormat: { type: "json" }, maxOutputTokens: 5 });
    expect(JSON.parse(text)).to.deep.equal({ text: "OPG is the token of" });
  });

  it("generate_anySeed_endsAndKeepsToItsVocabulary", async () => {
    const vocabulary = new Set(readFileSync(LOCAL_TEXT_CORPUS, "utf8").match(/[^\s.,;:?!]+/g));
    for (let seed = 0; seed < 20; seed++) {
      const text = await say("What is staking?", { temperature: 1.5, seed });
      expect(text).to.not.equal("");
      for (const word of text.match(/[^\s.,;:?!]+/g) ?? []) expect(vocabulary.has(word), word).to.equal(true);
    }
  });

  it("generate_schemaOrForcedTool_isRefused", async () => {
    const schema = await rejection(Promise.resolve(generate("x", { responseFormat: { type: "json", schema: {} } })));
    expect(schema).to.be.instanceOf(ModelInputError);
    const tool = await rejection(Promise.resolve(generate("x", { toolChoice: { type: "required" } })));
    expect(tool).to.be.instanceOf(ModelInputError);
  });

  it("generate_tools_areReportedAsUnsupported", async () => {
    const { warnings } = await generate("x", {
      tools: [{ type: "function", name: "f", inputSchema: { type: "object" } }],
    });
    expect(warnings).to.deep.equal([{ type: "unsupported", feature: "tools" }]);
  });

  it("stream_deltas_joinToTheGeneratedText", async () => {
    const prompt = [user("What is a batch?")];
    const { stream } = await model.doStream({ prompt });
    const types: string[] = [];
    const deltas: string[] = [];
    for await (const part of stream) {
      types.push(part.type);
      if (part.type === "text-delta") deltas.push(part.delta);
      if (part.type === "response-metadata") expect(part.modelId).to.equal(LOCAL_TEXT_MODEL_ID);
    }
    expect(deltas.length).to.be.greaterThan(10);
    expect(deltas.join("")).to.equal(await say("What is a batch?"));
    expect([types[0], types.at(-1)]).to.deep.equal(["stream-start", "finish"]);
  });

  it("stream_aborted_fails", async () => {
    const controller = new AbortController();
    const { stream } = await model.doStream({ prompt: [user("What is a batch?")], abortSignal: controller.signal });
    const error = await rejection(
      (async () => {
        for await (const part of stream) if (part.type === "text-delta") controller.abort();
      })(),
    );
    expect(error.name).to.equal("AbortError");
  });
});
