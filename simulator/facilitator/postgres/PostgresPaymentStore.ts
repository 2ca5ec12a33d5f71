import type { Hex } from "../../receipts/types.ts";
import { PaymentError } from "../PaymentError.ts";
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
} from "../PaymentStore.ts";
import { PaymentQueues } from "./PaymentQueues.ts";
import { paymentJobOf, PAYMENTS_SCHEMA, type PaymentRow } from "./paymentRow.ts";
import { PostgresDatabase, type Executor, type PostgresOptions } from "./PostgresDatabase.ts";

const UNFINISHED = "status IN ('pending', 'submitted')";
const DEAD_LETTER = "status = 'dead' AND patience = 'until-expiry'";
const NO_LEASE = "leased_by = NULL, leased_account = NULL, lease_until = 0";
const CHARGES = `kind IN (${CHARGING_KINDS.map((kind) => `'${kind}'`).join(", ")})`;

/**
 * The payment store in PostgreSQL, for any number of facilitators. Rows and their leases are the truth; pg-boss tells who shall look,
 * in the same transaction as what there is to be found.
 */
export class PostgresPaymentStore implements PaymentStore {
  readonly database: PostgresDatabase;
  readonly queues: PaymentQueues;

  private constructor(database: PostgresDatabase, queues: PaymentQueues) {
    this.database = database;
    this.queues = queues;
  }

  /** Connects, and makes the tables that are missing. */
  static async open(options: PostgresOptions): Promise<PostgresPaymentStore> {
    const database = new PostgresDatabase(options);
    const queues = new PaymentQueues(database, options.logger);
    try {
      await database.create(PAYMENTS_SCHEMA);
      await queues.start();
    } catch (error) {
      await database.close();
      throw error;
    }
    return new PostgresPaymentStore(database, queues);
  }

  async close(): Promise<void> {
    await this.queues.stop();
    await this.database.close();
  }

  onWork(account: Hex, listener: () => void): Promise<() => Promise<void>> {
    return this.queues.listen(account, listener);
  }

  add(job: NewJob): Promise<PaymentJob> {
    const { payment, patience, nowMs } = job;
    return this.database.transaction(async (client) => {
      if (await this.#insert(client, job)) return (await row(client, payment.key))!;
      const found = (await rowForUpdate(client, payment.key))!;
      if (found.status === "dead" && found.patience === "once") {
        // nobody is owed anything by it, so it does not stand in the way of other terms
        await client.query("DELETE FROM payments WHERE key = $1", [payment.key]);
        await this.#insert(client, { ...job, fromBlock: Math.min(Number(found.from_block), job.fromBlock) });
      } else if (found.terms !== payment.terms || BigInt(found.amount) !== payment.amountWei) {
        throw new PaymentError(
          "payment_conflict",
          `Payment ${payment.key} is already known with another recipient, amount or expiry`,
        );
      } else if (found.status === "dead") {
        await this.#reopen(client, found, patience, nowMs);
      } else if (patience === "until-expiry" && found.patience === "once") {
        await client.query("UPDATE payments SET patience = $2 WHERE key = $1", [payment.key, patience]);
      }
      return (await row(client, payment.key))!;
    });
  }

  find(key: string): Promise<PaymentJob | undefined> {
    return row(this.database, key);
  }

  findMany(keys: readonly string[]): Promise<PaymentJob[]> {
    return this.#jobs("SELECT * FROM payments WHERE key = ANY($1)", keys);
  }

  async claimDue({ worker, nowMs, limit, leaseMs }: DueClaim): Promise<PaymentJob[]> {
    const jobs = await this.#jobs(
      `WITH due AS MATERIALIZED (
         SELECT key FROM payments WHERE ${UNFINISHED} AND due_at <= $4 AND lease_until <= $4
         AND (facilitator IS NULL OR facilitator = $2 OR expires_at < $5)
         ORDER BY due_at LIMIT $6 FOR UPDATE SKIP LOCKED)
       UPDATE payments SET leased_by = $1, leased_account = $2, lease_until = $3 FROM due WHERE payments.key = due.key
       RETURNING payments.*`,
      worker.id,
      worker.account,
      Math.ceil(nowMs + leaseMs),
      Math.floor(nowMs),
      Math.floor(nowMs / 1000),
      limit,
    );
    return jobs.sort((a, b) => a.dueAtMs - b.dueAtMs);
  }

  async renewLeases(worker: Worker, keys: readonly string[], untilMs: number): Promise<string[]> {
    const { rows } = await this.database.query<{ key: string }>(
      `UPDATE payments SET lease_until = $3 WHERE leased_by = $1 AND ${UNFINISHED} AND key = ANY($2) RETURNING key`,
      [worker.id, keys, Math.ceil(untilMs)],
    );
    return rows.map(({ key }) => key);
  }

  async releaseLeases(account: Hex): Promise<void> {
    await this.database.query(`UPDATE payments SET ${NO_LEASE} WHERE leased_account = $1`, [account]);
  }

  async nextDueAtMs(account: Hex, nowMs: number): Promise<number | undefined> {
    const { rows } = await this.database.query<{ at: string | null }>(
      `SELECT MIN(GREATEST(due_at, lease_until)) AS at FROM payments WHERE ${UNFINISHED}
       AND GREATEST(due_at, lease_until) > $2 AND (facilitator IS NULL OR facilitator = $1)`,
      [account, Math.floor(nowMs)],
    );
    return rows[0]?.at == null ? undefined : Number(rows[0].at);
  }

  submittedBy(account: Hex): Promise<PaymentJob[]> {
    return this.#jobs("SELECT * FROM payments WHERE status = 'submitted' AND tx_from = $1 ORDER BY tx_nonce", account);
  }

  async markSubmitted(worker: Worker, keys: readonly string[], transaction: SignedTransaction): Promise<boolean> {
    const { hash, raw, from, nonce } = transaction;
    return this.database.transaction(async (client) => {
      // always in the same order: two that lock the same rows in different orders would wait for each other
      const { rowCount: held } = await client.query(
        `SELECT key FROM payments WHERE leased_by = $1 AND ${UNFINISHED} AND key = ANY($2) ORDER BY key FOR UPDATE`,
        [worker.id, keys],
      );
      if (held !== keys.length) return false;
      await client.query(
        `UPDATE payments SET status = 'submitted', tx_hash = $2, tx_raw = $3, tx_from = $4, tx_nonce = $5 WHERE key = ANY($1)`,
        [keys, hash, raw, from, nonce],
      );
      return true;
    });
  }

  markPending(worker: Worker, key: string, reason: string): Promise<boolean> {
    return this.#change(
      `UPDATE payments SET status = 'pending', tx_hash = NULL, tx_raw = NULL, tx_from = NULL, tx_nonce = NULL, reason = $3
       WHERE key = $2 AND leased_by = $1 AND ${UNFINISHED}`,
      worker.id,
      key,
      reason,
    );
  }

  postpone(worker: Worker, key: string, dueAtMs: number, reason: string): Promise<boolean> {
    return this.database.transaction(async (client) => {
      const { rows } = await client.query<PaymentRow>(
        `UPDATE payments SET attempts = attempts + 1, due_at = $3, reason = $4, ${NO_LEASE}
         WHERE key = $2 AND leased_by = $1 AND ${UNFINISHED} RETURNING *`,
        [worker.id, key, Math.ceil(dueAtMs), reason],
      );
      if (rows[0] === undefined) return false;
      await this.queues.tell(client, key, rows[0].facilitator ?? undefined, dueAtMs);
      return true;
    });
  }

  markSettled(key: string, hash: Hex | undefined): Promise<boolean> {
    return this.#change(
      `UPDATE payments SET status = 'settled', tx_raw = CASE WHEN tx_hash = $1 THEN tx_raw END,
       tx_from = CASE WHEN tx_hash = $1 THEN tx_from END, tx_nonce = CASE WHEN tx_hash = $1 THEN tx_nonce END,
       tx_hash = $1, reason = NULL, ${NO_LEASE} WHERE key = $2 AND status != 'settled'`,
      hash ?? null,
      key,
    );
  }

  markDead(worker: Worker, key: string, reason: string): Promise<boolean> {
    return this.#change(
      `UPDATE payments SET status = 'dead', reason = $3, ${NO_LEASE} WHERE key = $2 AND leased_by = $1 AND ${UNFINISHED}`,
      worker.id,
      key,
      reason,
    );
  }

  abandon(key: string, reason: string): Promise<boolean> {
    return this.#change(
      `UPDATE payments SET status = 'dead', reason = $2, ${NO_LEASE} WHERE key = $1 AND status = 'pending' AND patience = 'once'`,
      key,
      reason,
    );
  }

  reopen(key: string, nowMs: number): Promise<boolean> {
    return this.database.transaction(async (client) => {
      const found = await rowForUpdate(client, key);
      if (found?.status !== "dead") return false;
      await this.#reopen(client, found, "until-expiry", nowMs);
      return true;
    });
  }

  deadLetters({ limit, after = "" }: DeadLetterPage): Promise<PaymentJob[]> {
    return this.#jobs(`SELECT * FROM payments WHERE ${DEAD_LETTER} AND key > $1 ORDER BY key LIMIT $2`, after, limit);
  }

  outstandingWei(payer: Hex): Promise<bigint> {
    return this.#sum(UNFINISHED, payer);
  }

  defaultedWei(payer: Hex): Promise<bigint> {
    return this.#sum(DEAD_LETTER, payer);
  }

  async counts(): Promise<Record<PaymentStatus, number>> {
    const counts = { pending: 0, submitted: 0, settled: 0, dead: 0 };
    const { rows } = await this.database.query<{ status: PaymentStatus; n: string }>(
      "SELECT status, COUNT(*) AS n FROM payments GROUP BY status",
    );
    for (const { status, n } of rows) counts[status] = Number(n);
    return counts;
  }

  async backlog(): Promise<Backlog> {
    const { rows } = await this.database.query<{ open: string; oldest: string | null; letters: string }>(
      `SELECT COUNT(*) FILTER (WHERE ${UNFINISHED}) AS open, MIN(created_at) FILTER (WHERE ${UNFINISHED}) AS oldest,
       COUNT(*) FILTER (WHERE ${DEAD_LETTER}) AS letters FROM payments WHERE status != 'settled'`,
    );
    const { open, oldest, letters } = rows[0]!;
    return {
      open: Number(open),
      oldestAtMs: oldest === null ? undefined : Number(oldest),
      deadLetters: Number(letters),
    };
  }

  async prune(expiredBefore: bigint): Promise<number> {
    const { rowCount } = await this.database.query(
      "DELETE FROM payments WHERE status = 'settled' AND expires_at < $1",
      [expiredBefore.toString()],
    );
    return rowCount ?? 0;
  }

  /** @returns false when the key is taken. */
  async #insert(client: Executor, { payment, patience, fromBlock, nowMs }: NewJob): Promise<boolean> {
    const nothingDue = payment.amountWei === 0n && CHARGING_KINDS.includes(payment.kind);
    const now = Math.floor(nowMs);
    const { rowCount } = await client.query(
      `INSERT INTO payments (key, kind, payer, amount, facilitator, expires_at, terms, payload, requirements, status, patience,
       due_at, from_block, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
       ON CONFLICT DO NOTHING`,
      [
        payment.key,
        payment.kind,
        payment.payer,
        payment.amountWei.toString(),
        payment.facilitator ?? null,
        payment.expiresAt.toString(),
        payment.terms,
        JSON.stringify(payment.payload),
        JSON.stringify(payment.requirements),
        nothingDue ? "settled" : "pending",
        patience,
        now,
        fromBlock,
        now,
      ],
    );
    if (rowCount !== 1) return false;
    if (!nothingDue) await this.queues.tell(client, payment.key, payment.facilitator, now);
    return true;
  }

  async #reopen(client: Executor, { key, facilitator }: PaymentRow, patience: Patience, nowMs: number): Promise<void> {
    await client.query(
      `UPDATE payments SET status = CASE WHEN tx_raw IS NULL THEN 'pending' ELSE 'submitted' END, patience = $2, attempts = 0,
       due_at = $3, reason = NULL, ${NO_LEASE} WHERE key = $1`,
      [key, patience, Math.floor(nowMs)],
    );
    await this.queues.tell(client, key, facilitator ?? undefined, nowMs);
  }

  async #sum(where: string, payer: Hex): Promise<bigint> {
    const { rows } = await this.database.query<{ sum: string | null }>(
      `SELECT SUM(amount)::text AS sum FROM payments WHERE payer = $1 AND ${where} AND ${CHARGES}`,
      [payer.toLowerCase()],
    );
    return BigInt(rows[0]?.sum ?? 0);
  }

  async #jobs(sql: string, ...values: unknown[]): Promise<PaymentJob[]> {
    return (await this.database.query<PaymentRow>(sql, values)).rows.map(paymentJobOf);
  }

  async #change(sql: string, ...values: unknown[]): Promise<boolean> {
    return (await this.database.query(sql, values)).rowCount === 1;
  }
}

async function row(executor: Executor, key: string): Promise<PaymentJob | undefined> {
  const { rows } = await executor.query<PaymentRow>("SELECT * FROM payments WHERE key = $1", [key]);
  return rows[0] && paymentJobOf(rows[0]);
}

async function rowForUpdate(executor: Executor, key: string): Promise<PaymentRow | undefined> {
  const { rows } = await executor.query<PaymentRow>("SELECT * FROM payments WHERE key = $1 FOR UPDATE", [key]);
  return rows[0];
}
