import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { Hex } from "../receipts/types.ts";
import { openDatabase } from "../persistence/openDatabase.ts";
import { parsePayment, paymentKeyText, type Payment, type PaymentKey } from "./payment.ts";
import { PaymentError } from "./PaymentError.ts";

/**
 * pending: to be sent. submitted: a transaction is signed and recorded, perhaps on its way. settled: the transfer is on chain.
 * dead: it can or shall not be charged any more.
 */
export type PaymentStatus = "pending" | "submitted" | "settled" | "dead";

/** `until-expiry`: owed, so tried until the authorization runs out. `once`: the seller waits; a failed attempt ends it. */
export type Patience = "until-expiry" | "once";

/** A transaction as it was signed, before anybody has seen it. */
export interface SignedTransaction {
  hash: Hex;
  raw: Hex;
  /** Account nonce of the sender. */
  nonce: number;
}

export interface PaymentJob {
  key: string;
  payment: Payment;
  status: PaymentStatus;
  patience: Patience;
  /** The last transaction signed for it, or the one that settled it (raw and nonce absent when it was somebody else's). */
  transaction?: { hash: Hex; raw?: Hex; nonce?: number };
  attempts: number;
  dueAtMs: number;
  /** The authorization was still unused at the end of this block: its use need not be searched for below. */
  fromBlock: number;
  /** Why it died, or why the last attempt failed. */
  reason?: string;
}

interface Row {
  key: string;
  payload: string;
  requirements: string;
  status: PaymentStatus;
  patience: Patience;
  tx_hash: Hex | null;
  tx_raw: Hex | null;
  tx_nonce: number | null;
  attempts: number;
  due_at: number;
  from_block: number;
  reason: string | null;
}

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS payments (
    key TEXT PRIMARY KEY,
    payer TEXT NOT NULL,
    value TEXT NOT NULL,
    payload TEXT NOT NULL,
    requirements TEXT NOT NULL,
    status TEXT NOT NULL,
    patience TEXT NOT NULL,
    tx_hash TEXT,
    tx_raw TEXT,
    tx_nonce INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0,
    due_at INTEGER NOT NULL,
    from_block INTEGER NOT NULL,
    reason TEXT,
    created_at INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS payments_due ON payments (due_at) WHERE status IN ('pending', 'submitted');
  CREATE INDEX IF NOT EXISTS payments_owed ON payments (payer, status);`;

/** Durable payment jobs, one per (network, asset, payer, nonce). Every method commits before it returns. */
export class PaymentOutbox {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  /** @param file SQLite file, created when missing; ":memory:" for none. */
  constructor(file: string) {
    this.#database = openDatabase(file, SCHEMA);
  }

  close(): void {
    this.#database.close();
  }

  /**
   * Adds a job, or returns the one that is there. A dead job is opened again: its seller asks anew. Owed beats `once`.
   * @throws PaymentError payment_conflict when the same nonce was signed with other terms.
   */
  add(payment: Payment, patience: Patience, fromBlock: number, nowMs: number): PaymentJob {
    const { authorization } = payment;
    const key = paymentKeyText(authorization);
    const found = this.find(authorization);
    if (found === undefined) {
      this.#run(
        `INSERT INTO payments (key, payer, value, payload, requirements, status, patience, due_at, from_block, created_at)
         VALUES (?, ?, ?, ?, ?, 'pending', ?, ?, ?, ?)`,
        key,
        authorization.payer,
        authorization.valueWei.toString(),
        JSON.stringify(payment.payload),
        JSON.stringify(payment.requirements),
        patience,
        nowMs,
        fromBlock,
        nowMs,
      );
    } else if (!sameTerms(found.payment, payment)) {
      throw new PaymentError(
        "payment_conflict",
        `Payment ${key} is already known with another recipient, amount or expiry`,
      );
    } else if (found.status === "dead") {
      this.#run(
        "UPDATE payments SET status = 'pending', patience = ?, attempts = 0, due_at = ?, reason = NULL WHERE key = ?",
        patience,
        nowMs,
        key,
      );
    } else if (patience === "until-expiry" && found.patience === "once") {
      this.#run("UPDATE payments SET patience = ? WHERE key = ?", patience, key);
    }
    return this.get(key);
  }

  find(key: PaymentKey): PaymentJob | undefined {
    const row = this.#row(paymentKeyText(key));
    return row && jobOf(row);
  }

  /** @throws when there is no such job. */
  get(key: string): PaymentJob {
    const row = this.#row(key);
    if (row === undefined) throw new Error(`No payment job ${key}`);
    return jobOf(row);
  }

  /** Unfinished jobs that are due, oldest first. */
  due(nowMs: number, limit: number): PaymentJob[] {
    return this.#all(
      "SELECT * FROM payments WHERE status IN ('pending', 'submitted') AND due_at <= ? ORDER BY due_at LIMIT ?",
      nowMs,
      limit,
    ).map(jobOf);
  }

  /** When the first unfinished job that is not due yet will be, milliseconds since 1970. */
  nextDueAtMs(nowMs: number): number | undefined {
    const sql = "SELECT MIN(due_at) AS due_at FROM payments WHERE status IN ('pending', 'submitted') AND due_at > ?";
    return (this.#prepare(sql).get(nowMs) as { due_at: number | null }).due_at ?? undefined;
  }

  /** Jobs with a recorded transaction and no outcome, in the order of their account nonces. */
  submitted(): PaymentJob[] {
    return this.#all("SELECT * FROM payments WHERE status = 'submitted' ORDER BY tx_nonce").map(jobOf);
  }

  /** Recorded before the transaction is broadcast, so that a crash in between leaves something to reconcile. */
  markSubmitted(key: string, transaction: SignedTransaction): void {
    this.#run(
      "UPDATE payments SET status = 'submitted', tx_hash = ?, tx_raw = ?, tx_nonce = ? WHERE key = ?",
      transaction.hash,
      transaction.raw,
      transaction.nonce,
      key,
    );
  }

  /** Its transaction can never be mined: send anew. */
  markPending(key: string, reason: string): void {
    this.#run(
      `UPDATE payments SET status = 'pending', tx_hash = NULL, tx_raw = NULL, tx_nonce = NULL, reason = ? WHERE key = ?`,
      reason,
      key,
    );
  }

  markSettled(key: string, hash: Hex): void {
    this.#run(
      "UPDATE payments SET status = 'settled', tx_hash = ?, tx_raw = NULL, reason = NULL WHERE key = ?",
      hash,
      key,
    );
  }

  markDead(key: string, reason: string): void {
    this.#run("UPDATE payments SET status = 'dead', reason = ? WHERE key = ?", reason, key);
  }

  postpone(key: string, dueAtMs: number, reason: string): void {
    this.#run(
      "UPDATE payments SET attempts = attempts + 1, due_at = ?, reason = ? WHERE key = ?",
      Math.ceil(dueAtMs),
      reason,
      key,
    );
  }

  /** What a payer has promised and not yet paid, wei. */
  outstandingWei(payer: Hex): bigint {
    return this.#sum("payer = ? AND status IN ('pending', 'submitted')", payer);
  }

  /** What a payer was served for and can no longer be charged, wei. */
  defaultedWei(payer: Hex): bigint {
    return this.#sum("payer = ? AND status = 'dead' AND patience = 'until-expiry'", payer);
  }

  /** Number of jobs by status. */
  counts(): Record<PaymentStatus, number> {
    const counts = { pending: 0, submitted: 0, settled: 0, dead: 0 };
    const rows = this.#prepare("SELECT status, COUNT(*) AS n FROM payments GROUP BY status").all();
    for (const { status, n } of rows as unknown as { status: PaymentStatus; n: number }[]) counts[status] = n;
    return counts;
  }

  #sum(where: string, payer: Hex): bigint {
    const rows = this.#prepare(`SELECT value FROM payments WHERE ${where}`).all(payer.toLowerCase());
    return (rows as unknown as { value: string }[]).reduce((sum, { value }) => sum + BigInt(value), 0n);
  }

  #prepare(sql: string): StatementSync {
    const statement = this.#statements.get(sql) ?? this.#database.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }

  #row(key: string): Row | undefined {
    return this.#all("SELECT * FROM payments WHERE key = ?", key)[0];
  }

  #all(sql: string, ...values: (string | number)[]): Row[] {
    return this.#prepare(sql).all(...values) as unknown as Row[];
  }

  #run(sql: string, ...values: (string | number)[]): void {
    this.#prepare(sql).run(...values);
  }
}

function sameTerms(a: Payment, b: Payment): boolean {
  const [x, y] = [a.authorization, b.authorization];
  return (
    x.payTo === y.payTo &&
    x.valueWei === y.valueWei &&
    x.validAfter === y.validAfter &&
    x.validBefore === y.validBefore &&
    a.requirements.amount === b.requirements.amount
  );
}

function jobOf(row: Row): PaymentJob {
  return {
    key: row.key,
    payment: parsePayment(JSON.parse(row.payload), JSON.parse(row.requirements)),
    status: row.status,
    patience: row.patience,
    attempts: row.attempts,
    dueAtMs: row.due_at,
    fromBlock: row.from_block,
    ...(row.tx_hash !== null && {
      transaction: {
        hash: row.tx_hash,
        ...(row.tx_raw !== null && { raw: row.tx_raw }),
        ...(row.tx_nonce !== null && { nonce: row.tx_nonce }),
      },
    }),
    ...(row.reason !== null && { reason: row.reason }),
  };
}
