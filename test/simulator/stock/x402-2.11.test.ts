import { PERMIT2_ADDRESS } from "@x402/evm";
import { expect } from "chai";
import { MaxUint256, Wallet, parseEther } from "ethers";
import OpenAI from "openai";
import { privateKeyToAccount, type PrivateKeyAccount } from "viem/accounts";
import { ExactEvmScheme } from "x402-evm-2.11/exact/client";
import { UptoEvmScheme } from "x402-evm-2.11/upto/client";
import { wrapFetchWithPayment, x402Client } from "x402-fetch-2.11";
import type { Hex } from "../../../simulator/receipts/types.ts";
import { costOf, FEE, FUNDS, PARROT, StockWorld, TEXT_MODEL } from "./StockWorld.ts";

const messages = [{ role: "user" as const, content: "an older client" }];

/** The versions that OpenGradient's TypeScript SDK locks. Like it, the client registers `exact` and `upto` for every EVM network. */
describe("x402 2.11, unmodified", function () {
  this.timeout(30_000);
  let world: StockWorld;
  let payer: PrivateKeyAccount;

  before(async () => {
    world = await StockWorld.start();
  });
  after(() => world.stop());

  /** Has given Permit2 an allowance once, as the SDK's `ensureOpgApproval` does: 2.11 reads no chain here. */
  beforeEach(async () => {
    const wallet = Wallet.createRandom().connect(world.chain.provider);
    const funder = world.chain.account(0);
    await (await funder.sendTransaction({ to: wallet.address, value: parseEther("1") })).wait();
    await (await world.chain.opg.transfer(wallet.address, FUNDS)).wait();
    await (await world.chain.opg.connect(wallet).approve(PERMIT2_ADDRESS, MaxUint256)).wait();
    payer = privateKeyToAccount(wallet.privateKey as Hex);
  });

  const openai = (client: x402Client): OpenAI =>
    new OpenAI({
      baseURL: world.baseUrl,
      apiKey: "none",
      fetch: wrapFetchWithPayment(fetch, client) as typeof fetch,
    });

  const both = (): x402Client =>
    new x402Client().register("eip155:*", new ExactEvmScheme(payer)).register("eip155:*", new UptoEvmScheme(payer));

  it("upto_whole_isChargedByTheToken", async () => {
    expect(world.network).to.equal("eip155:31337");
    const client = openai(both());
    const whole = await client.chat.completions.create({ model: PARROT, messages });
    expect(whole.choices[0]?.message.content).to.equal("an older client");
    await world.spent(payer, costOf(whole));
  });

  it("upto_streamed_isChargedByTheToken", async () => {
    const stream = await openai(both()).chat.completions.create({ model: PARROT, messages, stream: true });
    let text = "";
    let usage: OpenAI.CompletionUsage | null | undefined;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? "";
      usage = chunk.usage ?? usage;
    }
    expect(text).to.equal("an older client");
    await world.spent(payer, costOf({ usage }));
  });

  it("fixedPrice_ofAModelWithoutATokenPrice_isPaidByExact", async () => {
    await openai(both()).chat.completions.create({ model: TEXT_MODEL, messages, max_tokens: 4 });
    await world.spent(payer, FEE);
  });

  it("exact_wholeAndStreamed_areAnsweredAndPaid", async () => {
    const client = openai(new x402Client().register("eip155:*", new ExactEvmScheme(payer)));
    const whole = await client.chat.completions.create({ model: PARROT, messages });
    expect(whole.choices[0]?.message.content).to.equal("an older client");
    let text = "";
    for await (const chunk of await client.chat.completions.create({ model: PARROT, messages, stream: true })) {
      text += chunk.choices[0]?.delta.content ?? "";
    }
    expect(text).to.equal("an older client");
    await world.spent(payer, 2n * FEE);
  });
});
