import { expect } from "chai";
import { x402Client } from "@x402/core/client";
import { ExactEvmScheme } from "@x402/evm/exact/client";
import { wrapFetchWithPayment } from "@x402/fetch";
import OpenAI from "openai";
import type { PrivateKeyAccount } from "viem/accounts";
import { FEE, PARROT, StockWorld, TEXT_MODEL } from "./StockWorld.ts";

const user = (content: string) => ({ role: "user" as const, content });
const WEATHER = {
  name: "weather",
  description: "The weather in a city",
  parameters: { type: "object", properties: { city: { type: "string" } } },
};

describe("openai + @x402/fetch, unmodified", () => {
  let world: StockWorld;
  let payer: PrivateKeyAccount;
  let openai: OpenAI;

  before(async () => {
    world = await StockWorld.start();
  });
  after(() => world.stop());

  beforeEach(async () => {
    payer = await world.newPayer();
    const client = new x402Client()
      .register(world.network, new ExactEvmScheme(payer))
      .setSpendControls(world.spendControls);
    openai = new OpenAI({ baseURL: world.baseUrl, apiKey: "none", fetch: wrapFetchWithPayment(fetch, client) });
  });

  it("chat_whole_isAnsweredAndPaid", async () => {
    const answer = await openai.chat.completions.create({ model: PARROT, messages: [user("Polly wants a receipt")] });
    expect(answer.choices[0]?.message.content).to.equal("Polly wants a receipt");
    expect(answer.usage).to.deep.equal({ prompt_tokens: 4, completion_tokens: 4, total_tokens: 8 });
    await world.spent(payer, FEE);
  });

  it("chat_streamed_isAnsweredAndPaid", async () => {
    const stream = await openai.chat.completions.create({
      model: PARROT,
      messages: [user("one word after another")],
      stream: true,
      stream_options: { include_usage: true },
    });
    const words: string[] = [];
    let usage: OpenAI.CompletionUsage | null | undefined;
    for await (const chunk of stream) {
      const word = chunk.choices[0]?.delta.content;
      if (word) words.push(word);
      usage = chunk.usage ?? usage;
    }
    expect(words).to.deep.equal(["one ", "word ", "after ", "another"]);
    expect(usage).to.include({ prompt_tokens: 4, completion_tokens: 4 });
    await world.spent(payer, FEE);
  });

  it("chat_localModel_isAnsweredAndPaid", async () => {
    const { choices } = await openai.chat.completions.create({
      model: TEXT_MODEL,
      messages: [user("Who checks a receipt?")],
      max_tokens: 8,
    });
    expect(choices[0]?.message.content).to.be.a("string").and.not.equal("");
    await world.spent(payer, FEE);
  });

  it("completion_wholeAndStreamed_areAnsweredAndPaid", async () => {
    const whole = await openai.completions.create({ model: PARROT, prompt: "once upon a time" });
    expect(whole.choices[0]?.text).to.equal("once upon a time");
    let text = "";
    for await (const chunk of await openai.completions.create({ model: PARROT, prompt: "the end", stream: true })) {
      text += chunk.choices[0]?.text ?? "";
    }
    expect(text).to.equal("the end");
    await world.spent(payer, 2n * FEE);
  });

  it("tools_calledAndAnswered_everyTurnIsPaid", async () => {
    const runner = openai.chat.completions.runTools({
      model: PARROT,
      messages: [user("Köln")],
      tools: [
        {
          type: "function",
          function: {
            ...WEATHER,
            function: ({ city }: { city: string }) => `rain in ${city}`,
            parse: JSON.parse as (text: string) => { city: string },
          },
        },
      ],
    });
    expect(await runner.finalContent()).to.equal("The tool says: rain in Köln");
    await world.spent(payer, 2n * FEE);
  });

  it("tools_streamed_arePutTogether", async () => {
    const stream = openai.chat.completions.stream({
      model: PARROT,
      messages: [user("Bonn")],
      tools: [{ type: "function", function: WEATHER }],
    });
    const { choices } = await stream.finalChatCompletion();
    const [call] = choices[0]?.message.tool_calls ?? [];
    expect(call?.type === "function" && call.function).to.include({ name: "weather", arguments: '{"city":"Bonn"}' });
    expect(choices[0]?.finish_reason).to.equal("tool_calls");
    await world.spent(payer, FEE);
  });

  it("structuredOutput_isParsedByOpenAisClient", async () => {
    const answer = await openai.chat.completions.parse({
      model: PARROT,
      messages: [user("Bonn")],
      response_format: {
        type: "json_schema",
        json_schema: {
          name: "place",
          strict: true,
          schema: {
            type: "object",
            properties: { city: { type: "string" }, country: { type: "string" } },
            required: ["city", "country"],
            additionalProperties: false,
          },
        },
      },
    });
    expect(answer.choices[0]?.message.parsed).to.deep.equal({ city: "Bonn", country: "Bonn" });
    await world.spent(payer, FEE);
  });

  it("concurrentRequests_areEachAnsweredAndPaid", async () => {
    const contents = Array.from({ length: 8 }, (_, i) => `number ${i}`);
    const answers = await Promise.all(
      contents.map((content) => openai.chat.completions.create({ model: PARROT, messages: [user(content)] })),
    );
    expect(answers.map(({ choices }) => choices[0]?.message.content)).to.deep.equal(contents);
    await world.spent(payer, 8n * FEE);
  });

  it("spendControls_notSet_refuseToSpendOpg", async () => {
    const careful = new x402Client().register(world.network, new ExactEvmScheme(payer));
    const refusing = new OpenAI({
      baseURL: world.baseUrl,
      apiKey: "none",
      maxRetries: 0,
      fetch: wrapFetchWithPayment(fetch, careful),
    });
    const error = await refusing.chat.completions.create({ model: PARROT, messages: [user("x")] }).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).to.be.instanceOf(OpenAI.APIConnectionError);
    expect(((error as Error).cause as Error).message).to.contain("rejected by spendControls");
    await world.spent(payer, 0n);
  });
});
