import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

import { expect } from "chai";
import type { Wallet } from "ethers";

import { EventFollower, ReorgTooDeepError } from "../../../simulator/chain/EventFollower.ts";
import type { EventFollowerOptions } from "../../../simulator/chain/EventFollower.ts";
import { on } from "../../../simulator/chain/eventSource.ts";
import { SqliteFollowerStore } from "../../../simulator/chain/FollowerStore.ts";
import { TransactionSubmitter } from "../../../simulator/chain/TransactionSubmitter.ts";
import { eventually, silent, startLocalChain } from "./localChain.ts";
import type { LocalChain } from "./localChain.ts";

describe("EventFollower", () => {
  let local: LocalChain;
  let submitter: TransactionSubmitter;
  let folder: string;
  let database: DatabaseSync;
  /** What handlers were told: "+5" for a transfer of 5, "-5" when it was removed. */
  let told: string[];
  const followers: EventFollower[] = [];

  /** Follows OPG transfers except the mint. */
  async function follow(options: Partial<EventFollowerOptions> = {}, handler?: (entry: string) => Promise<void>) {
    const follower = new EventFollower({
      chain: local.chain,
      fromBlock: 2,
      logger: silent,
      sources: [
        on(local.opg, "Transfer", async ({ args, removed }) => {
          const entry = `${removed ? "-" : "+"}${args.value}`;
          await handler?.(entry);
          told.push(entry);
        }),
      ],
      ...options,
    });
    followers.push(follower);
    await follower.start();
    return follower;
  }

  const transfer = (amount: number) =>
    submitter.submit(local.opg.transfer.populateTransaction((local.wallets[1] as Wallet).address, amount));
  const headNumber = () => local.chain.provider.getBlockNumber();
  const caughtUp = async (follower: EventFollower) => follower.reached(await headNumber());

  beforeEach(async () => {
    local = await startLocalChain();
    submitter = new TransactionSubmitter({ chain: local.chain, signer: local.wallets[0] as Wallet, logger: silent });
    await submitter.start();
    folder = mkdtempSync(join(tmpdir(), "follower-"));
    database = new DatabaseSync(join(folder, "state.sqlite"));
    told = [];
  });

  afterEach(async () => {
    for (const follower of followers.splice(0)) await follower.stop();
    await submitter.stop();
    await local.close();
    database.close();
    rmSync(folder, { recursive: true });
  });

  it("handler_logsBeforeAndAfterStart_getsEachOnceInOrder", async () => {
    for (const amount of [1, 2, 3]) await transfer(amount);
    const follower = await follow({ maxBlockRange: 2 });
    await Promise.all([4, 5, 6, 7].map(transfer));
    await caughtUp(follower);
    expect(told.slice(0, 3)).to.deep.equal(["+1", "+2", "+3"]);
    expect(told).to.have.members(["+1", "+2", "+3", "+4", "+5", "+6", "+7"]);
  });

  it("handler_severalEventsOfOneBlock_getsThemInLogOrder", async () => {
    const order: string[] = [];
    const follower = await follow({
      sources: [
        on(local.opg, "Approval", ({ args, logIndex }) => void order.push(`approval ${args.value} ${logIndex}`)),
        on(local.opg, "Transfer", ({ args, logIndex }) => void order.push(`transfer ${args.value} ${logIndex}`)),
      ],
    });
    await local.rpc("evm_setAutomine", false);
    const sent = [
      submitter.submit(local.opg.approve.populateTransaction((local.wallets[1] as Wallet).address, 1)),
      submitter.submit(local.opg.transfer.populateTransaction((local.wallets[1] as Wallet).address, 2)),
      submitter.submit(local.opg.approve.populateTransaction((local.wallets[1] as Wallet).address, 3)),
    ];
    const { address } = submitter;
    await eventually(async () => (await local.chain.provider.getTransactionCount(address, "pending")) === 4);
    await local.rpc("evm_mine");
    await Promise.all(sent);
    await caughtUp(follower);
    expect(order.map((entry) => entry.slice(-1))).to.deep.equal(["0", "1", "2"]);
    expect(order.map((entry) => entry.slice(0, -2))).to.have.members(["approval 1", "transfer 2", "approval 3"]);
  });

  it("handler_slow_finishesBeforeTheNextAndBeforeProgress", async () => {
    let running = 0;
    let release: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => (release = resolve));
    const follower = await follow({}, async () => {
      expect(++running).to.equal(1);
      await gate;
      running--;
    });
    await transfer(1);
    const second = await transfer(2);
    await eventually(() => running === 1);
    expect(follower.processedBlock).to.be.lessThan(second.blockNumber);
    release();
    await follower.reached(second.blockNumber);
    expect(told).to.deep.equal(["+1", "+2"]);
  });

  it("handler_rejects_getsTheSameLogAgain", async () => {
    let failures = 2;
    const follower = await follow({}, (entry) =>
      entry === "+1" && failures-- > 0 ? Promise.reject(new Error("not now")) : Promise.resolve(),
    );
    await transfer(1);
    await transfer(2);
    await caughtUp(follower);
    expect(failures).to.equal(-1);
    expect(told).to.deep.equal(["+1", "+2"]);
  });

  it("handler_reorganisation_getsRemovedLogsLatestFirstThenTheNewOnes", async () => {
    const follower = await follow();
    await transfer(1);
    const snapshot = await local.rpc("evm_snapshot");
    await transfer(2);
    await transfer(3);
    await caughtUp(follower);
    expect(told).to.deep.equal(["+1", "+2", "+3"]);

    await local.rpc("evm_revert", snapshot);
    await eventually(() => told.length === 5);
    expect(told.slice(3)).to.deep.equal(["-3", "-2"]);

    for (const amount of [4, 5, 6]) await transfer(amount);
    await caughtUp(follower);
    expect(told.slice(5)).to.deep.equal(["+4", "+5", "+6"]);
  });

  it("start_reorganisedWhileStopped_removesWhatItHandedOver", async () => {
    await transfer(1);
    const snapshot = await local.rpc("evm_snapshot");
    await transfer(2);
    const before = await follow({ store: new SqliteFollowerStore(database, "test") });
    await caughtUp(before);
    await before.stop();

    await local.rpc("evm_revert", snapshot);
    for (const amount of [3, 4]) await transfer(amount);
    const after = await follow({ store: new SqliteFollowerStore(database, "test") });
    await caughtUp(after);
    expect(told).to.deep.equal(["+1", "+2", "-2", "+3", "+4"]);
  });

  it("start_afterStop_goesOnWhereItWas", async () => {
    const before = await follow({ store: new SqliteFollowerStore(database, "test") });
    await transfer(1);
    await caughtUp(before);
    await before.stop();
    await transfer(2);
    const after = await follow({ store: new SqliteFollowerStore(database, "test") });
    await caughtUp(after);
    expect(told).to.deep.equal(["+1", "+2"]);

    const other = await follow({ store: new SqliteFollowerStore(database, "other") });
    await caughtUp(other);
    expect(told).to.deep.equal(["+1", "+2", "+1", "+2"]);
  });

  it("start_afterACrashInTheMidstOfARange_doesNotRepeatWhatWasStored", async () => {
    for (const amount of [1, 2, 3]) await transfer(amount);
    let crashed = false;
    await follow({ store: new SqliteFollowerStore(database, "test") }, (entry) => {
      // Never comes back: as good as killed
      if (entry === "+3") return new Promise(() => (crashed = true));
      return Promise.resolve();
    });
    await eventually(() => crashed);
    // The killed follower cannot be stopped: its handler hangs
    followers.splice(0);
    const after = await follow({ store: new SqliteFollowerStore(database, "test"), maxBlockRange: 1 });
    await caughtUp(after);
    expect(told).to.deep.equal(["+1", "+2", "+3"]);
  });

  it("start_storeOfAnotherChain_endsWithReorgTooDeep", async () => {
    const before = await follow({ store: new SqliteFollowerStore(database, "test"), keepBlocks: 2 });
    for (const amount of [1, 2, 3, 4]) await transfer(amount);
    await caughtUp(before);
    await before.stop();
    await submitter.stop();
    await local.close();

    local = await startLocalChain();
    // Started in the same second, the two chains would be the same to the last bit
    await local.rpc("evm_increaseTime", 1_000);
    submitter = new TransactionSubmitter({ chain: local.chain, signer: local.wallets[0] as Wallet, logger: silent });
    await submitter.start();
    for (const amount of [1, 2, 3, 4]) await transfer(amount);
    let fatal: unknown;
    const after = await follow({
      store: new SqliteFollowerStore(database, "test"),
      onFatal: (error) => (fatal = error),
    });
    const error = await after.reached(1_000).catch((e: unknown) => e);
    expect(error).to.be.instanceOf(ReorgTooDeepError);
    expect(fatal).to.equal(error);
    expect(told).to.deep.equal(["+1", "+2", "+3", "+4"]);
  });

  it("confirmations_keepsBehindTheHead", async () => {
    const follower = await follow({ confirmations: 2 });
    const { blockNumber } = await transfer(1);
    await local.rpc("evm_mine");
    await eventually(() => follower.processedBlock === blockNumber - 1);
    expect(told).to.deep.equal([]);
    await local.rpc("evm_mine");
    await follower.reached(blockNumber);
    expect(told).to.deep.equal(["+1"]);
  });
});
