import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { parseEther } from "ethers";
import { ChannelStore } from "../../../simulator/client/ChannelStore.ts";
import { OpenGradientClient, type GatewayClientOptions } from "../../../simulator/client/OpenGradientClient.ts";
import { addressOfKey, randomKey } from "../../../simulator/receipts/secp256k1.ts";
import type { Hex } from "../../../simulator/receipts/types.ts";
import { rejection } from "../../support/rejection.ts";
import { eventually } from "../gateway/gatewayFixture.ts";
import { costOf, DOMAIN, FUNDS, NODE_KEY, PARROT, StockWorld } from "../stock/StockWorld.ts";

const DEPOSIT = parseEther("1");

describe("OpenGradientClient: channels", function () {
  this.timeout(60_000);
  let world: StockWorld;
  let key: Hex;
  const clients: OpenGradientClient[] = [];
  const directory = mkdtempSync(join(tmpdir(), "channels-"));
  let files = 0;
  const newFile = (): string => join(directory, `${files++}.db`);

  before(async () => {
    world = await StockWorld.start();
  });
  after(async () => {
    await Promise.all(clients.map((client) => client.close()));
    await world.stop();
    rmSync(directory, { recursive: true });
  });

  beforeEach(async () => {
    key = randomKey();
    await (await world.chain.opg.transfer(addressOfKey(key), FUNDS)).wait();
  });

  const open = (changes: Partial<GatewayClientOptions> = {}): OpenGradientClient => {
    const client = new OpenGradientClient({
      gatewayUrl: world.gateway.url,
      wallet: key,
      domain: DOMAIN,
      asset: world.chain.asset,
      maxPaymentWei: parseEther("0.1"),
      schemes: ["batch-settlement"],
      maxDepositWei: DEPOSIT,
      provider: world.chain.provider,
      signers: {
        operatorOf: (signer) => Promise.resolve(signer === addressOfKey(NODE_KEY) ? world.node.operator : undefined),
      },
      retryPauseMs: 5,
      ...changes,
    });
    clients.push(client);
    return client;
  };

  const ask = (client: OpenGradientClient, content: string, more: object = {}): Promise<Response> =>
    client.fetch(`${client.baseUrl}/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: PARROT, messages: [{ role: "user", content }], ...more }),
    });
  const words = (n: number): bigint =>
    costOf({ usage: { prompt_tokens: n, completion_tokens: n, total_tokens: 2 * n } });
  const balance = (): Promise<bigint> => world.chain.opg.balanceOf(addressOfKey(key));
  const fees = (client: OpenGradientClient): bigint =>
    client.receipts.reduce((sum, { signed }) => sum + signed.receipt.fee, 0n);

  it("requests_wholeAndStreamed_oneDeposit_refundedToTheLastWei", async () => {
    const client = open();
    await ask(client, "one two three");
    const block = await world.chain.provider.getBlockNumber();
    expect(await (await ask(client, "in a stream", { stream: true })).text()).to.contain("[DONE]");
    await ask(client, "once more");
    expect(await world.chain.provider.getBlockNumber()).to.equal(block);
    expect(client.receipts.map(({ signed }) => signed.receipt.fee)).to.deep.equal([3, 3, 2].map(words));
    const [channel] = await client.channels();
    expect(channel).to.include({ chargedWei: fees(client), balanceWei: DEPOSIT, unprovenWei: 0n, complete: true });
    expect(await balance()).to.equal(FUNDS - DEPOSIT);
    const [refund, ...others] = await client.refundChannel();
    expect(refund).to.include({ success: true });
    expect(others).to.have.length(0);
    await eventually(async () => (await balance()) === FUNDS - fees(client), "the refund");
    expect(await client.refundChannel()).to.deep.equal([]);
  });

  it("stream_first_depositsOnce", async () => {
    const client = open();
    for (let i = 0; i < 2; i++) await (await ask(client, `stream ${i}`, { stream: true })).text();
    expect(await balance()).to.equal(FUNDS - DEPOSIT);
  });

  it("restart_continuesTheChannel", async () => {
    const file = newFile();
    const first = new ChannelStore(file);
    const before = open({ channelStore: first });
    await ask(before, "before");
    first.close();
    const second = new ChannelStore(file);
    const after = open({ channelStore: second });
    await ask(after, "after");
    expect(await after.channels()).to.have.length(1);
    expect((await after.channels())[0]).to.include({ chargedWei: fees(before) + fees(after) });
    expect(await balance()).to.equal(FUNDS - DEPOSIT);
    second.close();
  });

  it("storeLost_isFoundAgainOnChain", async () => {
    await ask(open(), "remember");
    const client = open();
    await ask(client, "what was it");
    expect(await balance()).to.equal(FUNDS - DEPOSIT);
    expect((await client.channels())[0]).to.include({ complete: false });
  });

  it("answer_lostForGood_isCountedAsUnproven_andNoMore", async () => {
    let lose = false;
    const client = open({
      retries: 0,
      fetch: async (input, init) => {
        const response = await fetch(input, init);
        if (!lose || response.headers.get("payment-response") === null) return response;
        await response.body?.cancel();
        throw new TypeError("fetch failed");
      },
    });
    await ask(client, "first");
    lose = true;
    await rejection(ask(client, "a lost answer"));
    lose = false;
    await ask(client, "another question");
    const [channel] = await client.channels();
    expect(channel).to.include({ chargedWei: fees(client) + words(3), unprovenWei: words(3) });
    // the lost one again: it is paid for, and then proven
    await ask(client, "a lost answer");
    expect((await client.channels())[0]).to.include({ chargedWei: fees(client), unprovenWei: 0n });
  });

  it("connection_lost_isAskedAgainWithTheSameVoucher", async () => {
    let losses = 2;
    const client = open({
      fetch: async (input, init) => {
        const response = await fetch(input, init);
        if (response.headers.get("payment-response") === null || losses-- <= 0) return response;
        await response.body?.cancel();
        throw new TypeError("fetch failed");
      },
    });
    await ask(client, "lost and found");
    expect((await client.channels())[0]).to.include({ chargedWei: words(3), unprovenWei: 0n });
  });

  it("requests_atOnce_takeTurns", async () => {
    const client = open();
    await Promise.all(Array.from({ length: 5 }, (_, i) => ask(client, `number ${i}`)));
    expect(client.receipts).to.have.length(5);
    expect((await client.channels())[0]).to.include({ chargedWei: fees(client) });
    expect(new Set(client.receipts.map(({ requestId }) => requestId)).size).to.equal(5);
  });

  it("stream_leftInTheMiddle_letsTheNextRequestHaveTheChannel", async () => {
    const client = open();
    const left = await ask(client, "one two three four five six", { stream: true });
    await left.body?.cancel();
    await ask(client, "and on");
    expect(client.receipts).to.have.length(1);
  });

  describe("lying gateway", () => {
    type Stated = { extra: { chargedAmount: string; channelState: Record<string, string> } };
    const stating =
      (change: (stated: Stated) => void): typeof fetch =>
      async (input, init) => {
        const response = await fetch(input, init);
        const header = response.headers.get("payment-response");
        if (header === null) return response;
        const stated = JSON.parse(Buffer.from(header, "base64").toString()) as Stated;
        change(stated);
        const headers = new Headers(response.headers);
        headers.set("payment-response", Buffer.from(JSON.stringify(stated)).toString("base64"));
        return new Response(response.body, { status: response.status, headers });
      };
    const lies: [string, (stated: Stated) => void][] = [
      ["higherSum", ({ extra }) => (extra.channelState.chargedCumulativeAmount = parseEther("0.5").toString())],
      ["lowerSum", ({ extra }) => (extra.channelState.chargedCumulativeAmount = "1")],
      ["otherCharge", ({ extra }) => (extra.chargedAmount = "1")],
      ["otherChannel", ({ extra }) => (extra.channelState.channelId = `0x${"66".repeat(32)}`)],
      ["nonsense", ({ extra }) => (extra.chargedAmount = "-1")],
    ];
    for (const [name, lie] of lies) {
      it(`paymentResponse_${name}_isRefused`, async () => {
        const error = await rejection(ask(open({ fetch: stating(lie) }), "what it cost"));
        expect(error).to.include({ code: "channel_state_mismatch" });
      });
    }

    it("paymentResponse_inAStream_isCheckedToo", async () => {
      const lying: typeof fetch = async (input, init) => {
        const response = await fetch(input, init);
        if (!response.ok) return response;
        const text = (await response.text()).replace(/"paymentResponse":"([^"]*)"/, (_all, header: string) => {
          const stated = JSON.parse(Buffer.from(header, "base64").toString()) as Stated;
          stated.extra.chargedAmount = "1";
          return `"paymentResponse":"${Buffer.from(JSON.stringify(stated)).toString("base64")}"`;
        });
        return new Response(text, { headers: response.headers });
      };
      const reading = ask(open({ fetch: lying }), "what it cost", { stream: true }).then((r) => r.text());
      expect(await rejection(reading)).to.include({ code: "channel_state_mismatch" });
    });

    it("answer_ofAnEarlierVoucher_isNotTakenForAnother", async () => {
      let first: { body: string; headers: Headers } | undefined;
      const client = open({
        fetch: async (input, init) => {
          const response = await fetch(input, init);
          if (response.headers.get("payment-response") === null) return response;
          const body = await response.text();
          first ??= { body, headers: response.headers };
          return new Response(first.body, { headers: first.headers });
        },
      });
      await ask(client, "the same words");
      expect(await rejection(ask(client, "the same words"))).to.include({ code: "request_id_mismatch" });
    });

    it("claims_beyondTheVouchers_areNotBelieved", async () => {
      const file = newFile();
      const honest = new ChannelStore(file);
      await ask(open({ channelStore: honest }), "honestly");
      const [known] = honest.list();
      // as if a voucher had been forgotten: the gateway then corrects the sum, and lies
      honest.put({ ...known!, chargedWei: 1n, unprovenWei: 1n });
      const client = open({
        channelStore: honest,
        fetch: async (input, init) => {
          const response = await fetch(input, init);
          const header = response.headers.get("payment-required");
          if (header === null) return response;
          const text = Buffer.from(header, "base64").toString();
          const lie = text.replace(
            /"chargedCumulativeAmount":"\d+"/,
            `"chargedCumulativeAmount":"${parseEther("0.9")}"`,
          );
          return new Response("{}", {
            status: 402,
            headers: { "payment-required": Buffer.from(lie).toString("base64") },
          });
        },
      });
      expect(await rejection(ask(client, "a lie"))).to.include({ code: "channel_state_mismatch" });
      honest.close();
    });
  });
});
