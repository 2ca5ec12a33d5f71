import { expect } from "chai";
import { hexlify, randomBytes } from "ethers";
import { dataJobId } from "../../../simulator/facilitator/data/dataStatement.ts";
import type { DataConflictError, DataJobStore, NewDataJob } from "../../../simulator/facilitator/data/DataJobStore.ts";
import type { Hex } from "../../../simulator/receipts/types.ts";
import { rejection } from "../../support/rejection.ts";

export interface SharedDataJobs {
  open(): Promise<DataJobStore>;
  dispose(): Promise<void>;
}

const NOW = Date.UTC(2026, 10, 21, 12);
const DAY = 86_400_000;
const BLOB: Hex = `0x${"b1".repeat(32)}`;
const bytes32 = (): Hex => hexlify(randomBytes(32)) as Hex;

function newJob(changes: Partial<NewDataJob> = {}): NewDataJob {
  const statement = {
    teeId: bytes32(),
    inputHash: bytes32(),
    outputHash: bytes32(),
    timestamp: BigInt(NOW / 1000),
    signature: Buffer.alloc(256, 7).toString("base64"),
    ...changes.statement,
  };
  const payment = changes.payment ?? `eip155:31337/${bytes32()}`;
  return {
    id: dataJobId(payment, statement, false),
    operator: "acme",
    type: "batch",
    payment,
    nowMs: NOW,
    ...changes,
    statement,
  };
}

/** What every data job store promises. Two stores are opened on the same data. */
export function itKeepsDataJobs(create: () => Promise<SharedDataJobs>): void {
  let data: SharedDataJobs;
  let store: DataJobStore;
  let other: DataJobStore;

  beforeEach(async () => {
    data = await create();
    [store, other] = [await data.open(), await data.open()];
  });

  afterEach(async () => {
    await Promise.all([store.close(), other.close()]);
    await data.dispose();
  });

  const claim = (from = store, changes: object = {}): Promise<string[]> =>
    from
      .claim({ type: "batch", limit: 100, nowMs: NOW, leaseMs: 1_000, ...changes })
      .then((jobs) => jobs.map(({ id }) => id));

  it("add_newJob_isFoundWholeByEveryStore", async () => {
    const content = { input: "α", output: "β", timestamp: 5, ethAddress: `0x${"0a".repeat(20)}` as const };
    const job = newJob({ type: "individual", content });
    await store.add(job);
    const { id, operator, type, payment, statement } = job;
    expect(await other.find(id)).to.deep.equal({
      id,
      operator,
      type,
      payment,
      statement,
      content,
      status: "queued",
      attempts: 0,
      createdAtMs: NOW,
      updatedAtMs: NOW,
    });
    expect(await other.find("data-none")).to.equal(undefined);
  });

  it("add_sameManyTimesAtOnce_isOneJob", async () => {
    const job = newJob();
    await Promise.all(Array.from({ length: 10 }, (_, i) => (i % 2 ? store : other).add(job)));
    expect(await store.counts()).to.deep.equal({ queued: 1, processing: 0, succeeded: 0, failed: 0 });
  });

  it("add_anotherStatementOrPayment_isRefused", async () => {
    const job = newJob();
    await store.add(job);
    const codes = async (changed: NewDataJob): Promise<unknown> =>
      ((await rejection(other.add(changed))) as DataConflictError).code;
    expect(await codes({ ...newJob({ payment: job.payment }) })).to.equal("payment_already_reported");
    expect(await codes({ ...job, type: "individual" })).to.equal("payment_already_reported");
    expect(await codes({ ...job, operator: "other" })).to.equal("payment_already_reported");
    expect(await codes({ ...newJob(), statement: job.statement })).to.equal("statement_already_reported");
  });

  it("add_private_hasSucceededAndIsNeverPublished", async () => {
    const job = newJob({ type: "private" });
    expect(await store.add(job)).to.include({ status: "succeeded" });
    expect(await claim(store, { type: "private" })).to.deep.equal([]);
  });

  it("claim_twoAtOnce_shareTheJobs", async () => {
    for (let i = 0; i < 12; i++) await store.add(newJob({ nowMs: NOW + i }));
    const [mine, theirs] = await Promise.all([
      claim(store, { limit: 6, nowMs: NOW + 100 }),
      claim(other, { limit: 6, nowMs: NOW + 100 }),
    ]);
    expect(new Set([...mine, ...theirs]).size).to.equal(12);
    expect(await claim(store, { nowMs: NOW + 100 })).to.deep.equal([]);
  });

  it("claim_leaseOver_anotherTakesOver", async () => {
    const { id } = await store.add(newJob());
    expect(await claim()).to.deep.equal([id]);
    expect(await claim(other, { nowMs: NOW + 999 })).to.deep.equal([]);
    expect(await other.waiting("batch", NOW + 999)).to.deep.equal({ count: 0 });
    expect(await claim(other, { nowMs: NOW + 1_000 })).to.deep.equal([id]);
  });

  it("waiting_countsWhatNobodyIsAt", async () => {
    for (const nowMs of [NOW + 5, NOW + 3, NOW + 9]) await store.add(newJob({ nowMs }));
    await store.add(newJob({ type: "individual" }));
    expect(await other.waiting("batch", NOW + 9)).to.deep.equal({ count: 3, oldestMs: NOW + 3 });
  });

  it("succeed_isFinal", async () => {
    const { id } = await store.add(newJob());
    await claim();
    await store.succeed([id], BLOB, NOW + 7);
    await other.succeed([id], `0x${"00".repeat(32)}`, NOW + 8);
    await other.retry([id], "late", NOW, 5, NOW + 9);
    expect(await other.find(id)).to.include({ status: "succeeded", blobId: BLOB, updatedAtMs: NOW + 7 });
    expect(await claim(store, { nowMs: NOW + DAY })).to.deep.equal([]);
  });

  it("retry_waitsAndGivesUpInTheEnd", async () => {
    const { id } = await store.add(newJob());
    await claim();
    await store.retry([id], "no publisher", NOW + 50, 2, NOW + 1);
    expect(await other.find(id)).to.include({ status: "queued", error: "no publisher", attempts: 1 });
    expect(await claim(other, { nowMs: NOW + 49 })).to.deep.equal([]);
    expect(await claim(other, { nowMs: NOW + 50 })).to.deep.equal([id]);
    await store.retry([id], "no publisher", NOW + 90, 2, NOW + 60);
    expect(await other.find(id)).to.include({ status: "failed", attempts: 2 });
    expect(await claim(other, { nowMs: NOW + DAY })).to.deep.equal([]);
  });

  it("usage_isCountedOncePerPaymentAndByUtcDay", async () => {
    const entry = { operator: "acme", amountWei: 10n ** 25n, inputTokens: 3, outputTokens: 4 };
    for (let i = 0; i < 3; i++) await store.recordUsage({ ...entry, payment: "a", atMs: NOW });
    await store.recordUsage({ ...entry, payment: "b", amountWei: 1n, atMs: NOW + 1 });
    await store.recordUsage({ ...entry, payment: "c", atMs: NOW - DAY });
    await store.recordUsage({ ...entry, payment: "d", atMs: NOW - 2 * DAY });
    await store.recordUsage({ ...entry, payment: "e", operator: "other", atMs: NOW });
    await store.add(newJob({ type: "private" }));
    const none = { private: 0, batch: 0, individual: 0 };
    expect(await other.usage("acme", NOW - DAY)).to.deep.equal([
      { day: "2026-11-20", payments: 1, chargedWei: 10n ** 25n, inputTokens: 3, outputTokens: 4, settlements: none },
      {
        day: "2026-11-21",
        payments: 2,
        chargedWei: 10n ** 25n + 1n,
        inputTokens: 6,
        outputTokens: 8,
        settlements: { ...none, private: 1 },
      },
    ]);
  });
}
