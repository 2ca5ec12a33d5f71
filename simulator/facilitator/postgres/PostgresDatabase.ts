import { Pool, type PoolClient, type QueryResultRow } from "pg";
import type { Logger } from "pino";

export interface PostgresOptions {
  /** E.g. postgres://user:password@host:5432/database. */
  url: string;
  logger: Logger;
  /** Where the tables are. Default "opengradient". */
  schema?: string;
  /** Connections at once. Default 10. */
  connections?: number;
}

/** Whoever runs a statement: a connection in a transaction, or any connection. */
export interface Executor {
  query<Row extends QueryResultRow>(
    sql: string,
    values?: readonly unknown[],
  ): Promise<{ rows: Row[]; rowCount: number | null }>;
}

/** Refuses to be anything but a plain name: it becomes part of statements. */
const NAME = /^[a-z_][a-z0-9_]{0,49}$/;
/** Any number, the same for all facilitators: who makes the tables holds it. */
const SCHEMA_LOCK = 0x0f_ac_11;

/** A PostgreSQL database whose commits survive a power cut, whatever its administrator has set. */
export class PostgresDatabase implements Executor {
  readonly url: string;
  readonly schema: string;
  readonly #pool: Pool;

  constructor({ url, logger, schema = "opengradient", connections = 10 }: PostgresOptions) {
    if (!NAME.test(schema)) throw new RangeError(`Expected a schema name as [a-z_][a-z0-9_]*, found "${schema}"`);
    this.url = url;
    this.schema = schema;
    this.#pool = new Pool({
      connectionString: url,
      max: connections,
      application_name: "opengradient-facilitator",
      options: `-c synchronous_commit=on -c search_path=${schema}`,
      connectionTimeoutMillis: 10_000,
    });
    // a connection that breaks while nobody uses it
    this.#pool.on("error", (error) => logger.warn({ err: error }, "connection to PostgreSQL lost"));
  }

  /** Makes what is missing. Several may do so at once. */
  async create(tables: string): Promise<void> {
    await this.transaction(async (client) => {
      await client.query("SELECT pg_advisory_xact_lock($1)", [SCHEMA_LOCK]);
      await client.query(`CREATE SCHEMA IF NOT EXISTS ${this.schema}; ${tables}`);
    });
  }

  query<Row extends QueryResultRow>(
    sql: string,
    values: readonly unknown[] = [],
  ): Promise<{ rows: Row[]; rowCount: number | null }> {
    return this.#pool.query<Row>(sql, [...values]);
  }

  /** Commits what `work` did, or undoes it when it throws. */
  async transaction<T>(work: (client: PoolClient) => Promise<T>): Promise<T> {
    const client = await this.#pool.connect();
    let broken: Error | undefined;
    try {
      await client.query("BEGIN");
      const result = await work(client);
      await client.query("COMMIT");
      return result;
    } catch (error) {
      await client.query("ROLLBACK").catch((lost: Error) => (broken = lost));
      throw error;
    } finally {
      client.release(broken);
    }
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }
}
