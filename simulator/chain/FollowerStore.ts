import type { DatabaseSync, StatementSync } from "node:sqlite";

import { z } from "zod";

import type { Hex } from "../receipts/types.ts";
import type { FollowedLog } from "./eventSource.ts";

/** A block a follower has looked at. */
export interface FollowedBlock {
  readonly number: number;
  readonly hash: string;
  /** False while some of its logs are not handed over yet. */
  readonly complete: boolean;
  /** Logs handed over, in order. */
  readonly logs: readonly FollowedLog[];
}

/** What a follower must not forget: how far it is, and the last blocks' hashes and logs in case they are reorganised away. */
export interface FollowerStore {
  /** Ascending by number. */
  load(): FollowedBlock[];
  /** A log was handed over. */
  addLog(log: FollowedLog): void;
  /** A removed log was handed over as such. */
  removeLog(log: FollowedLog): void;
  /** Everything up to this block is handed over. */
  complete(block: { number: number; hash: string }): void;
  /** The block is no longer part of the chain, and its logs are handed over as removed. */
  removeBlock(block: { number: number }): void;
  /** Blocks below `number` are too old to be reorganised. */
  prune(number: number): void;
}

const logSchema = z.object({
  address: z.string().transform((address) => address as Hex),
  topics: z.array(z.string()),
  data: z.string(),
  blockNumber: z.number(),
  blockHash: z.string(),
  transactionHash: z.string(),
  logIndex: z.number(),
});

const blockRow = z.object({ number: z.number(), hash: z.string(), complete: z.number() });
const logRow = z.object({ log: z.string() });

/** Keeps a follower's state in SQLite, under the follower's name; several followers and other tables may share the database. */
export class SqliteFollowerStore implements FollowerStore {
  readonly #name: string;
  readonly #database: DatabaseSync;
  readonly #statements: Record<"log" | "block" | "unlog" | "finish" | "removeLogs" | "removeBlock", StatementSync>;

  constructor(database: DatabaseSync, name: string) {
    this.#name = name;
    this.#database = database;
    database.exec(`
      CREATE TABLE IF NOT EXISTS followed_block (
        follower TEXT, number INTEGER, hash TEXT NOT NULL, complete INTEGER NOT NULL,
        PRIMARY KEY (follower, number)
      ) WITHOUT ROWID;
      CREATE TABLE IF NOT EXISTS followed_log (
        follower TEXT, number INTEGER, log_index INTEGER, log TEXT NOT NULL,
        PRIMARY KEY (follower, number, log_index)
      ) WITHOUT ROWID;`);
    this.#statements = {
      block: database.prepare(
        "INSERT INTO followed_block VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET hash = ?3, complete = max(complete, ?4)",
      ),
      log: database.prepare("INSERT OR REPLACE INTO followed_log VALUES (?, ?, ?, ?)"),
      unlog: database.prepare("DELETE FROM followed_log WHERE follower = ? AND number = ? AND log_index = ?"),
      finish: database.prepare("UPDATE followed_block SET complete = 1 WHERE follower = ? AND number < ?"),
      removeLogs: database.prepare("DELETE FROM followed_log WHERE follower = ? AND number >= ? AND number < ?"),
      removeBlock: database.prepare("DELETE FROM followed_block WHERE follower = ? AND number >= ? AND number < ?"),
    };
  }

  load(): FollowedBlock[] {
    const blocks = this.#database
      .prepare("SELECT number, hash, complete FROM followed_block WHERE follower = ? ORDER BY number")
      .all(this.#name);
    const logsOf = this.#database.prepare(
      "SELECT log FROM followed_log WHERE follower = ? AND number = ? ORDER BY log_index",
    );
    return blocks.map((row) => {
      const { number, hash, complete } = blockRow.parse(row);
      const logs = logsOf.all(this.#name, number).map((each) => logSchema.parse(JSON.parse(logRow.parse(each).log)));
      return { number, hash, complete: complete === 1, logs };
    });
  }

  addLog(log: FollowedLog): void {
    this.#atomically(() => {
      this.#statements.block.run(this.#name, log.blockNumber, log.blockHash, 0);
      this.#statements.log.run(this.#name, log.blockNumber, log.logIndex, JSON.stringify(log));
    });
  }

  removeLog({ blockNumber, logIndex }: FollowedLog): void {
    this.#statements.unlog.run(this.#name, blockNumber, logIndex);
  }

  complete({ number, hash }: { number: number; hash: string }): void {
    this.#atomically(() => {
      this.#statements.block.run(this.#name, number, hash, 1);
      this.#statements.finish.run(this.#name, number);
    });
  }

  removeBlock({ number }: { number: number }): void {
    this.#delete(number, number + 1);
  }

  prune(number: number): void {
    this.#delete(0, number);
  }

  #delete(from: number, end: number): void {
    this.#atomically(() => {
      this.#statements.removeLogs.run(this.#name, from, end);
      this.#statements.removeBlock.run(this.#name, from, end);
    });
  }

  /**
   * In a transaction of its own, the commit waits for no fsync: what a power cut takes back is delivered again, which a crash between a handler and
   * its log's commit can do anyway.
   */
  #atomically(work: () => void): void {
    const alone = !this.#database.isTransaction;
    if (alone) this.#database.exec("PRAGMA synchronous = NORMAL");
    this.#database.exec("SAVEPOINT follower");
    try {
      work();
    } catch (error) {
      this.#database.exec("ROLLBACK TO follower");
      throw error;
    } finally {
      this.#database.exec("RELEASE follower");
      if (alone) this.#database.exec("PRAGMA synchronous = FULL");
    }
  }
}
