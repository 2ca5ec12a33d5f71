import { DatabaseSync } from "node:sqlite";
import { expect } from "chai";
import { chat, eventually, FEE, GatewayFixture, post, type PostOptions } from "./gatewayFixture.ts";
import { KillableGateway } from "./KillableGateway.ts";
import { NODE_TOKEN } from "./ScriptedNode.ts";

describe("Gateway recovery", () => {
  let fixture: GatewayFixture;

  before(async () => {
    fixture = await GatewayFixture.start();
  });

  after(() => fixture.stop());

  afterEach(() => {
    fixture.node.script = (words, say) => Promise.resolve(words.forEach(say));
  });

  /** What one paid request cost in the end: exactly one fee, and one run of the model. */
  async function chargedOnce(receivedBefore: bigint): Promise<void> {
    await eventually(async () => (await fixture.received()) - receivedBefore === FEE, "one fee received");
  }

  /** Has the model wait; `release` lets it go on. */
  function pausedModel(): { begun: Promise<void>; release: () => void } {
    const begun = Promise.withResolvers<void>();
    const released = Promise.withResolvers<void>();
    fixture.node.script = async (words, say) => {
      say(words[0]!);
      begun.resolve();
      await released.promise;
      words.slice(1).forEach(say);
    };
    return { begun: begun.promise, release: released.resolve };
  }

  describe("client goes away", () => {
    it("post_clientDisconnects_answerIsCompletedAndChargedOnceAndCanBeFetched", async () => {
      const gateway = await fixture.openGateway();
      for (const stream of [false, true]) {
        const [before, count] = [await fixture.received(), fixture.node.inferences];
        const model = pausedModel();
        const body = chat(`are you there ${stream}`, { stream });
        const payment = await fixture.pay(gateway, body);
        const leaving = new AbortController();
        const left = post(gateway, body, { payment, signal: leaving.signal })
          .then((response) => response.text())
          .catch((error: unknown) => error);
        await model.begun;
        leaving.abort();
        expect(await left).to.be.instanceOf(Error);
        model.release();
        await chargedOnce(before);
        const answer = await (await post(gateway, body, { payment })).text();
        expect(answer).to.contain('"opengradient"');
        expect(fixture.node.inferences - count).to.equal(1);
        expect((await fixture.received()) - before).to.equal(FEE);
      }
    });
  });

  describe("node goes away", () => {
    it("post_nodeRestartsDuringTheInference_isAnsweredAllTheSame", async () => {
      const node = fixture.newNode({ storeFile: fixture.newFile() });
      await node.start();
      const gateway = await fixture.openGateway({ nodes: [{ url: node.url, token: NODE_TOKEN }], nodeRetryMs: 5_000 });
      const before = await fixture.received();
      const begun = Promise.withResolvers<void>();
      node.script = () => {
        begun.resolve();
        return new Promise(() => undefined);
      };
      const payment = await fixture.pay(gateway, chat("still there?"));
      const answered = post(gateway, chat("still there?"), { payment });
      await begun.promise;
      await node.stop();
      node.script = (words, say) => Promise.resolve(words.forEach(say));
      await node.start();
      expect((await answered).status).to.equal(200);
      await chargedOnce(before);
      await node.stop();
    });

    it("post_retryAfterARelease_goesToTheSameNodeOfTheOperator", async () => {
      const [first, second] = [fixture.newNode(), fixture.newNode()];
      await Promise.all([first.start(), second.start()]);
      const nodes = [first, second].map(({ url }) => ({ url, token: NODE_TOKEN }));
      const gateway = await fixture.openGateway({ nodes });
      for (const node of [first, second]) node.script = () => Promise.reject(new Error("out of memory"));
      const payment = await fixture.pay(gateway, chat("sticky"));
      for (let i = 0; i < 6; i++) expect((await post(gateway, chat("sticky"), { payment })).status).to.equal(502);
      expect([first.inferences, second.inferences].sort()).to.deep.equal([0, 6]);
      await Promise.all([first.stop(), second.stop()]);
    });
  });

  describe("gateway is stopped", () => {
    it("stop_duringAnInference_leavesItForTheNextRun", async () => {
      const [before, count] = [await fixture.received(), fixture.node.inferences];
      const storeFile = fixture.newFile();
      const stopping = fixture.newGateway({ storeFile, drainMs: 20 });
      await stopping.start();
      const model = pausedModel();
      const payment = await fixture.pay(stopping, chat("hold the line"));
      const interrupted = post(stopping, chat("hold the line"), { payment });
      await model.begun;
      await stopping.stop();
      expect((await interrupted).status).to.equal(503);
      const next = await fixture.openGateway({ storeFile });
      model.release();
      expect((await post(next, chat("hold the line"), { payment })).status).to.equal(200);
      await chargedOnce(before);
      expect(fixture.node.inferences - count).to.equal(1);
    });
  });

  describe("gateway is killed", () => {
    let gateway: KillableGateway;

    beforeEach(() => {
      gateway = new KillableGateway(fixture);
    });

    afterEach(() => gateway.kill());

    const at = { get url() { return gateway.url; } }; // prettier-ignore

    async function pay(body: object): Promise<string> {
      return fixture.pay(at as never, body);
    }

    const ask = (body: object, options: PostOptions): Promise<Response> => post(at as never, body, options);

    /** Asks with the same payment until there is an answer. */
    async function insist(body: object, payment: string): Promise<string> {
      let answer: string | undefined;
      await eventually(
        async () => {
          const response = await ask(body, { payment }).catch(() => undefined);
          // a body cut short has no end of the JSON or stream
          const text = await response?.text().catch(() => undefined);
          if (response?.status === 200 && text?.includes('"opengradient"')) answer = text;
          return answer !== undefined;
        },
        "an answer",
        60_000,
      );
      return answer!;
    }

    /** Status of the only request in the store. */
    function status(): string | undefined {
      const database = new DatabaseSync(gateway.files.storeFile, { readOnly: true });
      const row = database.prepare("SELECT status FROM requests").get() as { status: string } | undefined;
      database.close();
      return row?.status;
    }

    for (const stream of [false, true]) {
      it(`kill_reserved${stream ? "InTheMiddleOfAStream" : ""}_isFinishedAfterwardsAndChargedOnce`, async () => {
        const [before, count] = [await fixture.received(), fixture.node.inferences];
        const model = pausedModel();
        await gateway.start();
        const body = chat("never give up", { stream });
        const payment = await pay(body);
        const cut = ask(body, { payment }).then((response) => response.text());
        cut.catch(() => undefined);
        await model.begun;
        expect(status()).to.equal("reserved");
        await gateway.kill();
        expect(await cut.catch(() => "cut")).to.equal("cut");
        await gateway.start();
        model.release();
        const answer = await insist(body, payment);
        expect(answer).to.contain(stream ? "[DONE]" : "never give up");
        await chargedOnce(before);
        expect(fixture.node.inferences - count).to.equal(1);
      });
    }

    const states = [
      ["answered", "enqueue", "answered"],
      ["signedNotSent", "eth_sendRawTransaction", "settling"],
      ["minedNotRecorded", "eth_getTransactionReceipt", "settling"],
    ] as const;
    for (const [name, stuckAt, expected] of states) {
      it(`kill_${name}_isChargedOnceAfterwards`, async () => {
        const [before, count] = [await fixture.received(), fixture.node.inferences];
        await gateway.start(stuckAt);
        const body = chat(`killed when ${name}`);
        const payment = await pay(body);
        const answer = await (await ask(body, { payment })).text();
        await eventually(() => status() === expected, `status ${expected}`);
        if (stuckAt !== "enqueue") {
          const database = new DatabaseSync(gateway.files.outboxFile, { readOnly: true });
          const submitted = (): boolean =>
            (database.prepare("SELECT status FROM jobs").get() as { status: string } | undefined)?.status ===
            "submitted";
          await eventually(submitted, "a recorded transaction");
          database.close();
        }
        if (name === "minedNotRecorded") await chargedOnce(before);
        else expect(await fixture.received()).to.equal(before);
        await gateway.kill();
        await gateway.start();
        await eventually(() => status() === "paid", "status paid");
        expect((await fixture.received()) - before).to.equal(FEE);
        expect(await insist(body, payment)).to.equal(answer);
        expect(fixture.node.inferences - count).to.equal(1);
      });
    }

    it("kill_twiceUnderLoad_everyRequestIsAnsweredAndChargedOnce", async () => {
      const before = await fixture.received();
      await gateway.start();
      const bodies = Array.from({ length: 24 }, (_, i) => chat(`request ${i} of many`, { stream: i % 3 === 0 }));
      const payments = await Promise.all(bodies.map(pay));
      const count = fixture.node.inferences;
      fixture.node.script = async (words, say) => {
        for (const word of words) {
          say(word);
          await new Promise((resolve) => setImmediate(resolve));
        }
      };
      let done = 0;
      const all = Promise.all(
        bodies.map(async (body, i) => {
          // a few at a time, so that each kill meets some in every state
          await eventually(() => done > i - 6, "its turn", 60_000);
          const answer = await insist(body, payments[i]!);
          done++;
          return answer;
        }),
      );
      for (const threshold of [5, 12]) {
        await eventually(() => done >= threshold, `${threshold} answers`, 30_000);
        await gateway.kill();
        await gateway.start();
      }
      const answers = await all;
      expect(new Set(answers).size).to.equal(24);
      await eventually(async () => (await fixture.received()) - before === 24n * FEE, "24 fees");
      expect(fixture.node.inferences - count).to.equal(24);
    });
  });
});
