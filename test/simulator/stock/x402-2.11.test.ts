import { expect } from "chai";
import OpenAI from "openai";
import type { PrivateKeyAccount } from "viem/accounts";
import { ExactEvmScheme } from "x402-evm-2.11/exact/client";
import { wrapFetchWithPayment, x402Client } from "x402-fetch-2.11";
import { FEE, PARROT, StockWorld } from "./StockWorld.ts";

/** The versions that OpenGradient's TypeScript SDK locks; it registers `exact` and `upto` for every EVM network, as here. */
describe("x402 2.11, unmodified", () => {
  let world: StockWorld;
  let payer: PrivateKeyAccount;

  before(async () => {
    world = await StockWorld.start();
  });
  after(() => world.stop());

  beforeEach(async () => {
    payer = await world.newPayer();
  });

  it("exact_wholeAndStreamed_areAnsweredAndPaid", async () => {
    const client = new x402Client().register("eip155:*", new ExactEvmScheme(payer));
    const openai = new OpenAI({
      baseURL: world.baseUrl,
      apiKey: "none",
      fetch: wrapFetchWithPayment(fetch, client) as typeof fetch,
    });
    const messages = [{ role: "user" as const, content: "an older client" }];
    const whole = await openai.chat.completions.create({ model: PARROT, messages });
    expect(whole.choices[0]?.message.content).to.equal("an older client");
    let text = "";
    for await (const chunk of await openai.chat.completions.create({ model: PARROT, messages, stream: true })) {
      text += chunk.choices[0]?.delta.content ?? "";
    }
    expect(text).to.equal("an older client");
    await world.spent(payer, 2n * FEE);
  });
});
