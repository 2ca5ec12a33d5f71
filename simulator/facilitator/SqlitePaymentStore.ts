import type { StatementSync } from "node:sqlite";
import { GroupCommit } from "../persistence/GroupCommit.ts";
import type { Hex } from "../receipts/types.ts";
import { type JobRow, jobOf, JOBS_SCHEMA, padded } from "./jobRow.ts";
import { PaymentError } from "./PaymentError.ts";
import {
  type Backlog,
  CHARGING_KINDS,
  type DeadLetterPage,
  type DueClaim,
  type NewJob,
  type Patience,
  type PaymentJob,
  type PaymentStatus,
  type PaymentStore,
  type SignedTransaction,
  type Worker,
} from "./PaymentStore.ts";

const UNFINISHED = "status IN ('pending', 'submitted')";
const DEAD_LETTER = "status = 'dead' AND patience = 'until-expiry'";
const NO_LEASE = "leased_by = NULL, leased_account = NULL, lease_until = 0";
const CHARGES = `kind IN (${CHARGING_KINDS.map((kind) => `'${kind}'`).join(", ")})`;

/** The payment store in one SQLite file, for the facilitators of one machine. What is written within one turn shares one sync. */
export class SqlitePaymentStore implements PaymentStore {
  readonly #group: GroupCommit;
  readonly #statements = new Map<string, StatementSync>();

  /** @param file SQLite file, created when missing; ":memory:" for none. */
  constructor(file: string) {
    // not grown beforehand: another process may be writing to the log
    this.#group = new GroupCommit(file, { logBytes: 0 });
    this.#group.runNow(() => this.#group.database.exec(JOBS_SCHEMA));
  }

  close(): Promise<void> {
    this.#group.close();
    return Promise.resolve();
  }

  add(job: NewJob): Promise<PaymentJob> {
    return this.#write(() => {
      const { payment, patience, nowMs } = job;
      const found = this.#row(payment.key);
      if (found === undefined) {
        this.#insert(job);
      } else if (found.status === "dead" && found.patience === "once") {
        // nobody is owed anything by it, so it does not stand in the way of other terms
        this.#run("DELETE FROM jobs WHERE key = ?", payment.key);
        this.#insert({ ...job, fromBlock: Math.min(found.from_block, job.fromBlock) });
      } else if (found.terms !== payment.terms || found.amount !== payment.amountWei.toString()) {
        throw new PaymentError(
          "payment_conflict",
          `Payment ${payment.key} is already known with another recipient, amount or expiry`,
        );
      } else if (found.status === "dead") {
        this.#reopen(payment.key, patience, nowMs);
      } else if (patience === "until-expiry" && found.patience === "once") {
        this.#run("UPDATE jobs SET patience = ? WHERE key = ?", patience, payment.key);
      }
      return jobOf(this.#row(payment.key)!);
    });
  }

  find(key: string): Promise<PaymentJob | undefined> {
    const row = this.#row(key);
    return Promise.resolve(row && jobOf(row));
  }

  findMany(keys: readonly string[]): Promise<PaymentJob[]> {
    return this.#jobs("SELECT * FROM jobs WHERE key IN (SELECT value FROM json_each(?))", JSON.stringify(keys));
  }

  async claimDue({ worker, nowMs, limit, leaseMs }: DueClaim): Promise<PaymentJob[]> {
    const due = `SELECT key FROM jobs WHERE ${UNFINISHED} AND due_at <= ? AND lease_until <= ?
      AND (facilitator IS NULL OR facilitator = ? OR expires_at < ?) ORDER BY due_at LIMIT ?`;
    const which = [nowMs, nowMs, worker.account, padded(BigInt(Math.floor(nowMs / 1000))), limit];
    // mostly there is nothing, and no need to write
    if (this.#rows(due, ...which).length === 0) return [];
    const rows = await this.#write(() =>
      this.#rows(
        `UPDATE jobs SET leased_by = ?, leased_account = ?, lease_until = ? WHERE key IN (${due}) RETURNING *`,
        worker.id,
        worker.account,
        Math.ceil(nowMs + leaseMs),
        ...which,
      ),
    );
    return rows.map(jobOf).sort((a, b) => a.dueAtMs - b.dueAtMs);
  }

  renewLeases(worker: Worker, keys: readonly string[], untilMs: number): Promise<string[]> {
    const sql = `UPDATE jobs SET lease_until = ? WHERE leased_by = ? AND ${UNFINISHED}
      AND key IN (SELECT value FROM json_each(?)) RETURNING key`;
    return this.#write(() => {
      const rows = this.#prepare(sql).all(Math.ceil(untilMs), worker.id, JSON.stringify(keys));
      return rows.map(({ key }) => key as string);
    });
  }

  releaseLeases(account: Hex): Promise<void> {
    return this.#write(() => this.#run(`UPDATE jobs SET ${NO_LEASE} WHERE leased_account = ?`, account));
  }

  nextDueAtMs(account: Hex, nowMs: number): Promise<number | undefined> {
    const sql = `SELECT MIN(MAX(due_at, lease_until)) AS at FROM jobs WHERE ${UNFINISHED}
      AND MAX(due_at, lease_until) > ? AND (facilitator IS NULL OR facilitator = ?)`;
    const { at } = this.#prepare(sql).get(nowMs, account) as { at: number | null };
    return Promise.resolve(at ?? undefined);
  }

  submittedBy(account: Hex): Promise<PaymentJob[]> {
    return this.#jobs("SELECT * FROM jobs WHERE status = 'submitted' AND tx_from = ? ORDER BY tx_nonce", account);
  }

  markSubmitted(worker: Worker, keys: readonly string[], transaction: SignedTransaction): Promise<boolean> {
    const { hash, raw, from, nonce } = transaction;
    return this.#write(() => {
      const held = this.#prepare(
        `SELECT COUNT(*) AS n FROM jobs WHERE leased_by = ? AND ${UNFINISHED} AND key IN (SELECT value FROM json_each(?))`,
      ).get(worker.id, JSON.stringify(keys)) as { n: number };
      if (held.n !== keys.length) return false;
      this.#run(
        `UPDATE jobs SET status = 'submitted', tx_hash = ?, tx_raw = ?, tx_from = ?, tx_nonce = ?
         WHERE key IN (SELECT value FROM json_each(?))`,
        hash,
        raw,
        from,
        nonce,
        JSON.stringify(keys),
      );
      return true;
    });
  }

  markPending(worker: Worker, key: string, reason: string): Promise<boolean> {
    return this.#change(
      `UPDATE jobs SET status = 'pending', tx_hash = NULL, tx_raw = NULL, tx_from = NULL, tx_nonce = NULL, reason = ?
       WHERE key = ? AND leased_by = ? AND ${UNFINISHED}`,
      reason,
      key,
      worker.id,
    );
  }

  postpone(worker: Worker, key: string, dueAtMs: number, reason: string): Promise<boolean> {
    return this.#change(
      `UPDATE jobs SET attempts = attempts + 1, due_at = ?, reason = ?, ${NO_LEASE}
       WHERE key = ? AND leased_by = ? AND ${UNFINISHED}`,
      Math.ceil(dueAtMs),
      reason,
      key,
      worker.id,
    );
  }

  markSettled(key: string, hash: Hex | undefined): Promise<boolean> {
    return this.#change(
      `UPDATE jobs SET status = 'settled', tx_raw = CASE WHEN tx_hash = ?1 THEN tx_raw END,
       tx_from = CASE WHEN tx_hash = ?1 THEN tx_from END, tx_nonce = CASE WHEN tx_hash = ?1 THEN tx_nonce END,
       tx_hash = ?1, reason = NULL, ${NO_LEASE} WHERE key = ?2 AND status != 'settled'`,
      hash ?? null,
      key,
    );
  }

  markDead(worker: Worker, key: string, reason: string): Promise<boolean> {
    return this.#change(
      `UPDATE jobs SET status = 'dead', reason = ?, ${NO_LEASE} WHERE key = ? AND leased_by = ? AND ${UNFINISHED}`,
      reason,
      key,
      worker.id,
    );
  }

  abandon(key: string, reason: string): Promise<boolean> {
    return this.#change(
      `UPDATE jobs SET status = 'dead', reason = ?, ${NO_LEASE} WHERE key = ? AND status = 'pending' AND patience = 'once'`,
      reason,
      key,
    );
  }

  reopen(key: string, nowMs: number): Promise<boolean> {
    return this.#write(() => {
      if (this.#row(key)?.status !== "dead") return false;
      this.#reopen(key, "until-expiry", nowMs);
      return true;
    });
  }

  deadLetters({ limit, after = "" }: DeadLetterPage): Promise<PaymentJob[]> {
    return this.#jobs(`SELECT * FROM jobs WHERE ${DEAD_LETTER} AND key > ? ORDER BY key LIMIT ?`, after, limit);
  }

  outstandingWei(payer: Hex): Promise<bigint> {
    return this.#sum(UNFINISHED, payer);
  }

  defaultedWei(payer: Hex): Promise<bigint> {
    return this.#sum(DEAD_LETTER, payer);
  }

  counts(): Promise<Record<PaymentStatus, number>> {
    const counts = { pending: 0, submitted: 0, settled: 0, dead: 0 };
    const rows = this.#prepare("SELECT status, COUNT(*) AS n FROM jobs GROUP BY status").all();
    for (const { status, n } of rows as unknown as { status: PaymentStatus; n: number }[]) counts[status] = n;
    return Promise.resolve(counts);
  }

  backlog(): Promise<Backlog> {
    const row = this.#prepare(
      `SELECT COUNT(*) FILTER (WHERE ${UNFINISHED}) AS open, MIN(created_at) FILTER (WHERE ${UNFINISHED}) AS oldest,
       COUNT(*) FILTER (WHERE ${DEAD_LETTER}) AS letters FROM jobs WHERE status != 'settled'`,
    ).get() as { open: number; oldest: number | null; letters: number };
    return Promise.resolve({ open: row.open, oldestAtMs: row.oldest ?? undefined, deadLetters: row.letters });
  }

  prune(expiredBefore: bigint): Promise<number> {
    const sql = "DELETE FROM jobs WHERE status = 'settled' AND expires_at < ?";
    return this.#write(() => Number(this.#prepare(sql).run(padded(expiredBefore)).changes));
  }

  #insert({ payment, patience, fromBlock, nowMs }: NewJob): void {
    this.#run(
      `INSERT INTO jobs (key, kind, payer, amount, facilitator, expires_at, terms, payload, requirements, status, patience,
       due_at, from_block, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      payment.key,
      payment.kind,
      payment.payer,
      payment.amountWei.toString(),
      payment.facilitator ?? null,
      padded(payment.expiresAt),
      payment.terms,
      JSON.stringify(payment.payload),
      JSON.stringify(payment.requirements),
      payment.amountWei === 0n && CHARGING_KINDS.includes(payment.kind) ? "settled" : "pending",
      patience,
      Math.floor(nowMs),
      fromBlock,
      Math.floor(nowMs),
    );
  }

  #reopen(key: string, patience: Patience, nowMs: number): void {
    this.#run(
      `UPDATE jobs SET status = CASE WHEN tx_raw IS NULL THEN 'pending' ELSE 'submitted' END, patience = ?, attempts = 0,
       due_at = ?, reason = NULL, ${NO_LEASE} WHERE key = ?`,
      patience,
      Math.floor(nowMs),
      key,
    );
  }

  #sum(where: string, payer: Hex): Promise<bigint> {
    const sql = `SELECT amount FROM jobs WHERE payer = ? AND ${where} AND ${CHARGES}`;
    const rows = this.#prepare(sql).all(payer.toLowerCase()) as unknown as { amount: string }[];
    return Promise.resolve(rows.reduce((sum, { amount }) => sum + BigInt(amount), 0n));
  }

  /** Runs `work` in a transaction, perhaps with others, perhaps twice. Resolves when it is durable. */
  async #write<T>(work: () => T): Promise<T> {
    let result: T;
    await this.#group.run(() => {
      result = work();
    });
    return result!;
  }

  #prepare(sql: string): StatementSync {
    const statement = this.#statements.get(sql) ?? this.#group.database.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }

  #row(key: string): JobRow | undefined {
    return this.#prepare("SELECT * FROM jobs WHERE key = ?").get(key) as JobRow | undefined;
  }

  #jobs(sql: string, ...values: (string | number)[]): Promise<PaymentJob[]> {
    return Promise.resolve(this.#rows(sql, ...values).map(jobOf));
  }

  #change(sql: string, ...values: (string | number | null)[]): Promise<boolean> {
    return this.#write(() => this.#prepare(sql).run(...values).changes === 1);
  }

  #rows(sql: string, ...values: (string | number)[]): JobRow[] {
    return this.#prepare(sql).all(...values) as unknown as JobRow[];
  }

  #run(sql: string, ...values: (string | number | null)[]): void {
    this.#prepare(sql).run(...values);
  }
}
