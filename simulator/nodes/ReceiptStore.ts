import type { DatabaseSync, StatementSync } from "node:sqlite";

import { openDatabase } from "../persistence/openDatabase.ts";
import type { PaidKind } from "../receipts/hashes.ts";
import { type Hex, type SignedReceipt, signedReceiptSchema, signedReceiptToJson } from "../receipts/types.ts";
import type { ReceiptSource, StoredReceipt } from "../settlement/ReceiptSource.ts";

/** An answer as it left, or will leave, the node. */
export interface StoredAnswer {
  kind: PaidKind;
  /** SHA-256 of the request's body, hexadecimal. */
  bodyHash: string;
  /** Whether `content` is a whole event stream rather than a JSON body. */
  streamed: boolean;
  /** Of a sealed answer, lines of base64: what is stored is as little readable as what is sent. */
  content: string;
  receipt: SignedReceipt;
}

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS answers (
    sequence INTEGER PRIMARY KEY,
    request_id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    body_hash TEXT NOT NULL,
    streamed INTEGER NOT NULL,
    content TEXT NOT NULL,
    receipt TEXT NOT NULL,
    stored_at_ms INTEGER NOT NULL,
    batch_id TEXT
  ) STRICT;
  CREATE INDEX IF NOT EXISTS unbatched ON answers (sequence) WHERE batch_id IS NULL;`;

interface AnswerRow {
  kind: PaidKind;
  body_hash: string;
  streamed: number;
  content: string;
  receipt: string;
}

interface Waiting {
  answer: StoredAnswer;
  resolve: () => void;
  reject: (error: unknown) => void;
}

/**
 * A node's answers and the outbox of their receipts, in one SQLite file. What `add` has resolved for survives a power cut (WAL with
 * `synchronous = FULL`); answers that come within one turn of the event loop share a commit, and so the cost of its fsync.
 */
export class ReceiptStore implements ReceiptSource {
  readonly #database: DatabaseSync;
  readonly #insert: StatementSync;
  readonly #find: StatementSync;
  readonly #unbatched: StatementSync;
  readonly #mark: StatementSync;
  readonly #listeners = new Set<() => void>();
  #waiting: Waiting[] = [];

  /** @param path File, made if missing; ":memory:" for tests. */
  constructor(path: string) {
    this.#database = openDatabase(path, SCHEMA);
    this.#insert = this.#database.prepare(
      "INSERT INTO answers (request_id, kind, body_hash, streamed, content, receipt, stored_at_ms) VALUES (?, ?, ?, ?, ?, ?, ?)",
    );
    this.#find = this.#database.prepare(
      "SELECT kind, body_hash, streamed, content, receipt FROM answers WHERE request_id = ?",
    );
    this.#unbatched = this.#database.prepare(
      "SELECT receipt, stored_at_ms FROM answers WHERE batch_id IS NULL ORDER BY sequence LIMIT ?",
    );
    this.#mark = this.#database.prepare("UPDATE answers SET batch_id = ? WHERE request_id = ?");
  }

  /** Stores an answer and puts its receipt into the outbox. Durable when it resolves; rejects when the request has an answer. */
  add(answer: StoredAnswer): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.push({ answer, resolve, reject }) === 1) setImmediate(() => this.#flush());
    });
  }

  /** The answer given to a request, or undefined. */
  find(requestId: Hex): StoredAnswer | undefined {
    const row = this.#find.get(requestId) as AnswerRow | undefined;
    return (
      row && {
        kind: row.kind,
        bodyHash: row.body_hash,
        streamed: row.streamed === 1,
        content: row.content,
        receipt: parseReceipt(row.receipt),
      }
    );
  }

  unbatched(limit: number): StoredReceipt[] {
    const rows = this.#unbatched.all(limit) as unknown as { receipt: string; stored_at_ms: number }[];
    return rows.map((row) => ({ ...parseReceipt(row.receipt), storedAtMs: row.stored_at_ms }));
  }

  markBatched(requestIds: readonly Hex[], batchId: Hex): void {
    this.#transaction(() => {
      for (const requestId of requestIds) this.#mark.run(batchId, requestId);
    });
  }

  /** Calls `listener` after each commit that added receipts. Returns a function that ends it. */
  onAdded(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Commits what is waiting and closes the file. */
  close(): void {
    this.#flush();
    this.#database.close();
  }

  #flush(): void {
    const waiting = this.#waiting;
    if (waiting.length === 0) return;
    this.#waiting = [];
    const failures = new Map<Waiting, unknown>();
    try {
      this.#transaction(() => {
        for (const item of waiting) {
          // A failed insert undoes only itself; the others of the turn are committed.
          try {
            this.#insertAnswer(item.answer);
          } catch (error) {
            failures.set(item, error);
          }
        }
      });
    } catch (error) {
      for (const { reject } of waiting) reject(error);
      return;
    }
    for (const item of waiting) {
      if (failures.has(item)) item.reject(failures.get(item));
      else item.resolve();
    }
    for (const listener of this.#listeners) listener();
  }

  #insertAnswer({ kind, bodyHash, streamed, content, receipt }: StoredAnswer): void {
    const json = JSON.stringify(signedReceiptToJson(receipt));
    this.#insert.run(receipt.receipt.requestId, kind, bodyHash, streamed ? 1 : 0, content, json, Date.now());
  }

  #transaction(work: () => void): void {
    this.#database.exec("BEGIN IMMEDIATE");
    try {
      work();
      this.#database.exec("COMMIT");
    } catch (error) {
      this.#database.exec("ROLLBACK");
      throw error;
    }
  }
}

function parseReceipt(json: string): SignedReceipt {
  return signedReceiptSchema.parse(JSON.parse(json));
}
