import type { DatabaseSync } from "node:sqlite";

import { z } from "zod";

import { type FollowerStore, SqliteFollowerStore } from "../chain/FollowerStore.ts";
import { openDatabase } from "../persistence/openDatabase.ts";
import { type Hex, type SignedReceipt, signedReceiptSchema, signedReceiptToJson } from "../receipts/types.ts";
import { type ReceiptTensors, tensorsSchema, tensorsToJson } from "../receipts/tensors.ts";
import { type EscrowRequest, escrowRequestSchema, escrowRequestToJson } from "./escrowRequest.ts";

/** open: to be answered. gone: its lock was reorganised away. The others are ends. */
export type EscrowState = "open" | "fulfilled" | "refunded" | "ignored" | "gone";

/** An answer that is ready to be brought to the chain. */
export interface EscrowAnswer {
  receipt: SignedReceipt;
  /** Where the output is. */
  outputBlobId: Hex;
  /** Of a request in mode ZKML: what its proof is about, and the proof. */
  tensors?: ReceiptTensors;
}

/** A request and how far it is. */
export interface EscrowJob {
  requestId: Hex;
  request: EscrowRequest;
  state: EscrowState;
  answer?: EscrowAnswer;
  /** Why it is ignored. */
  reason?: string;
}

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS escrow_requests (
    request_id TEXT PRIMARY KEY,
    request TEXT NOT NULL,
    state TEXT NOT NULL,
    receipt TEXT,
    output_blob_id TEXT,
    reason TEXT
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS open_requests ON escrow_requests (request_id) WHERE state = 'open';
  CREATE TABLE IF NOT EXISTS escrow_tensors (
    request_id TEXT PRIMARY KEY,
    tensors TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
`;

const JOBS = "SELECT * FROM escrow_requests LEFT JOIN escrow_tensors USING (request_id)";

const rowSchema = z.object({
  request_id: z.string(),
  request: z.string(),
  state: z.enum(["open", "fulfilled", "refunded", "ignored", "gone"]),
  receipt: z.string().nullable(),
  output_blob_id: z.string().nullable(),
  reason: z.string().nullable(),
  tensors: z.string().nullable(),
});

/** The on-chain requests of one operator, and how far the chain was followed. Every method commits before it returns. */
export class EscrowStore {
  /** Where an event follower keeps its place. */
  readonly follower: FollowerStore;
  readonly #database: DatabaseSync;

  /** @param file SQLite file, made if missing; ":memory:" for none. */
  constructor(file: string) {
    this.#database = openDatabase(file, SCHEMA);
    this.follower = new SqliteFollowerStore(this.#database, "escrow");
  }

  close(): void {
    this.#database.close();
  }

  /** Adds a locked request. Known ones stay as they are, except those whose lock had gone. */
  add(requestId: Hex, request: EscrowRequest): void {
    this.#database
      .prepare(
        `INSERT INTO escrow_requests (request_id, request, state) VALUES (?, ?, 'open')
         ON CONFLICT DO UPDATE SET state = 'open' WHERE state = 'gone'`,
      )
      .run(requestId, escrowRequestToJson(request));
  }

  /** Records an answer before it is sent, so that the same goes out after a crash. */
  setAnswer(requestId: Hex, { receipt, outputBlobId, tensors }: EscrowAnswer): void {
    if (tensors !== undefined) {
      // before the receipt, without which it counts for nothing
      this.#database
        .prepare("INSERT OR REPLACE INTO escrow_tensors (request_id, tensors) VALUES (?, ?)")
        .run(requestId, JSON.stringify(tensorsToJson(tensors)));
    }
    this.#database
      .prepare("UPDATE escrow_requests SET receipt = ?, output_blob_id = ? WHERE request_id = ?")
      .run(JSON.stringify(signedReceiptToJson(receipt)), outputBlobId, requestId);
  }

  /** Without effect on requests that are not this store's. */
  setState(requestId: Hex, state: EscrowState, reason?: string): void {
    this.#database
      .prepare("UPDATE escrow_requests SET state = ?, reason = ? WHERE request_id = ?")
      .run(state, reason ?? null, requestId);
  }

  get(requestId: Hex): EscrowJob | undefined {
    const row = this.#database.prepare(`${JOBS} WHERE request_id = ?`).get(requestId);
    return row && jobOf(row);
  }

  /** Requests to be answered. */
  open(): EscrowJob[] {
    return this.#database.prepare(`${JOBS} WHERE state = 'open'`).all().map(jobOf);
  }
}

function jobOf(row: unknown): EscrowJob {
  const parsed = rowSchema.parse(row);
  const { request_id: requestId, request, state, receipt, output_blob_id: outputBlobId, reason, tensors } = parsed;
  return {
    requestId: requestId as Hex,
    request: escrowRequestSchema.parse(JSON.parse(request)),
    state,
    ...(receipt !== null &&
      outputBlobId !== null && {
        answer: {
          receipt: signedReceiptSchema.parse(JSON.parse(receipt)),
          outputBlobId: outputBlobId as Hex,
          ...(tensors !== null && { tensors: tensorsSchema.parse(JSON.parse(tensors)) }),
        },
      }),
    ...(reason !== null && { reason }),
  };
}
