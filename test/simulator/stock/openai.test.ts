import { expect } from "chai";
import { x402Client } from "@x402/core/client";
import { ExactEvmScheme } from "@x402/evm/exact/client";
import { wrapFetchWithPayment } from "@x402/fetch";
import OpenAI from "openai";
import type { PrivateKeyAccount } from "viem/accounts";
import { STOCK_SCHEMES } from "./schemes.ts";
import { PARROT, StockWorld, TEXT_MODEL } from "./StockWorld.ts";

const user = (content: string) => ({ role: "user" as const, content });
const WEATHER = {
  name: "weather",
  description: "The weather in a city",
  parameters: { type: "object", properties: { city: { type: "string" } } },
};

describe("openai + @x402/fetch, unmodified", function () {
  this.timeout(30_000);
  let world: StockWorld;
  let payer: PrivateKeyAccount;
  let openai: OpenAI;

  before(async () => {
    world = await StockWorld.start();
  });
  after(() => world.stop());

  beforeEach(async () => {
    payer = await world.newPayer();
  });

  const paying = (client: x402Client): OpenAI =>
    new OpenAI({ baseURL: world.baseUrl, apiKey: "none", fetch: wrapFetchWithPayment(fetch, client) });

  for (const { name, payer: payerOf, cost } of STOCK_SCHEMES) {
    describe(name, () => {
      let finish: (() => Promise<unknown>) | undefined;

      beforeEach(() => {
        const stock = payerOf(world, payer);
        ({ finish } = stock);
        openai = paying(stock.client);
      });

      const paid = async (wei: bigint): Promise<void> => {
        await finish?.();
        await world.spent(payer, wei);
      };

      it("chat_whole_isAnsweredAndPaid", async () => {
        const answer = await openai.chat.completions.create({
          model: PARROT,
          messages: [user("Polly wants a receipt")],
        });
        expect(answer.choices[0]?.message.content).to.equal("Polly wants a receipt");
        expect(answer.usage).to.deep.equal({ prompt_tokens: 4, completion_tokens: 4, total_tokens: 8 });
        await paid(cost(answer));
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
        await paid(cost({ usage }));
      });

      it("completion_wholeAndStreamed_areAnsweredAndPaid", async () => {
        const whole = await openai.completions.create({ model: PARROT, prompt: "once upon a time" });
        expect(whole.choices[0]?.text).to.equal("once upon a time");
        // a sponsored payer's next permit needs the nonce after this one's
        if (finish === undefined) await paid(cost(whole));
        let text = "";
        let usage: OpenAI.CompletionUsage | null | undefined;
        for await (const chunk of await openai.completions.create({ model: PARROT, prompt: "the end", stream: true })) {
          text += chunk.choices[0]?.text ?? "";
          usage = chunk.usage ?? usage;
        }
        expect(text).to.equal("the end");
        await paid(cost(whole) + cost({ usage }));
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
                function: async ({ city }: { city: string }) => {
                  if (finish === undefined) await paid(cost(runner.allChatCompletions()[0]!));
                  return `rain in ${city}`;
                },
                parse: JSON.parse as (text: string) => { city: string },
              },
            },
          ],
        });
        expect(await runner.finalContent()).to.equal("The tool says: rain in Köln");
        const turns = runner.allChatCompletions();
        expect(turns).to.have.length(2);
        await paid(cost(turns[0]!) + cost(turns[1]!));
      });

      it("tools_streamed_arePutTogether", async () => {
        const stream = openai.chat.completions.stream({
          model: PARROT,
          messages: [user("Bonn")],
          tools: [{ type: "function", function: WEATHER }],
          stream_options: { include_usage: true },
        });
        const answer = await stream.finalChatCompletion();
        const [call] = answer.choices[0]?.message.tool_calls ?? [];
        expect(call?.type === "function" && call.function).to.include({
          name: "weather",
          arguments: '{"city":"Bonn"}',
        });
        expect(answer.choices[0]?.finish_reason).to.equal("tool_calls");
        await paid(cost(answer));
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
        await paid(cost(answer));
      });
    });
  }

  it("chat_localModel_isAnsweredAtItsFixedPrice", async () => {
    const [{ payer: payerOf, cost }] = STOCK_SCHEMES as [(typeof STOCK_SCHEMES)[0]];
    const answer = await paying(payerOf(world, payer).client).chat.completions.create({
      model: TEXT_MODEL,
      messages: [user("Who checks a receipt?")],
      max_tokens: 8,
    });
    expect(answer.choices[0]?.message.content).to.be.a("string").and.not.equal("");
    await world.spent(payer, cost(answer));
  });

  it("concurrentRequests_areEachAnsweredAndPaid", async () => {
    const [{ payer: payerOf, cost }] = STOCK_SCHEMES as [(typeof STOCK_SCHEMES)[0]];
    openai = paying(payerOf(world, payer).client);
    const contents = Array.from({ length: 8 }, (_, i) => `number ${i}`);
    const answers = await Promise.all(
      contents.map((content) => openai.chat.completions.create({ model: PARROT, messages: [user(content)] })),
    );
    expect(answers.map(({ choices }) => choices[0]?.message.content)).to.deep.equal(contents);
    await world.spent(
      payer,
      answers.reduce((sum, answer) => sum + cost(answer), 0n),
    );
  });

  it("spendControls_notSet_refuseToSpendOpg", async () => {
    openai = paying(new x402Client().register(world.network, new ExactEvmScheme(payer)));
    const error = await openai.chat.completions
      .create({ model: PARROT, messages: [user("x")] }, { maxRetries: 0 })
      .then(
        () => undefined,
        (reason: unknown) => reason,
      );
    expect(error).to.be.instanceOf(OpenAI.APIConnectionError);
    expect(((error as Error).cause as Error).message).to.contain("rejected by spendControls");
    await world.spent(payer, 0n);
  });
});
