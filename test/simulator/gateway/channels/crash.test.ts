import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";

import { expect } from "chai";

import { CAP, CHAT, chatBody, encode, FEE, LaneFixture, TestPayer } from "./laneFixture.ts";
import type { LaneProcessSettings } from "./laneProcess.ts";

const SCRIPT = fileURLToPath(new URL("./laneProcess.ts", import.meta.url));
const CHANNELS = 6;
const KILLS = 4;
/** Answers between one kill and the next. */
const ANSWERS = 40;

/** @param remote whether the lane reaches its node by HTTP, and the node keeps its answers for itself. */
const survives = (remote: boolean) => (): void => {
  const fixture = new LaneFixture();
  let child: ChildProcess | undefined;
  let url = "";
  let running = Promise.withResolvers<void>();

  const directory = (): string => join(fixture.directory, "killed");

  before(async () => {
    await fixture.start();
    mkdirSync(directory());
  });
  after(async () => {
    child?.kill("SIGKILL");
    await fixture.stop();
  });

  async function start(): Promise<void> {
    const settings: LaneProcessSettings = { directory: directory(), upstreamUrl: fixture.upstream.url, remote };
    const started = spawn(process.execPath, ["--import", "tsx", SCRIPT], {
      env: { ...process.env, LANE: JSON.stringify(settings) },
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [line] = (await once(started.stdout, "data")) as [Buffer];
    url = line.toString().trim();
    child = started;
    running.resolve();
  }

  async function kill(): Promise<void> {
    running = Promise.withResolvers<void>();
    const dying = child!;
    const exited = once(dying, "exit");
    dying.kill("SIGKILL");
    await exited;
  }

  it("kill_inALoop_everyAnswerHasItsReceiptAndItsCharge_andNobodyPaysTwice", async function () {
    this.timeout(120_000);
    const payers = Array.from({ length: CHANNELS }, () => new TestPayer(fixture));
    const acknowledged = payers.map(() => new Map<string, string>());
    let answers = 0;
    let reached = Promise.withResolvers<void>();
    let goal = ANSWERS;
    let stopping = false;

    /** Buys one answer after another, each until it has it, with the same voucher. */
    const buy = async (payer: TestPayer, answered: Map<string, string>): Promise<void> => {
      for (let n = 0; !stopping; n++) {
        const body = chatBody(`request ${n}`);
        const payment = encode(payer.pay(BigInt(n) * FEE + CAP));
        for (;;) {
          await running.promise;
          const text = await fetch(url + CHAT, {
            method: "POST",
            headers: { "content-type": "application/json", "payment-signature": payment },
            body,
          })
            .then(
              async (response) => {
                const whole = await response.text();
                if (response.status !== 200) throw new Error(`${response.status}: ${whole}`);
                return whole;
              },
              // killed meanwhile: the same again
              () => undefined,
            )
            .catch((error: unknown) => {
              if (error instanceof TypeError) return undefined;
              throw error;
            });
          if (text === undefined) continue;
          answered.set(body, text);
          if (++answers >= goal) reached.resolve();
          break;
        }
      }
    };

    await start();
    const buying = Promise.all(payers.map((payer, i) => buy(payer, acknowledged[i]!)));
    for (let round = 0; round < KILLS; round++) {
      await Promise.race([reached.promise, buying]);
      goal = answers + ANSWERS;
      reached = Promise.withResolvers<void>();
      await kill();
      await start();
    }
    await Promise.race([reached.promise, buying]);
    stopping = true;
    await buying;
    await kill();

    const database = new DatabaseSync(join(directory(), "gateway.sqlite"));
    const answersIn = remote ? new DatabaseSync(join(directory(), "node.sqlite")) : database;
    const stored = answersIn.prepare("SELECT content FROM answers").all() as unknown as { content: string }[];
    const contents = new Set(stored.map(({ content }) => content));
    payers.forEach((payer, i) => {
      const answered = acknowledged[i]!;
      for (const text of answered.values()) expect(contents.has(text)).to.equal(true);
      const row = database.prepare("SELECT charged FROM channel_ledgers WHERE id = ?").get(payer.channelId);
      expect(BigInt((row as { charged: string }).charged)).to.equal(BigInt(answered.size) * FEE);
    });
    expect(stored).to.have.length(acknowledged.reduce((sum, { size }) => sum + size, 0));
    if (remote) answersIn.close();
    database.close();
  });
};

describe("ChannelLane killed with SIGKILL under load", survives(false));
describe("ChannelLane killed with SIGKILL under load, of a node with books of its own", survives(true));
