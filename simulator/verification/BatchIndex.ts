import type { DatabaseSync, StatementSync } from "node:sqlite";
import { gunzipSync, gzipSync } from "node:zlib";

import { openDatabase } from "../persistence/openDatabase.ts";
import { fromHex } from "../receipts/bytes.ts";
import { batchHeaderSchema, batchHeaderToJson, type BatchHeader, type Hex } from "../receipts/types.ts";

/** right: nothing found. wrong: the contract can be shown why. unprovable: wrong, or unreadable, and it cannot. */
export type Verdict = "right" | "wrong" | "unprovable";

/** A posted batch that something remains to be done about. */
export interface BatchJob {
  batchId: Hex;
  header: BatchHeader;
  sequence: number;
  verdict: Verdict | undefined;
  /** Failed tries in a row. */
  attempts: number;
  /** Changes when the batch is to be looked at afresh; results of an older look are dropped. */
  revision: number;
}

/** Where a request was found. */
export interface RequestUse {
  requestId: Hex;
  batchId: Hex;
  leaf: number;
  /** undefined for a batch that is voted for and not posted. */
  sequence: number | undefined;
}

/** What is in a batch, once its blob has been read. */
export interface BatchContents {
  blob: Uint8Array;
  /** In leaf order. */
  requestIds: readonly Hex[];
}

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS batch(
    id INTEGER PRIMARY KEY,
    batch_id TEXT NOT NULL UNIQUE,
    operator TEXT NOT NULL,
    header TEXT NOT NULL,
    -- null while the contents are not known
    blob BLOB,
    -- the vote given, null: none
    signature TEXT,
    -- null while it is not on chain
    sequence INTEGER,
    -- rejected by the contract: its requests may settle again
    void INTEGER NOT NULL DEFAULT 0,
    verdict TEXT,
    -- Unix milliseconds, null: nothing to do
    due_at INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0,
    revision INTEGER NOT NULL DEFAULT 0
  ) STRICT;
  CREATE INDEX IF NOT EXISTS batch_due ON batch(due_at) WHERE due_at IS NOT NULL;
  CREATE INDEX IF NOT EXISTS batch_sequence ON batch(sequence);
  CREATE INDEX IF NOT EXISTS batch_unread ON batch(operator, sequence) WHERE blob IS NULL;
  CREATE TABLE IF NOT EXISTS request(
    request_id BLOB NOT NULL,
    batch INTEGER NOT NULL REFERENCES batch(id),
    leaf INTEGER NOT NULL,
    PRIMARY KEY (request_id, batch, leaf)
  ) STRICT, WITHOUT ROWID;
`;

interface BatchRow {
  batch_id: Hex;
  header: string;
  sequence: number | null;
  verdict: Verdict | null;
  attempts: number;
  revision: number;
}

/**
 * Every batch a verifier has seen posted or voted for, and the requests in it. Contents are kept, because a duplicate is proven with the earlier
 * receipt, and its operator would rather not show it again. Every call is durable when it returns.
 */
export class BatchIndex {
  /** For the tables of others; closed by `close`. */
  readonly database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  /** @param file created when it does not exist; one verifier at a time. */
  constructor(file: string) {
    this.database = openDatabase(file, SCHEMA);
  }

  close(): void {
    this.database.close();
  }

  /** A batch is on chain. Comes again after a crash, and with another sequence after a reorganisation. */
  addPosted(batchId: Hex, header: BatchHeader, sequence: number, nowMs: number): void {
    this.#addHeader(batchId, header);
    this.#run("UPDATE batch SET sequence = ? WHERE batch_id = ?", sequence, batchId);
    this.reopen(batchId, nowMs);
  }

  /** A reorganisation took it. What is known of it stays: it may come back. */
  removePosted(batchId: Hex): void {
    this.#run("UPDATE batch SET sequence = NULL, revision = revision + 1 WHERE batch_id = ?", batchId);
  }

  /** The contract has rejected it. */
  markVoid(batchId: Hex): void {
    this.#run("UPDATE batch SET void = 1, due_at = NULL WHERE batch_id = ?", batchId);
  }

  /** Keeps what is in a batch. */
  addContents(batchId: Hex, contents: BatchContents): void {
    this.#atomically(() => this.#insertContents(batchId, contents));
  }

  /** Undefined while they are not known. */
  contentsOf(batchId: Hex): { header: BatchHeader; blob: Uint8Array } | undefined {
    const row = this.#all("SELECT header, blob FROM batch WHERE batch_id = ? AND blob IS NOT NULL", batchId)[0];
    return row && { header: parseHeader(row.header as string), blob: gunzipSync(row.blob as Uint8Array) };
  }

  /** Remembers a vote and what it is for, before it leaves. */
  addVote(batchId: Hex, header: BatchHeader, signature: Hex, contents: BatchContents): void {
    this.#atomically(() => {
      this.#addHeader(batchId, header);
      this.#insertContents(batchId, contents);
      this.#run("UPDATE batch SET signature = ? WHERE batch_id = ?", signature, batchId);
    });
  }

  voteOn(batchId: Hex): Hex | undefined {
    const row = this.#all("SELECT signature FROM batch WHERE batch_id = ? AND signature IS NOT NULL", batchId)[0];
    return row?.signature as Hex | undefined;
  }

  /** Other batches of `operator` with one of these requests, that are on chain or voted for, in the order of the requests. */
  findUses(operator: Hex, requestIds: readonly Hex[], exceptBatch: Hex): RequestUse[] {
    const sql = `SELECT batch_id, leaf, sequence FROM request JOIN batch ON batch = id
      WHERE request_id = ? AND operator = ? AND batch_id <> ? AND void = 0 AND (sequence IS NOT NULL OR signature IS NOT NULL)`;
    return requestIds.flatMap((requestId) =>
      this.#all(sql, fromHex(requestId, 32), operator, exceptBatch).map((row) => ({
        requestId,
        batchId: row.batch_id as Hex,
        leaf: row.leaf as number,
        sequence: (row.sequence as number | null) ?? undefined,
      })),
    );
  }

  /** Sequence of the last batch seen on chain, 0 before the first. */
  get lastSequence(): number {
    return (this.#all("SELECT max(sequence) AS last FROM batch")[0]?.last as number | null) ?? 0;
  }

  /**
   * The last sequence number up to which an operator's batches can be searched for duplicates: before its first batch whose contents are not
   * known, or before all that are yet to come.
   */
  searchable(operator: Hex): number {
    const sql = "SELECT min(sequence) AS first FROM batch WHERE operator = ? AND blob IS NULL AND void = 0";
    const first = this.#all(sql, operator)[0]?.first as number | null;
    return first === null ? this.lastSequence : first - 1;
  }

  /** What is to be done now, longest due first. */
  due(nowMs: number, limit: number): BatchJob[] {
    const sql = `SELECT batch_id, header, sequence, verdict, attempts, revision FROM batch
      WHERE due_at <= ? AND sequence IS NOT NULL ORDER BY due_at LIMIT ?`;
    return this.#all(sql, nowMs, limit).map((row) => jobOf(row as unknown as BatchRow));
  }

  /** When the next job after `nowMs` is due, Unix milliseconds. */
  nextDueMs(nowMs: number): number | undefined {
    const sql = "SELECT min(due_at) AS next FROM batch WHERE due_at > ? AND sequence IS NOT NULL";
    return (this.#all(sql, nowMs)[0]?.next as number | null) ?? undefined;
  }

  /** Remembers what was found, and when to act on it. */
  judge({ batchId, revision }: BatchJob, verdict: Verdict, dueAtMs: number): void {
    const sql = "UPDATE batch SET verdict = ?, attempts = 0, due_at = ? WHERE batch_id = ? AND revision = ?";
    this.#run(sql, verdict, dueAtMs, batchId, revision);
  }

  /** Counts a failed try. */
  postpone({ batchId, revision }: BatchJob, dueAtMs: number): void {
    const sql = "UPDATE batch SET attempts = attempts + 1, due_at = ? WHERE batch_id = ? AND revision = ?";
    this.#run(sql, Math.ceil(dueAtMs), batchId, revision);
  }

  /** Nothing remains to be done. */
  finish({ batchId, revision }: BatchJob): void {
    this.#run("UPDATE batch SET due_at = NULL WHERE batch_id = ? AND revision = ?", batchId, revision);
  }

  /** Has a batch judged again: something new may be wrong with it. */
  reopen(batchId: Hex, nowMs: number): void {
    this.#run(
      "UPDATE batch SET void = 0, verdict = NULL, attempts = 0, due_at = ?, revision = revision + 1 WHERE batch_id = ?",
      nowMs,
      batchId,
    );
  }

  /** Has a batch looked at again: something has happened to it on chain. */
  wake(batchId: Hex, nowMs: number): void {
    const sql = "UPDATE batch SET void = 0, attempts = 0, due_at = ?, revision = revision + 1 WHERE batch_id = ?";
    this.#run(sql, nowMs, batchId);
  }

  /** Tries again now to read what could not be read of an operator's batches. */
  hurry(operator: Hex, nowMs: number): void {
    this.#run("UPDATE batch SET due_at = ? WHERE operator = ? AND blob IS NULL AND due_at > ?", nowMs, operator, nowMs);
  }

  /** Batches on chain, those with something left to do, those whose contents are not known; votes given; requests known. */
  counts(): { posted: number; open: number; unread: number; votes: number; requests: number } {
    const one = (sql: string): number => this.#all(sql)[0]?.n as number;
    return {
      posted: one("SELECT count(*) AS n FROM batch WHERE sequence IS NOT NULL"),
      open: one("SELECT count(*) AS n FROM batch WHERE sequence IS NOT NULL AND due_at IS NOT NULL"),
      unread: one("SELECT count(*) AS n FROM batch WHERE sequence IS NOT NULL AND blob IS NULL AND void = 0"),
      votes: one("SELECT count(*) AS n FROM batch WHERE signature IS NOT NULL"),
      requests: one("SELECT count(*) AS n FROM request"),
    };
  }

  #addHeader(batchId: Hex, header: BatchHeader): void {
    this.#run(
      "INSERT OR IGNORE INTO batch(batch_id, operator, header) VALUES (?, ?, ?)",
      batchId,
      header.operator,
      JSON.stringify(batchHeaderToJson(header)),
    );
  }

  #insertContents(batchId: Hex, { blob, requestIds }: BatchContents): void {
    const id = this.#all("SELECT id FROM batch WHERE batch_id = ? AND blob IS NULL", batchId)[0]?.id as number;
    if (id === undefined) return;
    this.#run("UPDATE batch SET blob = ? WHERE id = ?", gzipSync(blob), id);
    for (const [leaf, requestId] of requestIds.entries()) {
      this.#run("INSERT INTO request(request_id, batch, leaf) VALUES (?, ?, ?)", fromHex(requestId, 32), id, leaf);
    }
  }

  #prepare(sql: string): StatementSync {
    const statement = this.#statements.get(sql) ?? this.database.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }

  #all(sql: string, ...values: (string | number | Uint8Array)[]): Record<string, unknown>[] {
    return this.#prepare(sql).all(...values);
  }

  #run(sql: string, ...values: (string | number | null | Uint8Array)[]): void {
    this.#prepare(sql).run(...values);
  }

  #atomically(work: () => void): void {
    this.database.exec("SAVEPOINT batch_index");
    try {
      work();
    } catch (error) {
      this.database.exec("ROLLBACK TO batch_index");
      throw error;
    } finally {
      this.database.exec("RELEASE batch_index");
    }
  }
}

const parseHeader = (json: string): BatchHeader => batchHeaderSchema.parse(JSON.parse(json));

function jobOf({ batch_id: batchId, header, sequence, verdict, ...rest }: BatchRow): BatchJob {
  const { attempts, revision } = rest;
  return {
    batchId,
    header: parseHeader(header),
    sequence: sequence!,
    verdict: verdict ?? undefined,
    attempts,
    revision,
  };
}
