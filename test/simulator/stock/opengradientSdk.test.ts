import { PERMIT2_ADDRESS } from "@x402/evm";
import { expect } from "chai";
import { MaxUint256, parseEther, Wallet } from "ethers";
import { privateKeyToAccount } from "viem/accounts";
import { UptoEvmScheme } from "x402-evm-2.11/upto/client";
import { wrapFetchWithPayment, x402Client } from "x402-fetch-2.11";
import type { Hex } from "../../../simulator/receipts/types.ts";
import { FUNDS, PARROT, StockWorld } from "./StockWorld.ts";

/** What OpenGradient's SDKs send and look for: its routes, headers and fields, over the x402 version that its TypeScript SDK locks. */
describe("OpenGradient's SDK conventions", function () {
  this.timeout(30_000);
  let world: StockWorld;
  let paying: typeof fetch;

  before(async () => {
    world = await StockWorld.start();
    const wallet = Wallet.createRandom().connect(world.chain.provider);
    await (await world.chain.account(0).sendTransaction({ to: wallet.address, value: parseEther("1") })).wait();
    await (await world.chain.opg.transfer(wallet.address, FUNDS)).wait();
    await (await world.chain.opg.connect(wallet).approve(PERMIT2_ADDRESS, MaxUint256)).wait();
    const account = privateKeyToAccount(wallet.privateKey as Hex);
    const client = new x402Client().register("eip155:*", new UptoEvmScheme(account));
    paying = wrapFetchWithPayment(fetch, client) as typeof fetch;
  });
  after(() => world.stop());

  /** As the SDK sends it: a bearer token that means nothing, the settlement type, temperature 0. */
  const post = (route: string, body: object, settlement = "batch"): Promise<Response> =>
    paying(`${world.baseUrl}/${route}`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        authorization: "Bearer 0x1234567890abcdef1234567890abcdef12345678",
        "X-SETTLEMENT-TYPE": settlement,
      },
      body: JSON.stringify({ model: PARROT, max_tokens: 100, temperature: 0, ...body }),
    });

  const messages = [{ role: "user", content: "for the SDK" }];

  it("completions_answerWithCompletion", async () => {
    const response = await post("completions", { prompt: "for the SDK" });
    expect(response.status).to.equal(200);
    expect(await response.json()).to.include({ completion: "for the SDK" });
  });

  it("chat_answersWithChoicesUsageAndTheProcessingHash", async () => {
    const response = await post("chat/completions", { messages });
    const answer = (await response.json()) as { choices: { message: object }[]; usage: object };
    expect(answer.choices[0]?.message).to.include({ role: "assistant", content: "for the SDK" });
    expect(answer.usage).to.include({ total_tokens: 6 });
    expect(response.headers.get("x-processing-hash")).to.match(/^0x[0-9a-f]{64}$/);
  });

  for (const settlement of ["private", "batch", "individual", "SETTLE_BATCH", "SETTLE_INDIVIDUAL", "SETTLE_METADATA"]) {
    it(`settlementType_${settlement}_isTaken`, async () => {
      const response = await post(
        "chat/completions",
        { messages: [{ role: "user", content: settlement }] },
        settlement,
      );
      expect(response.status, await response.text()).to.equal(200);
    });
  }

  it("stream_endsWithTheChunkThatCarriesReasonUsageAndProof", async () => {
    const response = await post("chat/completions", { messages, stream: true });
    const events = (await response.text()).split("\n\n").filter((event) => event.startsWith("data: "));
    expect(events.at(-1)).to.equal("data: [DONE]");
    const last = JSON.parse(events.at(-2)!.slice("data: ".length)) as { usage: object; opengradient: object };
    expect(last.usage).to.include({ total_tokens: 6 });
    expect(last.opengradient).to.include.keys("receipt", "signer");
  });
});
