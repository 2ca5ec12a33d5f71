import { wrapAxiosWithPayment, x402Client } from "@x402/axios";
import axios, { type AxiosInstance } from "axios";
import { expect } from "chai";
import type OpenAI from "openai";
import type { PrivateKeyAccount } from "viem/accounts";
import { ExactEvmScheme } from "x402-evm-2.11/exact/client";
import { UptoEvmScheme } from "x402-evm-2.11/upto/client";
import { costOf, FEE, PARROT, StockWorld } from "./StockWorld.ts";

describe("axios + @x402/axios 2.11, unmodified", function () {
  this.timeout(30_000);
  let world: StockWorld;
  let payer: PrivateKeyAccount;
  let api: AxiosInstance;

  before(async () => {
    world = await StockWorld.start();
  });
  after(() => world.stop());

  beforeEach(async () => {
    payer = await world.newPayer();
    const client = new x402Client().register(world.network, new ExactEvmScheme(payer));
    api = wrapAxiosWithPayment(axios.create({ baseURL: world.baseUrl }), client);
  });

  it("chat_whole_isAnsweredAndPaid", async () => {
    const { data, headers } = await api.post<OpenAI.ChatCompletion>("/chat/completions", {
      model: PARROT,
      messages: [{ role: "user", content: "from axios" }],
    });
    expect(data.choices[0]?.message.content).to.equal("from axios");
    expect(headers["x-processing-hash"]).to.match(/^0x[0-9a-f]{64}$/);
    await world.spent(payer, FEE);
  });

  it("chat_streamed_isAnsweredAndPaid", async () => {
    const { data } = await api.post<AsyncIterable<Buffer>>(
      "/chat/completions",
      { model: PARROT, messages: [{ role: "user", content: "bit by bit" }], stream: true },
      { responseType: "stream" },
    );
    let text = "";
    for await (const bytes of data) text += bytes.toString();
    const words = [...text.matchAll(/"content":"([^"]*)"/g)].map(([, word]) => word);
    expect(words.join("")).to.equal("bit by bit");
    expect(text.trimEnd().endsWith("data: [DONE]")).to.equal(true);
    await world.spent(payer, FEE);
  });

  it("tools_areCalled", async () => {
    const { data } = await api.post<OpenAI.ChatCompletion>("/chat/completions", {
      model: PARROT,
      messages: [{ role: "user", content: "Köln" }],
      tools: [{ type: "function", function: { name: "weather", parameters: { type: "object" } } }],
    });
    const [call] = data.choices[0]?.message.tool_calls ?? [];
    expect(call?.type === "function" && call.function.name).to.equal("weather");
    await world.spent(payer, FEE);
  });

  it("upto_withoutAllowanceOrEth_isChargedByTheToken", async () => {
    const client = new x402Client().register(world.network, new UptoEvmScheme(payer, { rpcUrl: world.chain.url }));
    const sponsored = wrapAxiosWithPayment(axios.create({ baseURL: world.baseUrl }), client);
    const { data } = await sponsored.post<OpenAI.ChatCompletion>("/chat/completions", {
      model: PARROT,
      messages: [{ role: "user", content: "by the token" }],
      response_format: {
        type: "json_schema",
        json_schema: { name: "echo", schema: { type: "object", properties: { said: { type: "string" } } } },
      },
    });
    expect(data.choices[0]?.message.content).to.equal('{"said":"by the token"}');
    await world.spent(payer, costOf(data));
  });
});
