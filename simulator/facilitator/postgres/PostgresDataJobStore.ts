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
} from "../data/dataJobRow.ts";
import type {
  DataClaim,
  DataJob,
  DataJobStore,
  DataStatus,
  NewDataJob,
  UsageDay,
  UsageEntry,
} from "../data/DataJobStore.ts";
import { statementHashOf } from "../data/dataStatement.ts";
import type { PostgresDatabase } from "./PostgresDatabase.ts";

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
    free_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
  );
  CREATE INDEX IF NOT EXISTS data_jobs_waiting ON data_jobs (type, created_at) WHERE status IN ('queued', 'processing');
  CREATE INDEX IF NOT EXISTS data_jobs_usage ON data_jobs (operator, created_at);
  CREATE TABLE IF NOT EXISTS usage (
    payment TEXT PRIMARY KEY,
    operator TEXT NOT NULL,
    amount NUMERIC(78) NOT NULL,
    input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    at BIGINT NOT NULL
  );
  CREATE INDEX IF NOT EXISTS usage_operator ON usage (operator, at);`;

const DAY = (column: string): string => `to_char(to_timestamp(${column} / 1000) AT TIME ZONE 'UTC', 'YYYY-MM-DD')`;

/** Data jobs in PostgreSQL, beside the payments. */
export class PostgresDataJobStore implements DataJobStore {
  readonly #database: PostgresDatabase;

  private constructor(database: PostgresDatabase) {
    this.#database = database;
  }

  /** Makes the tables that are missing. @param database lives on when this is closed. */
  static async open(database: PostgresDatabase): Promise<PostgresDataJobStore> {
    await database.create(SCHEMA);
    return new PostgresDataJobStore(database);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  async add(job: NewDataJob): Promise<DataJob> {
    const hash = statementHashOf(job.statement);
    await this.#database.query(
      `INSERT INTO data_jobs (id, operator, type, payment, statement_hash, statement, content, status, free_at, created_at, updated_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $9) ON CONFLICT DO NOTHING`,
      [
        job.id,
        job.operator,
        job.type,
        job.payment,
        hash,
        statementText(job),
        job.content === undefined ? null : JSON.stringify(job.content),
        job.type === "private" ? "succeeded" : "queued",
        job.nowMs,
      ],
    );
    const [found] = await this.#rows(
      "SELECT * FROM data_jobs WHERE id = $1 OR statement_hash = $2 ORDER BY id != $1",
      job.id,
      hash,
    );
    requireSameJob(found!, job, hash);
    return dataJobOf(found!);
  }

  async find(id: string): Promise<DataJob | undefined> {
    return (await this.#rows("SELECT * FROM data_jobs WHERE id = $1", id)).map(dataJobOf)[0];
  }

  async waiting(type: SettlementType, nowMs: number): Promise<{ count: number; oldestMs?: number }> {
    const { rows } = await this.#database.query<{ n: string; oldest: string | null }>(
      `SELECT COUNT(*) AS n, MIN(created_at) AS oldest FROM data_jobs
       WHERE status IN ('queued', 'processing') AND type = $1 AND free_at <= $2`,
      [type, nowMs],
    );
    const { n = "0", oldest = null } = rows[0] ?? {};
    return { count: Number(n), ...(oldest !== null && { oldestMs: Number(oldest) }) };
  }

  async claim({ type, limit, nowMs, leaseMs }: DataClaim): Promise<DataJob[]> {
    const rows = await this.#rows(
      `WITH free AS MATERIALIZED (
         SELECT id FROM data_jobs WHERE status IN ('queued', 'processing') AND type = $1 AND free_at <= $2
         ORDER BY created_at, id LIMIT $3 FOR UPDATE SKIP LOCKED)
       UPDATE data_jobs SET status = 'processing', free_at = $4, updated_at = $2 FROM free WHERE data_jobs.id = free.id
       RETURNING data_jobs.*`,
      type,
      nowMs,
      limit,
      nowMs + leaseMs,
    );
    return rows.map(dataJobOf).sort((a, b) => a.createdAtMs - b.createdAtMs || (a.id < b.id ? -1 : 1));
  }

  async succeed(ids: readonly string[], blobId: Hex, nowMs: number): Promise<void> {
    await this.#database.query(
      `UPDATE data_jobs SET status = 'succeeded', blob_id = $2, error = NULL, updated_at = $3
       WHERE status != 'succeeded' AND id = ANY($1)`,
      [ids, blobId, nowMs],
    );
  }

  async retry(ids: readonly string[], error: string, dueMs: number, maxAttempts: number, nowMs: number): Promise<void> {
    await this.#database.query(
      `UPDATE data_jobs SET attempts = attempts + 1, status = CASE WHEN attempts + 1 >= $4 THEN 'failed' ELSE 'queued' END,
       error = $2, free_at = $3, updated_at = $5 WHERE status = 'processing' AND id = ANY($1)`,
      [ids, error, dueMs, maxAttempts, nowMs],
    );
  }

  async recordUsage({ payment, operator, amountWei, inputTokens, outputTokens, atMs }: UsageEntry): Promise<void> {
    await this.#database.query(
      `INSERT INTO usage (payment, operator, amount, input_tokens, output_tokens, at) VALUES ($1, $2, $3, $4, $5, $6)
       ON CONFLICT DO NOTHING`,
      [payment, operator, amountWei.toString(), inputTokens, outputTokens, atMs],
    );
  }

  async usage(operator: string, sinceMs: number): Promise<UsageDay[]> {
    const [payments, reports] = await Promise.all([
      this.#database.query<UsageRow>(
        `SELECT ${DAY("at")} AS day, COUNT(*) AS payments, SUM(amount)::text AS amounts, SUM(input_tokens) AS input_tokens,
         SUM(output_tokens) AS output_tokens FROM usage WHERE operator = $1 AND at >= $2 GROUP BY day`,
        [operator, sinceMs],
      ),
      this.#database.query<SettlementCountRow>(
        `SELECT ${DAY("created_at")} AS day, type, COUNT(*) AS n FROM data_jobs WHERE operator = $1 AND created_at >= $2 GROUP BY day, type`,
        [operator, sinceMs],
      ),
    ]);
    return usageDays(payments.rows, reports.rows);
  }

  async counts(): Promise<Record<DataStatus, number>> {
    const counts = { queued: 0, processing: 0, succeeded: 0, failed: 0 };
    const { rows } = await this.#database.query<{ status: DataStatus; n: string }>(
      "SELECT status, COUNT(*) AS n FROM data_jobs GROUP BY status",
    );
    for (const { status, n } of rows) counts[status] = Number(n);
    return counts;
  }

  async #rows(sql: string, ...values: unknown[]): Promise<DataJobRow[]> {
    return (await this.#database.query<DataJobRow>(sql, values)).rows;
  }
}
