import { DatabaseSync } from "node:sqlite";
import { PERMIT2_ADDRESS } from "@x402/evm";
import { expect } from "chai";
import { MaxUint256 } from "ethers";
import { chat, eventually, GatewayFixture, post } from "../gatewayFixture.ts";
import { KillableGateway } from "../KillableGateway.ts";
import type { ScriptedNode } from "../ScriptedNode.ts";
import { stockClient } from "./uptoClient.ts";

/** At $0.05 for an OPG: 4 and 20 gwei. */
const TOKEN_PRICE = { inputPicoUsd: 200n, outputPicoUsd: 1_000n };
const WORD = 24_000_000_000n;
const OPEN = { opgUsd: "0.05", sessionIdleMs: 3_600_000 };

describe("Gateway recovery: upto sessions", function () {
  this.timeout(120_000);
  let fixture: GatewayFixture;
  let node: ScriptedNode;
  let gateway: KillableGateway;

  before(async () => {
    fixture = await GatewayFixture.start();
    node = fixture.newNode({ tokenPrice: TOKEN_PRICE, maxOutputTokens: 1_000, storeFile: fixture.newFile() });
    await node.start();
    await (await fixture.chain.opg.connect(fixture.payer).approve(PERMIT2_ADDRESS, MaxUint256)).wait();
  });

  after(async () => {
    await fixture.stop();
    await node.stop();
  });

  beforeEach(() => {
    gateway = new KillableGateway(fixture, node);
  });

  afterEach(() => gateway.kill());

  const at = { get url() { return gateway.url; } }; // prettier-ignore

  const pay = (body: object): Promise<string> =>
    fixture.pay(at as never, body, { client: stockClient(fixture.chain, fixture.payer) });

  interface Answered {
    fee: bigint;
    requestId: string;
  }

  /** Asks with the same payment until there is an answer. */
  async function insist(body: object, payment: string): Promise<Answered> {
    let answered: Answered | undefined;
    await eventually(
      async () => {
        const response = await post(at as never, body, { payment }).catch(() => undefined);
        const text = await response?.text().catch(() => undefined);
        const receipt = /"receipt":\{[^}]*\}/.exec(text ?? "")?.[0];
        if (response?.status !== 200 || receipt === undefined) return false;
        const { fee, requestId } = JSON.parse(receipt.slice('"receipt":'.length)) as { fee: string; requestId: string };
        answered = { fee: BigInt(fee), requestId };
        return true;
      },
      "an answer",
      60_000,
    );
    return answered!;
  }

  /** Rows of the gateway's file, by status. */
  function statuses(table: "requests" | "sessions"): Record<string, number> {
    const database = new DatabaseSync(gateway.files.storeFile, { readOnly: true });
    const rows = database.prepare(`SELECT status, count(*) AS n FROM ${table} GROUP BY status`).all();
    database.close();
    return Object.fromEntries(rows.map(({ status, n }) => [String(status), Number(n)]));
  }

  /** Has the sessions settled, and waits for it. */
  async function settleAll(sessions: number): Promise<void> {
    await gateway.kill();
    await gateway.start(undefined, { ...OPEN, sessionIdleMs: 0 });
    await eventually(() => statuses("sessions").settled === sessions, `${sessions} sessions settled`, 30_000);
  }

  it("kill_inALoopUnderLoad_everyAnswerIsChargedAndNobodyTwice", async () => {
    const before = await fixture.received();
    await gateway.start(undefined, OPEN);
    node.script = async (words, say) => {
      for (const word of words) {
        say(word);
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
    const sessions = await Promise.all(Array.from({ length: 4 }, (_, i) => pay(chat(`session ${i}`))));
    const count = node.inferences;
    let done = 0;
    const all = Promise.all(
      Array.from({ length: 32 }, async (_, i) => {
        // a few at a time, so that each kill meets some in every state
        await eventually(() => done > i - 6, "its turn", 100_000);
        const body = chat(`request ${i}${" more".repeat(i % 5)}`, { stream: i % 3 === 0 });
        const answered = await insist(body, sessions[i % 4]!);
        done++;
        return answered;
      }),
    );
    for (const threshold of [4, 12, 20]) {
      await eventually(() => done >= threshold, `${threshold} answers`, 60_000);
      await gateway.kill();
      await gateway.start(undefined, OPEN);
    }
    const answers = await all;
    expect(new Set(answers.map(({ requestId }) => requestId)).size).to.equal(32);
    expect(node.inferences - count).to.equal(32);
    const fees = answers.reduce((sum, { fee }) => sum + fee, 0n);
    expect(fees).to.equal(answers.reduce((sum, _, i) => sum + WORD * BigInt(2 + (i % 5)), 0n));
    expect(await fixture.received()).to.equal(before);
    await settleAll(4);
    expect((await fixture.received()) - before).to.equal(fees);
  });

  const states = [
    ["notHandedOver", "enqueue", "closing"],
    ["signedNotSent", "eth_sendRawTransaction", "settling"],
    ["minedNotRecorded", "eth_getTransactionReceipt", "settling"],
  ] as const;
  for (const [name, stuckAt, status] of states) {
    it(`kill_sessionClosedAnd_${name}_isSettledOnceAfterwards`, async () => {
      const before = await fixture.received();
      await gateway.start(stuckAt, { ...OPEN, sessionIdleMs: 300 });
      const payment = await pay(chat("a b"));
      const { fee } = await insist(chat("a b"), payment);
      await eventually(() => statuses("sessions")[status] === 1, `a session that is ${status}`);
      if (name === "minedNotRecorded") {
        await eventually(async () => (await fixture.received()) - before === fee, "the session mined");
      }
      await settleAll(1);
      expect((await fixture.received()) - before).to.equal(2n * WORD);
      // the answer outlives all of it
      expect((await insist(chat("a b"), payment)).fee).to.equal(fee);
    });
  }

  it("kill_answerNotYetGiven_isChargedOnlyIfItIsThenGiven", async () => {
    const before = await fixture.received();
    await gateway.start(undefined, OPEN);
    const begun = Promise.withResolvers<void>();
    const released = Promise.withResolvers<void>();
    node.script = async (words, say) => {
      begun.resolve();
      await released.promise;
      words.forEach(say);
    };
    const payment = await pay(chat("x y z"));
    const cut = post(at as never, chat("x y z"), { payment }).then((response) => response.text());
    cut.catch(() => undefined);
    await begun.promise;
    await eventually(() => statuses("requests").reserved === 1, "the request reserved");
    await gateway.kill();
    expect(await cut.catch(() => "cut")).to.equal("cut");
    await gateway.start(undefined, OPEN);
    released.resolve();
    expect((await insist(chat("x y z"), payment)).fee).to.equal(3n * WORD);
    await settleAll(1);
    expect((await fixture.received()) - before).to.equal(3n * WORD);
  });
});
