import { closeSync, fdatasync, fdatasyncSync, fstatSync, openSync, writeSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";

/**
 * What a commit survives once it is reported.
 * - `power`: a power cut. Commits without a sync; the write-ahead log is then synced in the thread pool, while the next commit gathers.
 * - `full`: the same by SQLite's own `synchronous = FULL`, which holds the event loop for as long as the disk takes.
 * - `crash`: the end of the process by any signal, but a power cut may take the last seconds.
 */
export type Durability = "power" | "full" | "crash";

export interface GroupCommitOptions {
  /** Default "power". */
  durability?: Durability;
  /** Size that the write-ahead log is given at the start, so that syncs overwrite in place and need not grow it. Default 16 MB. */
  logBytes?: number;
}

interface Operation {
  work: () => void;
  done: (error?: Error) => void;
}

/** Pages of the write-ahead log after which SQLite moves them into the database: 16 MB. */
const CHECKPOINT_PAGES = 4_000;
const DEFAULT_LOG_BYTES = 1 << 24;

/**
 * A SQLite file whose writers share commits: whatever is added within one turn of the event loop, or while the disk still syncs, becomes one
 * transaction, and one sync. Stores that share one of these write together: what one operation does in several tables is kept whole or not.
 */
export class GroupCommit {
  readonly database: DatabaseSync;
  readonly durability: Durability;
  /** Commits and operations so far. */
  readonly stats = { commits: 0, operations: 0 };
  readonly #begin;
  readonly #commit;
  /** Descriptor of the write-ahead log; -1 where it is not synced from here. SQLite keeps no locks on that file. */
  readonly #log: number = -1;
  #waiting: Operation[] = [];
  #scheduled = false;
  #syncs = 0;
  #closed = false;

  /** @param path File, made if missing; ":memory:" for tests, which keeps nothing. */
  constructor(path: string, { durability = "power", logBytes = DEFAULT_LOG_BYTES }: GroupCommitOptions = {}) {
    this.durability = path === ":memory:" ? "crash" : durability;
    const database = (this.database = new DatabaseSync(path));
    const synchronous = this.durability === "full" ? "FULL" : "NORMAL";
    database.exec(
      `PRAGMA journal_mode = WAL; PRAGMA synchronous = ${synchronous}; PRAGMA busy_timeout = 5000;
       PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`,
    );
    this.#begin = database.prepare("BEGIN IMMEDIATE");
    this.#commit = database.prepare("COMMIT");
    if (this.durability === "crash") return;
    // opens the log, and keeps other processes from writing to it while it is grown
    database.exec("BEGIN IMMEDIATE");
    const log = openSync(`${path}-wal`, "r+");
    growLog(log, logBytes);
    database.exec("COMMIT");
    if (this.durability === "power") this.#log = log;
    else closeSync(log);
  }

  /** Whether nothing waits and everything is durable. */
  get isIdle(): boolean {
    return this.#waiting.length === 0 && this.#syncs === 0;
  }

  /**
   * Runs `work`, which only executes statements, in the next transaction.
   * @returns resolves when it is durable; rejects with what `work` threw, and then nothing of it is kept.
   */
  run(work: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      this.add(work, (error) => (error === undefined ? resolve() : reject(error)));
    });
  }

  /** The same for those who count microseconds. `work` may run again, when another operation of its transaction failed. */
  add(work: () => void, done: (error?: Error) => void): void {
    if (this.#closed) throw new Error("The database is closed");
    this.#waiting.push({ work, done });
    this.#schedule();
  }

  /** Runs `work` in a transaction of its own, at once; what waits is committed before it. Durable when it returns. */
  runNow<T>(work: () => T): T {
    this.#flush();
    const result = this.#transaction(work);
    if (this.#log >= 0) fdatasyncSync(this.#log);
    return result;
  }

  /** Commits what is waiting, and closes the file. */
  close(): void {
    if (this.#closed) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    const outcomes = this.#write(waiting);
    this.#closed = true;
    // closing moves the log into the database, with the syncs that takes
    this.database.close();
    if (this.#log >= 0) closeSync(this.#log);
    report(waiting, outcomes);
  }

  #schedule(): void {
    if (this.#scheduled || this.#syncs > 0) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      if (!this.#closed) this.#flush();
    });
  }

  #flush(): void {
    const waiting = this.#waiting;
    if (waiting.length === 0) return;
    this.#waiting = [];
    const outcomes = this.#write(waiting);
    if (this.#log < 0) {
      report(waiting, outcomes);
      return;
    }
    this.#syncs++;
    fdatasync(this.#log, (error) => {
      this.#syncs--;
      // closed meanwhile: that synced everything
      report(waiting, error !== null && !this.#closed ? waiting.map(() => error) : outcomes);
      if (this.#waiting.length > 0) this.#schedule();
    });
  }

  /** One transaction for all; if that fails, one for each, so that a bad operation undoes only itself. */
  #write(operations: readonly Operation[]): Outcomes {
    if (operations.length === 0) return undefined;
    this.stats.commits++;
    this.stats.operations += operations.length;
    try {
      this.#transaction(() => {
        for (const { work } of operations) work();
      });
      return undefined;
    } catch (error) {
      if (operations.length === 1) return [asError(error)];
      return operations.map(({ work }) => {
        try {
          this.#transaction(work);
          return undefined;
        } catch (own) {
          return asError(own);
        }
      });
    }
  }

  #transaction<T>(work: () => T): T {
    this.#begin.run();
    try {
      const result = work();
      this.#commit.run();
      return result;
    } catch (error) {
      // some errors have ended the transaction already
      if (this.database.isTransaction) this.database.exec("ROLLBACK");
      throw error;
    }
  }
}

/** By operation what it failed with, or nothing; undefined when all went well. */
type Outcomes = (Error | undefined)[] | undefined;

const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)));

function report(operations: readonly Operation[], outcomes: Outcomes): void {
  for (const [i, { done }] of operations.entries()) done(outcomes?.[i]);
}

/**
 * Appends zeros, which SQLite takes for the end of what was written, up to the size the log is to have: then the file system has nothing
 * to note down when it is synced but the data.
 */
function growLog(descriptor: number, bytes: number): void {
  const { size } = fstatSync(descriptor);
  if (size < bytes) writeSync(descriptor, Buffer.alloc(bytes - size), 0, bytes - size, size);
}
