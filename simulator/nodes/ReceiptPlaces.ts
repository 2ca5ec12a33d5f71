import type { DatabaseSync, StatementSync } from "node:sqlite";

import type { Hex } from "../receipts/types.ts";
import type { BatchPlace } from "../settlement/ReceiptSource.ts";

/** How far the settlement of an answer's receipt has come, and where it is. waiting: in no batch. batched: its batch is on its way. */
export type ReceiptPlace = { state: "waiting" } | { state: "batched"; batchId: Hex } | BatchPlace;

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS placed_batches (
    batch_id TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    blob_id TEXT NOT NULL,
    tx_hash TEXT
  ) STRICT, WITHOUT ROWID;`;

interface PlaceRow {
  batch_id: Hex | null;
  state: BatchPlace["state"] | null;
  blob_id: Hex;
  tx_hash: Hex | null;
}

/** Which batch a node's receipts are in, and where that is: written by the settler, read by who is asked for it. */
export class ReceiptPlaces {
  readonly #write: StatementSync;
  readonly #read: StatementSync;

  /** @param database has the table `answers` already. */
  constructor(database: DatabaseSync) {
    database.exec(SCHEMA);
    this.#write = database.prepare(
      `INSERT INTO placed_batches(batch_id, state, blob_id, tx_hash) VALUES (?, ?, ?, ?)
       ON CONFLICT (batch_id) DO UPDATE SET state = excluded.state, tx_hash = coalesce(excluded.tx_hash, tx_hash)`,
    );
    this.#read = database.prepare(
      `SELECT answers.batch_id, state, blob_id, tx_hash
       FROM answers LEFT JOIN placed_batches USING (batch_id) WHERE request_id = ?`,
    );
  }

  write({ batchId, state, blobId, transaction }: BatchPlace): void {
    this.#write.run(batchId, state, blobId, transaction ?? null);
  }

  /** undefined for a request without an answer. */
  of(requestId: Hex): ReceiptPlace | undefined {
    const row = this.#read.get(requestId) as PlaceRow | undefined;
    if (row === undefined) return undefined;
    const { batch_id: batchId, state, blob_id: blobId, tx_hash: transaction } = row;
    if (batchId === null) return { state: "waiting" };
    if (state === null) return { state: "batched", batchId };
    return { state, batchId, blobId, transaction: transaction ?? undefined };
  }
}
