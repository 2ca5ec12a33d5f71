import type { StatementSync } from "node:sqlite";
import type { PaymentPayload, PaymentRequirements } from "@x402/core/types";
import type { GroupCommit } from "../../persistence/GroupCommit.ts";
import type { Hex } from "../../receipts/types.ts";
import { LiveRows } from "./LiveRows.ts";

/**
 * open: takes requests. closing: takes none, and its amount is to be charged. settling: the facilitator has it. settled, dead: what became
 * of that. closed: nothing was charged, and nothing can be any more.
 */
export type SessionStatus = "open" | "closing" | "settling" | "settled" | "dead" | "closed";

/** One `upto` authorization and what it is used for. */
export interface Session {
  /** `paymentKeyText` of the authorization. */
  key: string;
  payer: Hex;
  payTo: Hex;
  /** Most that it can be charged in all, wei. */
  capWei: bigint;
  signature: string;
  payload: PaymentPayload;
  requirements: PaymentRequirements;
  /** Unix seconds; it cannot be charged after it. */
  validBefore: number;
  openedAtMs: number;
  status: SessionStatus;
  /** What is charged for all its requests, wei; from `closing` on. */
  amountWei?: bigint;
  transaction?: Hex;
}

interface Row {
  key: string;
  payer: Hex;
  pay_to: Hex;
  cap: string;
  signature: string;
  payload: string;
  requirements: string;
  valid_before: number;
  opened_at: number;
  status: SessionStatus;
  amount: string | null;
  tx_hash: Hex | null;
}

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS sessions (
    key TEXT PRIMARY KEY,
    payer TEXT NOT NULL,
    pay_to TEXT NOT NULL,
    cap TEXT NOT NULL,
    signature TEXT NOT NULL,
    payload TEXT NOT NULL,
    requirements TEXT NOT NULL,
    valid_before INTEGER NOT NULL,
    opened_at INTEGER NOT NULL,
    status TEXT NOT NULL,
    amount TEXT,
    tx_hash TEXT
  );
  CREATE INDEX IF NOT EXISTS sessions_status ON sessions (status);`;

/** The durable rows of `upto` sessions. What they are charged is in their requests until they close. */
export class SessionStore {
  readonly #commit: GroupCommit;
  readonly #live: LiveRows<Session>;
  readonly #statements = new Map<string, StatementSync>();

  /** @param commit the gateway's file, after `RequestStore` has made its tables. */
  constructor(commit: GroupCommit) {
    this.#commit = commit;
    this.#live = new LiveRows(commit);
    commit.database.exec(SCHEMA);
    for (const session of this.withStatus("open")) this.#live.load(session);
  }

  find(key: string): Session | undefined {
    return this.#live.get(key) ?? this.#rows("SELECT * FROM sessions WHERE key = ?", key)[0];
  }

  /** Those that take requests. */
  open(): Session[] {
    return [...this.#live.values()].filter(({ status }) => status === "open");
  }

  withStatus(status: SessionStatus): Session[] {
    return this.#rows("SELECT * FROM sessions WHERE status = ?", status)
      .map((session) => this.#live.get(session.key) ?? session)
      .filter((session) => session.status === status);
  }

  /** Its requests are on disk after it is. */
  add(session: Session): void {
    void this.#live
      .write(session, true, () =>
        this.#run(
          `INSERT INTO sessions (key, payer, pay_to, cap, signature, payload, requirements, valid_before, opened_at, status)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
          ...[session.key, session.payer, session.payTo, session.capWei.toString(), session.signature],
          ...[JSON.stringify(session.payload), JSON.stringify(session.requirements)],
          ...[session.validBefore, session.openedAtMs, session.status],
        ),
      )
      // answers in it cannot be stored either, and are not given
      .catch(() => undefined);
  }

  /** Changes its status. Resolves when that is on disk. */
  async change(key: string, to: Pick<Session, "status"> & Partial<Session>): Promise<void> {
    const session = this.find(key);
    if (session === undefined) return;
    const next = { ...session, ...to };
    await this.#live.write(next, false, () =>
      this.#run(
        "UPDATE sessions SET status = ?, amount = ?, tx_hash = ? WHERE key = ?",
        ...[next.status, next.amountWei?.toString() ?? null, next.transaction ?? null, key],
      ),
    );
  }

  /** Number of sessions by status. */
  counts(): Record<SessionStatus, number> {
    const counts = { open: 0, closing: 0, settling: 0, settled: 0, dead: 0, closed: 0 };
    const rows = this.#prepare("SELECT status, COUNT(*) AS n FROM sessions GROUP BY status").all();
    for (const { status, n } of rows as unknown as { status: SessionStatus; n: number }[]) counts[status] = n;
    return counts;
  }

  /**
   * Forgets sessions that ended and whose authorization has expired, with their requests. Before that they stay, so that nothing can be
   * bought with them again: of one that was charged nothing, the chain knows nothing.
   */
  purge(answeredBeforeMs: number, nowSeconds: number): Promise<void> {
    const ended = `SELECT key FROM sessions WHERE status IN ('settled', 'closed') AND valid_before < ?
      AND NOT EXISTS (SELECT 1 FROM requests WHERE session = sessions.key AND answered_at >= ?)`;
    return this.#commit.run(() => {
      this.#run(`DELETE FROM requests WHERE session IN (${ended})`, nowSeconds, answeredBeforeMs);
      this.#run(
        `DELETE FROM sessions WHERE status IN ('settled', 'closed') AND valid_before < ?
         AND NOT EXISTS (SELECT 1 FROM requests WHERE session = sessions.key)`,
        nowSeconds,
      );
    });
  }

  #rows(sql: string, value: string): Session[] {
    return (this.#prepare(sql).all(value) as unknown as Row[]).map(sessionOf);
  }

  #run(sql: string, ...values: (string | number | null)[]): void {
    this.#prepare(sql).run(...values);
  }

  #prepare(sql: string): StatementSync {
    const statement = this.#statements.get(sql) ?? this.#commit.database.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }
}

const sessionOf = (row: Row): Session => ({
  key: row.key,
  payer: row.payer,
  payTo: row.pay_to,
  capWei: BigInt(row.cap),
  signature: row.signature,
  payload: JSON.parse(row.payload) as PaymentPayload,
  requirements: JSON.parse(row.requirements) as PaymentRequirements,
  validBefore: row.valid_before,
  openedAtMs: row.opened_at,
  status: row.status,
  ...(row.amount !== null && { amountWei: BigInt(row.amount) }),
  ...(row.tx_hash !== null && { transaction: row.tx_hash }),
});
