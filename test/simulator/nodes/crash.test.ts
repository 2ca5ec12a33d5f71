import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { expect } from "chai";
import { z } from "zod";

import { LIQUIDATION_RISK_ID } from "../../../simulator/models/liquidationRisk.ts";
import { ReceiptStore } from "../../../simulator/nodes/ReceiptStore.ts";
import { addressOfKey, randomKey } from "../../../simulator/receipts/secp256k1.ts";
import { rejection } from "../../support/rejection.ts";
import { payment, post, receiptOf, signerOf } from "./nodeFixture.ts";
import { ProviderServer } from "./ProviderServer.ts";

const BODY = { model: LIQUIDATION_RISK_ID, inputs: { positions: [[0.6, 0.8, 0.9, 0.01, -0.1, 0.05, 4, 30]] } };

describe("inference node killed with SIGKILL", function () {
  this.timeout(60_000);
  const key = randomKey();
  const children: ChildProcess[] = [];
  let directory: string;
  let database: string;

  const run = async (upstreamUrl?: string) => {
    const args = [database, key, ...(upstreamUrl === undefined ? [] : [upstreamUrl])];
    const child = fork(new URL("./nodeProcess.ts", import.meta.url), args, { execArgv: ["--import", "tsx"] });
    children.push(child);
    const [message] = (await once(child, "message")) as [unknown];
    return { child, ...z.object({ url: z.string() }).parse(message) };
  };
  const kill = async (child: ChildProcess) => {
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
  };

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "killed-node-"));
    database = join(directory, "node.sqlite");
  });
  afterEach(async () => {
    const alive = children.splice(0).filter((child) => (child.exitCode ?? child.signalCode) === null);
    await Promise.all(alive.map(kill));
    rmSync(directory, { recursive: true });
  });

  it("kill_afterTheAnswer_theNextInstanceGivesTheSameOne", async () => {
    const paid = payment();
    const first = await run();
    const answer = await (await post(first, "/v1/inference", BODY, paid)).text();
    await kill(first.child);

    const second = await run();
    expect(await (await post(second, "/v1/inference", BODY, paid)).text()).to.equal(answer);
    expect((await post(second, "/v1/inference", { ...BODY, extra: 1 }, paid)).status).to.equal(409);
    await kill(second.child);

    const store = new ReceiptStore(database);
    const signed = receiptOf(JSON.parse(answer));
    expect(store.unbatched(10).map(({ storedAtMs: _, ...each }) => each)).to.deep.equal([signed]);
    expect(signerOf(signed)).to.equal(addressOfKey(key));
    store.close();
  });

  it("kill_whileTheModelRuns_theRequestIsServedOnceAfterwards", async () => {
    const provider = new ProviderServer();
    await provider.start();
    const body = { model: "sleeper", messages: [{ role: "user", content: "Hello" }], stream: true };
    const paid = payment();
    const first = await run(provider.url);
    const cut = rejection(post(first, "/v1/chat/completions", body, paid));
    while (provider.calls.length === 0) await new Promise(setImmediate);
    await kill(first.child);
    await cut;

    const second = await run(provider.url);
    const answer = post(second, "/v1/chat/completions", body, paid);
    while (provider.calls.length === 1) await new Promise(setImmediate);
    provider.wake();
    expect(await (await answer).text()).to.include("[DONE]");
    await kill(second.child);
    await provider.stop();

    const store = new ReceiptStore(database);
    expect(store.unbatched(10)).to.have.length(1);
    store.close();
  });
});
