import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

import { expect } from "chai";

import { batchHeaderToJson, type BatchHeader, type Hex } from "../../../simulator/receipts/types.ts";
import { LocalBlobStore } from "../../../simulator/storage/LocalBlobStore.ts";
import { turnOf } from "../../../simulator/verification/stagger.ts";
import { post } from "../../support/batches.ts";
import type { VerifierProcessOptions } from "../verification/verifierProcess.ts";
import { createVerifierWorld, eventually, payerKey, type VerifierWorld } from "../verification/verifierWorld.ts";

const PROCESS = new URL("../verification/verifierProcess.ts", import.meta.url);
const SEATS = [0, 1, 2, 3];

describe("VerifierNode killed with SIGKILL", function () {
  this.timeout(120_000);
  let world: VerifierWorld;
  let directory: string;
  let blobs: LocalBlobStore;
  const children: ChildProcess[] = [];

  beforeEach(async () => {
    world = await createVerifierWorld();
    directory = await mkdtemp(join(tmpdir(), "killed-verifier-"));
    blobs = new LocalBlobStore(join(directory, "blobs"));
  });

  afterEach(async () => {
    await Promise.all(children.splice(0).map(kill));
    await world.close();
    await rm(directory, { recursive: true });
  });

  /** The verifier of seat 0. */
  const run = (staggerMs = 0): { child: ChildProcess; messages: Record<string, string>[] } => {
    const options: VerifierProcessOptions = {
      rpcUrl: world.chain.url,
      contracts: world.contracts,
      voteKey: world.verifiers[0]!.key.privateKey as Hex,
      payerKey: payerKey(0),
      blobDirectory: join(directory, "blobs"),
      databaseFile: join(directory, "verifier.sqlite"),
      staggerMs,
    };
    const child = fork(PROCESS, [JSON.stringify(options)], { execArgv: ["--import", "tsx"] });
    children.push(child);
    const messages: Record<string, string>[] = [];
    child.on("message", (message) => messages.push(message as Record<string, string>));
    return { child, messages };
  };

  const told = (messages: readonly Record<string, string>[], what: string): string | undefined =>
    messages.find((message) => what in message)?.[what];

  const kill = async (child: ChildProcess): Promise<void> => {
    if ((child.exitCode ?? child.signalCode) !== null) return;
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
  };

  const ask = async (messages: readonly Record<string, string>[], header: BatchHeader): Promise<unknown> => {
    await eventually(() => told(messages, "url") !== undefined, "verifier is up", 60_000);
    const response = await fetch(new URL("/votes", told(messages, "url")), {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ header: batchHeaderToJson(header) }),
    });
    return response.json();
  };

  it("right after a vote has left knows of it when it is back", async () => {
    const batch = await world.build({ store: blobs });
    const twin = await world.build({ store: blobs, receipts: batch.receipts.slice(1) });
    const first = run();
    const vote = await ask(first.messages, batch.header);
    await kill(first.child);
    expect(vote).to.have.keys("seat", "signature");

    const second = run();
    expect(await ask(second.messages, twin.header)).to.include({ code: "vote_outstanding" });
    expect(await ask(second.messages, batch.header)).to.deep.equal(vote);
  });

  it("between verdict and challenge, and right after the challenge, challenges once", async () => {
    let wrong = await world.build({ store: blobs, header: { count: 5 } });
    for (let count = 6; turnOf(wrong.id, SEATS, 0) === 0; count++) {
      const header = { ...wrong.header, count };
      wrong = { ...wrong, header, id: world.hasher.batchDigest(header) };
    }
    await post(world, wrong, []);
    const first = run(3_600_000);
    await eventually(() => told(first.messages, "judged") === "wrong", "judged", 60_000);
    await kill(first.child);
    expect((await world.settlement.records(wrong.id)).punished).to.equal(false);
    clearTurn();

    const second = run();
    await eventually(async () => (await world.settlement.records(wrong.id)).punished, "punished", 60_000);
    await kill(second.child);
    const third = run();
    await eventually(() => told(third.messages, "url") !== undefined, "verifier is up", 60_000);
    const events = await world.settlement.queryFilter(world.settlement.filters.BatchProvenWrong(wrong.id));
    expect(events).to.have.length(1);
  });

  /** The hour until the turn of seat 0 is over. */
  const clearTurn = (): void => {
    const database = new DatabaseSync(join(directory, "verifier.sqlite"));
    expect(database.prepare("UPDATE batch SET due_at = 0 WHERE due_at IS NOT NULL").run().changes).to.equal(1);
    database.close();
  };
});
