import type { DatabaseSync, StatementSync } from "node:sqlite";
import { openDatabase } from "../../persistence/openDatabase.ts";
import type { SettlementType } from "../../receipts/settlementType.ts";
import type { Hex } from "../../receipts/types.ts";
import {
  dataJobOf,
  requireSameJob,
  statementText,
  usageDays,
  type DataJobRow,
  type SettlementCountRow,
  type UsageRow,
} from "./dataJobRow.ts";
import type { DataClaim, DataJob, DataJobStore, DataStatus, NewDataJob, UsageDay, UsageEntry } from "./DataJobStore.ts";
import { statementHashOf } from "./dataStatement.ts";

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS data_jobs (
    id TEXT PRIMARY KEY,
    operator TEXT NOT NULL,
    type TEXT NOT NULL,
    payment TEXT NOT NULL,
    statement_hash TEXT NOT NULL UNIQUE,
    statement TEXT NOT NULL,
    content TEXT,
    status TEXT NOT NULL,
    blob_id TEXT,
    error TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    free_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS data_jobs_waiting ON data_jobs (type, created_at) WHERE status IN ('queued', 'processing');
  CREATE INDEX IF NOT EXISTS data_jobs_usage ON data_jobs (operator, created_at);
  CREATE TABLE IF NOT EXISTS usage (
    payment TEXT PRIMARY KEY,
    operator TEXT NOT NULL,
    amount TEXT NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    at INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS usage_operator ON usage (operator, at);`;

const DAY = (column: string): string => `strftime('%Y-%m-%d', ${column} / 1000, 'unixepoch')`;

/** Data jobs in a SQLite file, which may be that of the payments. */
export class SqliteDataJobStore implements DataJobStore {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  /** @param file SQLite file, created when missing. */
  constructor(file: string) {
    this.#database = openDatabase(file, SCHEMA);
  }

  close(): Promise<void> {
    this.#database.close();
    return Promise.resolve();
  }

  add(job: NewDataJob): Promise<DataJob> {
    return settled(() => {
      const hash = statementHashOf(job.statement);
      this.#prepare(
        `INSERT INTO data_jobs (id, operator, type, payment, statement_hash, statement, content, status, free_at, created_at, updated_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
      ).run(
        job.id,
        job.operator,
        job.type,
        job.payment,
        hash,
        statementText(job),
        job.content === undefined ? null : JSON.stringify(job.content),
        job.type === "private" ? "succeeded" : "queued",
        job.nowMs,
        job.nowMs,
        job.nowMs,
      );
      const found = this.#rows(
        "SELECT * FROM data_jobs WHERE id = ? OR statement_hash = ? ORDER BY id != ?",
        job.id,
        hash,
        job.id,
      );
      requireSameJob(found[0]!, job, hash);
      return dataJobOf(found[0]!);
    });
  }

  find(id: string): Promise<DataJob | undefined> {
    return settled(() => this.#rows("SELECT * FROM data_jobs WHERE id = ?", id).map(dataJobOf)[0]);
  }

  waiting(type: SettlementType, nowMs: number): Promise<{ count: number; oldestMs?: number }> {
    return settled(() => {
      const sql = `SELECT COUNT(*) AS n, MIN(created_at) AS oldest FROM data_jobs
        WHERE status IN ('queued', 'processing') AND type = ? AND free_at <= ?`;
      const { n, oldest } = this.#prepare(sql).get(type, nowMs) as { n: number; oldest: number | null };
      return { count: n, ...(oldest !== null && { oldestMs: oldest }) };
    });
  }

  claim({ type, limit, nowMs, leaseMs }: DataClaim): Promise<DataJob[]> {
    return settled(() => {
      const rows = this.#rows(
        `UPDATE data_jobs SET status = 'processing', free_at = ?, updated_at = ? WHERE id IN (
           SELECT id FROM data_jobs WHERE status IN ('queued', 'processing') AND type = ? AND free_at <= ?
           ORDER BY created_at, id LIMIT ?) RETURNING *`,
        nowMs + leaseMs,
        nowMs,
        type,
        nowMs,
        limit,
      );
      return rows.map(dataJobOf).sort((a, b) => a.createdAtMs - b.createdAtMs || (a.id < b.id ? -1 : 1));
    });
  }

  succeed(ids: readonly string[], blobId: Hex, nowMs: number): Promise<void> {
    return settled(() => {
      const sql = `UPDATE data_jobs SET status = 'succeeded', blob_id = ?, error = NULL, updated_at = ?
        WHERE status != 'succeeded' AND id IN (SELECT value FROM json_each(?))`;
      this.#prepare(sql).run(blobId, nowMs, JSON.stringify(ids));
    });
  }

  retry(ids: readonly string[], error: string, dueMs: number, maxAttempts: number, nowMs: number): Promise<void> {
    return settled(() => {
      const sql = `UPDATE data_jobs SET attempts = attempts + 1, status = CASE WHEN attempts + 1 >= ? THEN 'failed' ELSE 'queued' END,
        error = ?, free_at = ?, updated_at = ? WHERE status = 'processing' AND id IN (SELECT value FROM json_each(?))`;
      this.#prepare(sql).run(maxAttempts, error, dueMs, nowMs, JSON.stringify(ids));
    });
  }

  recordUsage({ payment, operator, amountWei, inputTokens, outputTokens, atMs }: UsageEntry): Promise<void> {
    return settled(() => {
      const sql = `INSERT INTO usage (payment, operator, amount, input_tokens, output_tokens, at) VALUES (?, ?, ?, ?, ?, ?)
        ON CONFLICT DO NOTHING`;
      this.#prepare(sql).run(payment, operator, amountWei.toString(), inputTokens, outputTokens, atMs);
    });
  }

  usage(operator: string, sinceMs: number): Promise<UsageDay[]> {
    return settled(() => {
      const payments = this.#prepare(
        `SELECT ${DAY("at")} AS day, COUNT(*) AS payments, group_concat(amount, ' ') AS amounts, SUM(input_tokens) AS input_tokens,
         SUM(output_tokens) AS output_tokens FROM usage WHERE operator = ? AND at >= ? GROUP BY day`,
      ).all(operator, sinceMs);
      const reports = this.#prepare(
        `SELECT ${DAY("created_at")} AS day, type, COUNT(*) AS n FROM data_jobs WHERE operator = ? AND created_at >= ? GROUP BY day, type`,
      ).all(operator, sinceMs);
      return usageDays(payments as unknown as UsageRow[], reports as unknown as SettlementCountRow[]);
    });
  }

  counts(): Promise<Record<DataStatus, number>> {
    return settled(() => {
      const counts = { queued: 0, processing: 0, succeeded: 0, failed: 0 };
      const rows = this.#prepare("SELECT status, COUNT(*) AS n FROM data_jobs GROUP BY status").all();
      for (const { status, n } of rows as unknown as { status: DataStatus; n: number }[]) counts[status] = n;
      return counts;
    });
  }

  #rows(sql: string, ...values: (string | number)[]): DataJobRow[] {
    return this.#prepare(sql).all(...values) as unknown as DataJobRow[];
  }

  #prepare(sql: string): StatementSync {
    const statement = this.#statements.get(sql) ?? this.#database.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }
}

/** One synchronous turn, as a promise. */
// eslint-disable-next-line @typescript-eslint/require-await -- what it throws has to reject
const settled = async <T>(work: () => T): Promise<T> => work();
