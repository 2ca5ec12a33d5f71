import { expect } from "chai";
import { hexlify, randomBytes } from "ethers";
import type { Payment } from "../../simulator/facilitator/payment.ts";
import { PaymentError } from "../../simulator/facilitator/PaymentError.ts";
import type { NewJob, PaymentJob, PaymentStore, Worker } from "../../simulator/facilitator/PaymentStore.ts";
import type { Hex } from "../../simulator/receipts/types.ts";

/** Data that several stores can be opened on, as several facilitators do. */
export interface SharedData {
  open(): Promise<PaymentStore>;
  /** Deletes the data; the stores are closed. */
  dispose(): Promise<void>;
}

const account = (digit: string): Hex => `0x${digit.repeat(40)}`;
const worker = (digit: string, id = `run-${digit}`): Worker => ({ account: account(digit), id });
const HASH: Hex = `0x${"ab".repeat(32)}`;
const NOW = 1_800_000_000_000;

function payment(changes: Partial<Payment> = {}): Payment {
  const network = "eip155:31337";
  const payer = changes.payer ?? account("7");
  const terms = {
    scheme: "exact",
    network,
    asset: account("a"),
    amount: "5",
    payTo: account("b"),
    maxTimeoutSeconds: 60,
    extra: {},
  } as const;
  return {
    kind: "exact/eip3009",
    key: `${network}/${account("a")}/${payer}/${hexlify(randomBytes(32))}`,
    network,
    asset: account("a"),
    payer,
    amountWei: 5n,
    expiresAt: BigInt(NOW / 1000) + 3600n,
    terms: "5 to b",
    payload: { x402Version: 2, accepted: terms, payload: { any: ["thing", { in: 1 }] } },
    requirements: terms,
    ...changes,
  };
}

const newJob = (changes: Partial<Payment> = {}, rest: Partial<NewJob> = {}): NewJob => ({
  payment: payment(changes),
  patience: "until-expiry",
  fromBlock: 17,
  nowMs: NOW,
  ...rest,
});

const transaction = (from: Hex, nonce = 3, hash = HASH): { hash: Hex; raw: Hex; from: Hex; nonce: number } => ({
  hash,
  raw: "0x02f8",
  from,
  nonce,
});

/** What every payment store promises. */
export function itKeepsPayments(create: () => Promise<SharedData>): void {
  let data: SharedData;
  let store: PaymentStore;
  let other: PaymentStore;

  beforeEach(async () => {
    data = await create();
    [store, other] = [await data.open(), await data.open()];
  });

  afterEach(async () => {
    await Promise.all([store.close(), other.close()]);
    await data.dispose();
  });

  const claim = (by: Worker, at = NOW, limit = 10, leaseMs = 1_000, from = store): Promise<PaymentJob[]> =>
    from.claimDue({ worker: by, nowMs: at, limit, leaseMs });
  const keysOf = (jobs: PaymentJob[]): string[] => jobs.map(({ key }) => key).sort();

  /** A job that was claimed and has a recorded transaction. */
  async function submitted(by: Worker, changes: Partial<Payment> = {}): Promise<PaymentJob> {
    const { key } = await store.add(newJob(changes));
    await claim(by);
    expect(await store.markSubmitted(by, [key], transaction(by.account))).to.equal(true);
    return (await store.find(key))!;
  }

  it("add_newPayment_isFoundWholeByEveryStore", async () => {
    const job = newJob({ facilitator: account("c"), amountWei: 10n ** 30n, expiresAt: (1n << 256n) - 1n });
    const { payment: expected } = job;
    expect(await store.add(job)).to.deep.equal(await other.find(expected.key));
    expect(await other.find(expected.key)).to.deep.equal({
      key: expected.key,
      kind: expected.kind,
      payer: expected.payer,
      amountWei: 10n ** 30n,
      facilitator: account("c"),
      expiresAt: (1n << 256n) - 1n,
      payload: expected.payload,
      requirements: expected.requirements,
      status: "pending",
      patience: "until-expiry",
      attempts: 0,
      dueAtMs: NOW,
      fromBlock: 17,
    });
    expect(await other.find("nothing")).to.equal(undefined);
    expect(keysOf(await other.findMany([expected.key, "nothing"]))).to.deep.equal([expected.key]);
  });

  it("add_samePaymentManyTimesAtOnce_isOneJob", async () => {
    const job = newJob();
    const jobs = await Promise.all([store, other, store, other].map((each) => each.add(job)));
    expect(new Set(jobs.map(({ key }) => key)).size).to.equal(1);
    expect((await store.counts()).pending).to.equal(1);
  });

  it("add_sameKeyOtherTermsOrAmount_isRefused", async () => {
    const job = newJob();
    await store.add(job);
    for (const changes of [{ terms: "5 to c" }, { amountWei: 4n }]) {
      const error: unknown = await other
        .add({ ...job, payment: { ...job.payment, ...changes } })
        .catch((e: unknown) => e);
      expect(error).to.be.instanceOf(PaymentError).with.property("code", "payment_conflict");
    }
  });

  it("add_ofNothingToCharge_isSettledAndKeepsItsKey", async () => {
    const job = newJob({ kind: "upto/permit2", amountWei: 0n });
    expect(await store.add(job)).to.deep.include({ status: "settled", amountWei: 0n });
    expect(await claim(worker("1"))).to.deep.equal([]);
    const error: unknown = await store
      .add({ ...job, payment: { ...job.payment, amountWei: 1n } })
      .catch((e: unknown) => e);
    expect(error).to.have.property("code", "payment_conflict");
  });

  it("add_owedAfterOnce_isOwed", async () => {
    const job = newJob({}, { patience: "once" });
    await store.add(job);
    expect((await store.add({ ...job, patience: "until-expiry" })).patience).to.equal("until-expiry");
    expect((await store.add(job)).patience).to.equal("until-expiry");
  });

  it("claimDue_twoWorkersAtOnce_shareTheJobs", async () => {
    await Promise.all(Array.from({ length: 20 }, () => store.add(newJob())));
    const [mine, theirs] = await Promise.all([claim(worker("1"), NOW, 12), claim(worker("2"), NOW, 12, 1_000, other)]);
    expect(new Set([...keysOf(mine), ...keysOf(theirs)]).size).to.equal(20);
    expect(mine.length + theirs.length).to.equal(20);
    expect(await claim(worker("3"))).to.deep.equal([]);
  });

  it("claimDue_oldestFirstAndOnlyWhatIsDue", async () => {
    const [late, early] = [
      await store.add(newJob({}, { nowMs: NOW + 5 })),
      await store.add(newJob({}, { nowMs: NOW - 5 })),
    ];
    await store.add(newJob({}, { nowMs: NOW + 1_000 }));
    expect((await claim(worker("1"), NOW + 10)).map(({ key }) => key)).to.deep.equal([early.key, late.key]);
    expect(await store.nextDueAtMs(account("2"), NOW + 10)).to.equal(NOW + 1_000);
  });

  it("claimDue_boundToAFacilitator_isOnlyItsUntilItExpires", async () => {
    const { key } = await store.add(
      newJob({ kind: "upto/permit2", facilitator: account("1"), expiresAt: BigInt(NOW / 1000) + 10n }),
    );
    expect(await claim(worker("2"))).to.deep.equal([]);
    expect(keysOf(await claim(worker("1")))).to.deep.equal([key]);
    expect(keysOf(await claim(worker("2"), NOW + 12_000))).to.deep.equal([key]);
  });

  it("lease_runsOut_anotherTakesTheJobAndTheFirstCanDoNothing", async () => {
    const { key } = await store.add(newJob());
    const [slow, quick] = [worker("1"), worker("2")];
    await claim(slow);
    expect(await claim(quick, NOW + 999)).to.deep.equal([]);
    expect(await store.nextDueAtMs(quick.account, NOW)).to.equal(NOW + 1_000);
    expect(keysOf(await claim(quick, NOW + 1_001))).to.deep.equal([key]);
    expect(await store.markSubmitted(slow, [key], transaction(slow.account))).to.equal(false);
    expect(await store.markPending(slow, key, "no")).to.equal(false);
    expect(await store.postpone(slow, key, NOW, "no")).to.equal(false);
    expect(await store.markDead(slow, key, "no")).to.equal(false);
    expect(await store.renewLeases(slow, [key], NOW + 9_000)).to.deep.equal([]);
    expect(await store.find(key)).to.deep.include({ status: "pending", attempts: 0 });
    expect(await store.markSubmitted(quick, [key], transaction(quick.account))).to.equal(true);
  });

  it("lease_renewed_keepsOthersOff", async () => {
    const { key } = await store.add(newJob());
    await claim(worker("1"));
    expect(await store.renewLeases(worker("1"), [key, "other"], NOW + 5_000)).to.deep.equal([key]);
    expect(await claim(worker("2"), NOW + 4_999)).to.deep.equal([]);
    expect(await claim(worker("2"), NOW + 5_001)).to.have.lengthOf(1);
  });

  it("lease_ofAnEarlierRun_endsWhenItsAccountStartsAgain", async () => {
    const { key } = await store.add(newJob());
    await claim(worker("1", "before"));
    await store.releaseLeases(account("2"));
    expect(await claim(worker("1", "after"))).to.deep.equal([]);
    await store.releaseLeases(account("1"));
    expect(keysOf(await claim(worker("1", "after")))).to.deep.equal([key]);
    expect(await store.markSubmitted(worker("1", "before"), [key], transaction(account("1")))).to.equal(false);
  });

  it("markSubmitted_oneOfSeveralNotHeld_recordsNone", async () => {
    const jobs = [await store.add(newJob()), await store.add(newJob())];
    const keys = jobs.map(({ key }) => key);
    await claim(worker("1"), NOW, 1);
    await claim(worker("2"), NOW, 1);
    expect(await store.markSubmitted(worker("1"), keys, transaction(account("1")))).to.equal(false);
    for (const job of await store.findMany(keys))
      expect(job).to.include({ status: "pending" }).and.not.have.property("transaction");
  });

  it("markSubmitted_severalInOneTransaction_recordsItForEach", async () => {
    const keys = keysOf([await store.add(newJob()), await store.add(newJob())]);
    await claim(worker("1"));
    expect(await store.markSubmitted(worker("1"), keys, transaction(account("1"), 8))).to.equal(true);
    const recorded = await other.submittedBy(account("1"));
    expect(keysOf(recorded)).to.deep.equal(keys);
    for (const job of recorded) expect(job.transaction).to.deep.equal(transaction(account("1"), 8));
    expect(await other.submittedBy(account("2"))).to.deep.equal([]);
  });

  it("submittedBy_manyTransactions_areInTheOrderOfTheirNumbers", async () => {
    const numbers = [12, 2, 7];
    for (const nonce of numbers) {
      const { key } = await store.add(newJob());
      await claim(worker("1"));
      await store.markSubmitted(worker("1"), [key], transaction(account("1"), nonce));
    }
    expect((await store.submittedBy(account("1"))).map((job) => job.transaction?.nonce)).to.deep.equal([2, 7, 12]);
  });

  it("markPending_forgetsTheTransactionAndKeepsTheLease", async () => {
    const { key } = await submitted(worker("1"));
    expect(await store.markPending(worker("1"), key, "reverted")).to.equal(true);
    expect(await store.find(key))
      .to.deep.include({ status: "pending", reason: "reverted" })
      .and.not.have.property("transaction");
    expect(await claim(worker("2"))).to.deep.equal([]);
  });

  it("postpone_countsAndFrees", async () => {
    const { key } = await submitted(worker("1"));
    expect(await store.postpone(worker("1"), key, NOW + 500.5, "not mined yet")).to.equal(true);
    expect(await store.find(key)).to.deep.include({
      status: "submitted",
      attempts: 1,
      dueAtMs: NOW + 501,
      reason: "not mined yet",
    });
    expect(await claim(worker("2"), NOW + 499)).to.deep.equal([]);
    expect(keysOf(await claim(worker("2"), NOW + 501))).to.deep.equal([key]);
  });

  it("markSettled_byAnyone_endsItOnce", async () => {
    const { key } = await submitted(worker("1"));
    const ended = await Promise.all([store, other, store].map((each) => each.markSettled(key, HASH)));
    expect(ended.filter(Boolean)).to.have.lengthOf(1);
    expect(await store.find(key)).to.deep.include({ status: "settled", transaction: transaction(account("1")) });
    expect(await store.submittedBy(account("1"))).to.deep.equal([]);
    expect(await claim(worker("2"), NOW + 60_000)).to.deep.equal([]);
    expect(await store.markDead(worker("1"), key, "no")).to.equal(false);
  });

  it("markSettled_bySomebodyElsesTransaction_tellsThatOne", async () => {
    const { key } = await submitted(worker("1"));
    const theirs: Hex = `0x${"cd".repeat(32)}`;
    await store.markSettled(key, theirs);
    expect((await store.find(key))!.transaction).to.deep.equal({ hash: theirs });
    const unknown = await submitted(worker("1"));
    await store.markSettled(unknown.key, undefined);
    expect(await store.find(unknown.key))
      .to.include({ status: "settled" })
      .and.not.have.property("transaction");
  });

  it("markDead_owed_isADeadLetterUntilItIsReopened", async () => {
    const { key } = await submitted(worker("1"));
    const once = await store.add(newJob({}, { patience: "once" }));
    await store.abandon(once.key, "timeout");
    expect(await store.markDead(worker("1"), key, "nonce_invalidated")).to.equal(true);
    const letters = await store.deadLetters({ limit: 10 });
    expect(letters).to.have.lengthOf(1);
    expect(letters[0]).to.deep.include({ key, status: "dead", reason: "nonce_invalidated" });
    expect(await store.deadLetters({ limit: 10, after: key })).to.deep.equal([]);
    expect(await other.reopen(key, NOW + 5)).to.equal(true);
    expect(await other.reopen(key, NOW + 5)).to.equal(false);
    // its transaction may still be mined
    expect(await store.find(key)).to.deep.include({ status: "submitted", attempts: 0, dueAtMs: NOW + 5 });
    expect(keysOf(await claim(worker("2"), NOW + 5))).to.deep.equal([key]);
  });

  it("deadLetters_pages_listEachOnce", async () => {
    for (let count = 0; count < 5; count++) await store.add(newJob());
    for (const { key } of await claim(worker("1"))) await store.markDead(worker("1"), key, "gone");
    const first = await store.deadLetters({ limit: 3 });
    const second = await store.deadLetters({ limit: 3, after: first.at(-1)!.key });
    expect([first.length, second.length]).to.deep.equal([3, 2]);
    expect(new Set(keysOf([...first, ...second])).size).to.equal(5);
  });

  it("abandon_unsentOnce_diesForWhoeverWorksOnIt", async () => {
    const job = newJob({}, { patience: "once" });
    const { key } = await store.add(job);
    await claim(worker("1"));
    expect(await other.abandon(key, "settlement_timeout")).to.equal(true);
    expect(await store.markSubmitted(worker("1"), [key], transaction(account("1")))).to.equal(false);
    expect(await store.find(key)).to.deep.include({ status: "dead", reason: "settlement_timeout" });
    // nobody is owed anything: the payer may sign other terms with that nonce
    const renewed = await store.add({ ...job, payment: { ...job.payment, terms: "7 to d", amountWei: 7n } });
    expect(renewed).to.deep.include({ status: "pending", amountWei: 7n });
  });

  it("abandon_sentOrOwed_goesOn", async () => {
    const once = await store.add(newJob({}, { patience: "once" }));
    await claim(worker("1"));
    await store.markSubmitted(worker("1"), [once.key], transaction(account("1")));
    const owed = await store.add(newJob());
    expect(await store.abandon(once.key, "no")).to.equal(false);
    expect(await store.abandon(owed.key, "no")).to.equal(false);
  });

  it("abandonAndMarkSubmitted_atOnce_oneOfThemWins", async () => {
    for (let round = 0; round < 10; round++) {
      const { key } = await store.add(newJob({}, { patience: "once" }));
      await claim(worker("1"));
      const [abandoned, sent] = await Promise.all([
        other.abandon(key, "timeout"),
        store.markSubmitted(worker("1"), [key], transaction(account("1"))),
      ]);
      expect(abandoned).to.not.equal(sent);
      expect((await store.find(key))!.status).to.equal(abandoned ? "dead" : "submitted");
    }
  });

  it("sums_countWhatPayersOweForWhatTheyWereServed", async () => {
    const payer = account("9");
    await store.add(newJob({ payer, amountWei: 10n ** 25n }));
    await store.add(newJob({ payer, amountWei: 2n }));
    await store.add(newJob({ payer, amountWei: 64n, kind: "channel/deposit" }));
    await store.add(newJob({ amountWei: 1n }));
    expect(await store.outstandingWei(payer)).to.equal(10n ** 25n + 2n);
    for (const { key, amountWei, kind } of await claim(worker("1"))) {
      if (kind === "channel/deposit" || amountWei === 2n) await store.markDead(worker("1"), key, "gone");
      else await store.markSettled(key, HASH);
    }
    const once = await store.add(newJob({ payer, amountWei: 32n }, { patience: "once" }));
    await store.abandon(once.key, "timeout");
    expect(await other.outstandingWei(payer)).to.equal(0n);
    expect(await other.defaultedWei(payer)).to.equal(2n);
    expect(await other.counts()).to.deep.equal({ pending: 0, submitted: 0, settled: 2, dead: 3 });
  });

  it("backlog_tellsWhatWaitsSinceWhen_andWhatNobodyCanCharge", async () => {
    expect(await store.backlog()).to.deep.equal({ open: 0, oldestAtMs: undefined, deadLetters: 0 });
    const first = await store.add(newJob());
    await store.add(newJob({}, { nowMs: NOW + 1_000 }));
    await store.add(newJob({}, { nowMs: NOW + 2_000 }));
    await store.add(newJob({ kind: "upto/permit2", amountWei: 0n }, { nowMs: NOW - 9_000 }));
    expect(await other.backlog()).to.deep.equal({ open: 3, oldestAtMs: NOW, deadLetters: 0 });
    const [taken] = await store.claimDue({ worker: worker("1"), nowMs: NOW, limit: 1, leaseMs: 1_000 });
    expect(taken!.key).to.equal(first.key);
    await store.markSubmitted(worker("1"), [first.key], transaction(account("1")));
    expect(await store.backlog(), "on its way is not there yet").to.include({ open: 3, oldestAtMs: NOW });
    await store.markDead(worker("1"), first.key, "gone");
    const once = await store.add(newJob({}, { patience: "once", nowMs: NOW + 3_000 }));
    await store.abandon(once.key, "timeout");
    expect(await other.backlog()).to.deep.equal({ open: 2, oldestAtMs: NOW + 1_000, deadLetters: 1 });
  });

  it("prune_settledAndExpired_isForgotten", async () => {
    const expiresAt = BigInt(NOW / 1000);
    const settled = await store.add(newJob({ kind: "upto/permit2", amountWei: 0n, expiresAt }));
    const later = await store.add(newJob({ kind: "upto/permit2", amountWei: 0n, expiresAt: 10n ** 12n }));
    const owed = await store.add(newJob({ expiresAt }));
    expect(await store.prune(expiresAt)).to.equal(0);
    expect(await store.prune(expiresAt + 1n)).to.equal(1);
    expect(keysOf(await store.findMany([settled.key, later.key, owed.key]))).to.deep.equal(keysOf([later, owed]));
  });
}
