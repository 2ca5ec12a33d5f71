import { PgBoss } from "pg-boss";
import type { Logger } from "pino";
import type { Hex } from "../../receipts/types.ts";
import type { Executor, PostgresDatabase } from "./PostgresDatabase.ts";

/** What a message says: this payment is due. The payment itself is in its table, which alone decides. */
interface Due {
  key: string;
}

const FREE = "payments";
const queueOf = (facilitator: Hex | undefined): string => (facilitator === undefined ? FREE : `${FREE}-${facilitator}`);

/** A message is served once, soon, or again by another facilitator when the first dies over it. */
const QUEUE = {
  policy: "standard",
  notify: true,
  expireInSeconds: 30,
  retryLimit: 3,
  retentionSeconds: 86_400,
  deleteAfterSeconds: 60,
} as const;
const MESSAGES = 50;
const POLL_SECONDS = 0.5;

/**
 * Who works on which payment, by pg-boss: one queue for payments that any facilitator can settle, whose messages go to one of them each,
 * and one for every facilitator that alone can settle some. Messages only tell where to look: leases keep two from doing the same, and
 * what a lost message would have told, the next look at the table tells.
 */
export class PaymentQueues {
  readonly #boss: PgBoss;
  readonly #known = new Map<string, Promise<void>>();

  constructor(database: PostgresDatabase, logger: Logger) {
    this.#boss = new PgBoss({
      connectionString: database.url,
      schema: `${database.schema}_queue`,
      application_name: "opengradient-facilitator-queue",
      max: 4,
      schedule: false,
      useListenNotify: true,
    });
    this.#boss.on("error", (error) => logger.warn({ err: error }, "payment queue unavailable"));
  }

  async start(): Promise<void> {
    await this.#boss.start();
    await this.#queue(FREE);
  }

  async stop(): Promise<void> {
    await this.#boss.stop({ graceful: true, timeout: 5_000 });
  }

  /** Tells whoever can settle it, once the transaction of `client` is committed. */
  async tell(client: Executor, key: string, facilitator: Hex | undefined, dueAtMs: number): Promise<void> {
    const name = queueOf(facilitator);
    await this.#queue(name);
    const due: Due = { key };
    const db = {
      executeSql: async (sql: string, values?: unknown[]) => ({ rows: (await client.query(sql, values)).rows }),
    };
    const later = dueAtMs > Date.now() ? { startAfter: new Date(dueAtMs) } : {};
    await this.#boss.send(name, due, { db, ...later });
  }

  /** Calls `listener` when there is something for `account` to look for. @returns how to stop that. */
  async listen(account: Hex, listener: () => void): Promise<() => Promise<void>> {
    const names = [FREE, queueOf(account)];
    const options = { pollingIntervalSeconds: POLL_SECONDS, batchSize: MESSAGES };
    for (const name of names) {
      await this.#queue(name);
      await this.#boss.work<Due>(name, options, () => {
        listener();
        return Promise.resolve();
      });
    }
    return async () => {
      for (const name of names) await this.#boss.offWork(name);
    };
  }

  /** Messages by queue that wait to be fetched. */
  async waiting(): Promise<Record<string, number>> {
    const queues = await this.#boss.getQueues();
    return Object.fromEntries(queues.map(({ name, queuedCount }) => [name, queuedCount]));
  }

  #queue(name: string): Promise<void> {
    const known = this.#known.get(name) ?? this.#boss.createQueue(name, QUEUE);
    this.#known.set(name, known);
    known.catch(() => this.#known.delete(name));
    return known;
  }
}
