import type { StatementSync } from "node:sqlite";
import type { GroupCommit } from "../../persistence/GroupCommit.ts";
import type { Hex } from "../../receipts/types.ts";

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS remote_purchases (request_id TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;`;

/** Requests whose answers were bought of nodes in other processes. The answers are theirs to keep. */
export class RemotePurchases {
  readonly #commits: GroupCommit;
  readonly #insert: StatementSync;
  readonly #find: StatementSync;

  constructor(commits: GroupCommit) {
    this.#commits = commits;
    const { database } = commits;
    database.exec(SCHEMA);
    this.#insert = database.prepare("INSERT INTO remote_purchases VALUES (?)");
    this.#find = database.prepare("SELECT 1 FROM remote_purchases WHERE request_id = ?");
  }

  has(requestId: Hex): boolean {
    return this.#find.get(requestId) !== undefined;
  }

  /** @param along is written with it, or not at all. Resolves when both are durable. */
  add(requestId: Hex, along: (() => void) | undefined): Promise<void> {
    return this.#commits.run(() => {
      this.#insert.run(requestId);
      along?.();
    });
  }
}
