import type { DatabaseSync } from "node:sqlite";

import { openDatabase } from "../persistence/openDatabase.ts";
import { batchHeaderSchema, batchHeaderToJson, bytes32Schema, type BatchHeader, type Hex } from "../receipts/types.ts";
import { tensorReceiptSchema, tensorReceiptToJson } from "../receipts/tensors.ts";
import { decodeBatchBlob } from "./batchBlob.ts";
import type { StoredReceipt } from "./ReceiptSource.ts";

/**
 * stored: the batch exists, and may be on chain already. submitted: seen on chain, not final. abandoned: the chain can never take it; its
 * receipts went back.
 */
export type BatchState = "stored" | "submitted" | "final" | "rejected" | "abandoned";

export interface NewBatch {
  batchId: Hex;
  header: BatchHeader;
  royalties: readonly bigint[];
  blob: Uint8Array;
  /** When the answers became durable, Unix milliseconds, for reports. */
  servedAtMs: readonly number[];
  storedAtMs: number;
}

export interface StoredBatch extends NewBatch {
  state: BatchState;
  submittedAtMs: number | undefined;
  endedAtMs: number | undefined;
}

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS batches(
    batch_id TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    header TEXT NOT NULL,
    royalties TEXT NOT NULL,
    blob BLOB NOT NULL,
    served_at_ms TEXT NOT NULL,
    stored_at_ms INTEGER NOT NULL,
    submitted_at_ms INTEGER,
    ended_at_ms INTEGER
  ) STRICT;
  CREATE INDEX IF NOT EXISTS batches_by_state ON batches(state, stored_at_ms);
  -- The primary key is what keeps a receipt out of a second batch.
  CREATE TABLE IF NOT EXISTS batch_receipts(
    request_id TEXT PRIMARY KEY,
    batch_id TEXT NOT NULL REFERENCES batches(batch_id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS receipts_by_batch ON batch_receipts(batch_id);
  CREATE TABLE IF NOT EXISTS returned_receipts(request_id TEXT PRIMARY KEY, receipt TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS refused_receipts(request_id TEXT PRIMARY KEY, reason TEXT NOT NULL) STRICT, WITHOUT ROWID;
`;

interface BatchRow {
  batch_id: string;
  state: BatchState;
  header: string;
  royalties: string;
  blob: Uint8Array;
  served_at_ms: string;
  stored_at_ms: number;
  submitted_at_ms: number | null;
  ended_at_ms: number | null;
}

/** The batches of one operator. Every call is durable when it returns. */
export class BatchStore {
  readonly #database: DatabaseSync;

  /** @param file created when it does not exist; one settler at a time. */
  constructor(file: string) {
    this.#database = openDatabase(file, SCHEMA);
  }

  /** Stores a batch and takes its receipts, all or nothing. @throws when one of them is in a batch already. */
  insert(batch: NewBatch, requestIds: readonly Hex[]): void {
    this.#transaction(() => {
      this.#database
        .prepare(
          `INSERT INTO batches(batch_id, state, header, royalties, blob, served_at_ms, stored_at_ms)
           VALUES (?, 'stored', ?, ?, ?, ?, ?)`,
        )
        .run(
          batch.batchId,
          JSON.stringify(batchHeaderToJson(batch.header)),
          JSON.stringify(batch.royalties.map(String)),
          batch.blob,
          JSON.stringify(batch.servedAtMs),
          batch.storedAtMs,
        );
      const take = this.#database.prepare("INSERT INTO batch_receipts(request_id, batch_id) VALUES (?, ?)");
      const drop = this.#database.prepare("DELETE FROM returned_receipts WHERE request_id = ?");
      for (const requestId of requestIds) {
        take.run(requestId, batch.batchId);
        drop.run(requestId);
      }
    });
  }

  /** The batch that has taken a receipt. */
  batchOf(requestId: Hex): Hex | undefined {
    const row = this.#database.prepare("SELECT batch_id FROM batch_receipts WHERE request_id = ?").get(requestId);
    return row && bytes32Schema.parse(row.batch_id);
  }

  /** Request ids that a batch has taken. */
  requestIdsOf(batchId: Hex): Hex[] {
    const rows = this.#database.prepare("SELECT request_id FROM batch_receipts WHERE batch_id = ?").all(batchId);
    return rows.map((row) => bytes32Schema.parse(row.request_id));
  }

  get(batchId: Hex): StoredBatch | undefined {
    const row = this.#database.prepare("SELECT * FROM batches WHERE batch_id = ?").get(batchId);
    return row && batchOfRow(row as unknown as BatchRow);
  }

  /** Batches that are not at an end, oldest first. */
  open(): StoredBatch[] {
    const rows = this.#database
      .prepare("SELECT * FROM batches WHERE state IN ('stored', 'submitted') ORDER BY stored_at_ms, batch_id")
      .all();
    return rows.map((row) => batchOfRow(row as unknown as BatchRow));
  }

  /** Number of batches by state. */
  counts(): Record<BatchState, number> {
    const counts = { stored: 0, submitted: 0, final: 0, rejected: 0, abandoned: 0 };
    for (const row of this.#database.prepare("SELECT state, count(*) AS n FROM batches GROUP BY state").iterate()) {
      counts[row.state as BatchState] = row.n as number;
    }
    return counts;
  }

  /** Seen on chain. @returns whether that is news. */
  markSubmitted(batchId: Hex, atMs: number): boolean {
    const { changes } = this.#database
      .prepare("UPDATE batches SET state = 'submitted', submitted_at_ms = ? WHERE batch_id = ? AND state = 'stored'")
      .run(atMs, batchId);
    return Number(changes) === 1;
  }

  /** No longer on chain: a reorganisation took it. */
  markStored(batchId: Hex): void {
    this.#database
      .prepare("UPDATE batches SET state = 'stored', submitted_at_ms = NULL WHERE batch_id = ? AND state = 'submitted'")
      .run(batchId);
  }

  markEnded(batchId: Hex, state: "final" | "rejected", atMs: number): void {
    this.#database
      .prepare(
        `UPDATE batches SET state = ?, ended_at_ms = ?, submitted_at_ms = coalesce(submitted_at_ms, ?)
         WHERE batch_id = ? AND state IN ('stored', 'submitted')`,
      )
      .run(state, atMs, atMs, batchId);
  }

  /** Gives a batch up that the chain can never take; its receipts become available through `returned`. */
  abandon(batchId: Hex, atMs: number): void {
    const batch = this.get(batchId);
    if (batch?.state !== "stored") return;
    const taken = new Set(this.requestIdsOf(batchId));
    this.#transaction(() => {
      this.#database
        .prepare("UPDATE batches SET state = 'abandoned', ended_at_ms = ? WHERE batch_id = ?")
        .run(atMs, batchId);
      this.#database.prepare("DELETE FROM batch_receipts WHERE batch_id = ?").run(batchId);
      const give = this.#database.prepare("INSERT OR IGNORE INTO returned_receipts(request_id, receipt) VALUES (?, ?)");
      for (const signed of decodeBatchBlob(batch.blob).receipts) {
        const { requestId } = signed.receipt;
        if (taken.has(requestId)) give.run(requestId, JSON.stringify(tensorReceiptToJson(signed)));
      }
    });
  }

  /** Receipts of abandoned batches that no other batch has taken yet. */
  returned(limit: number): StoredReceipt[] {
    const rows = this.#database.prepare("SELECT receipt FROM returned_receipts ORDER BY rowid LIMIT ?").all(limit);
    return rows.map((row) => tensorReceiptSchema.parse(JSON.parse(row.receipt as string)));
  }

  /** Remembers a receipt that no batch may take. */
  refuse(requestId: Hex, reason: string): void {
    this.#transaction(() => {
      this.#database
        .prepare("INSERT OR IGNORE INTO refused_receipts(request_id, reason) VALUES (?, ?)")
        .run(requestId, reason);
      this.#database.prepare("DELETE FROM returned_receipts WHERE request_id = ?").run(requestId);
    });
  }

  refusalOf(requestId: Hex): string | undefined {
    const row = this.#database.prepare("SELECT reason FROM refused_receipts WHERE request_id = ?").get(requestId);
    return row?.reason as string | undefined;
  }

  refusedCount(): number {
    return this.#database.prepare("SELECT count(*) AS n FROM refused_receipts").get()!.n as number;
  }

  close(): void {
    this.#database.close();
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

function batchOfRow(row: BatchRow): StoredBatch {
  return {
    batchId: bytes32Schema.parse(row.batch_id),
    state: row.state,
    header: batchHeaderSchema.parse(JSON.parse(row.header)),
    royalties: (JSON.parse(row.royalties) as string[]).map(BigInt),
    blob: row.blob,
    servedAtMs: JSON.parse(row.served_at_ms) as number[],
    storedAtMs: row.stored_at_ms,
    submittedAtMs: row.submitted_at_ms ?? undefined,
    endedAtMs: row.ended_at_ms ?? undefined,
  };
}
