import type { StatementSync } from "node:sqlite";

import { GroupCommit } from "../persistence/GroupCommit.ts";
import type { PaidKind } from "../receipts/hashes.ts";
import { type Hex, type SignedReceipt, signedReceiptSchema, signedReceiptToJson } from "../receipts/types.ts";
import type { BatchPlace, ReceiptSource, StoredReceipt } from "../settlement/ReceiptSource.ts";
import { type ReceiptPlace, ReceiptPlaces } from "./ReceiptPlaces.ts";
import { type AnswerTensors, MAY_SETTLE, parseTensors, ProofStore } from "./zk/ProofStore.ts";

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
  /** Of a zk model's answer. In mode ZKML its receipt settles once it is proven. */
  tensors?: AnswerTensors;
}

export interface AddOptions {
  /** The receipt as JSON, where it is at hand. */
  receiptJson?: string;
  /** Statements that are kept together with the answer, or not at all. */
  along?: (() => void) | undefined;
  /** Whether its receipt is to be in a batch of its own. Default false. */
  individual?: boolean;
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
  CREATE INDEX IF NOT EXISTS unbatched ON answers (sequence) WHERE batch_id IS NULL;
  -- Beside the answers, since few ask for it.
  CREATE TABLE IF NOT EXISTS individual (
    request_id TEXT PRIMARY KEY,
    waiting INTEGER NOT NULL DEFAULT 1
  ) STRICT;
  CREATE INDEX IF NOT EXISTS waiting_individual ON individual (request_id) WHERE waiting = 1;`;

/** Those whose proof is still to come may not settle. */
const WAITING = `
  SELECT receipt, stored_at_ms, tensors FROM answers LEFT JOIN tensors USING (request_id)
  WHERE batch_id IS NULL AND ${MAY_SETTLE}`;

interface UnbatchedRow {
  receipt: string;
  stored_at_ms: number;
  tensors: string | null;
}

interface AnswerRow {
  kind: PaidKind;
  body_hash: string;
  streamed: number;
  content: string;
  receipt: string;
}

/**
 * A node's answers and the outbox of their receipts, in one SQLite file. What `add` has resolved for survives a power cut; answers that
 * come at the same time share a commit, and so the cost of its sync.
 */
export class ReceiptStore implements ReceiptSource {
  /** Proofs of what was answered in mode ZKML. */
  readonly proofs: ProofStore;
  readonly #commits: GroupCommit;
  readonly #insert: StatementSync;
  readonly #find: StatementSync;
  readonly #unbatched: StatementSync;
  readonly #individual: StatementSync;
  readonly #setApart: StatementSync;
  readonly #mark: StatementSync;
  readonly #take: StatementSync;
  readonly #places: ReceiptPlaces;
  readonly #listeners = new Set<() => void>();
  readonly #owned: boolean;
  #announcing = false;

  /** @param place File, made if missing; ":memory:" for tests; or a database that others write to as well, and close. */
  constructor(place: string | GroupCommit) {
    this.#owned = typeof place === "string";
    this.#commits = typeof place === "string" ? new GroupCommit(place) : place;
    const { database } = this.#commits;
    database.exec(SCHEMA);
    this.proofs = new ProofStore(this.#commits);
    this.#insert = database.prepare(
      "INSERT INTO answers (request_id, kind, body_hash, streamed, content, receipt, stored_at_ms) VALUES (?, ?, ?, ?, ?, ?, ?)",
    );
    this.#find = database.prepare(
      "SELECT kind, body_hash, streamed, content, receipt FROM answers WHERE request_id = ?",
    );
    const apart = "(SELECT request_id FROM individual WHERE waiting = 1)";
    this.#unbatched = database.prepare(`${WAITING} AND request_id NOT IN ${apart} ORDER BY answers.sequence LIMIT ?`);
    this.#individual = database.prepare(`${WAITING} AND request_id IN ${apart} ORDER BY answers.sequence LIMIT ?`);
    this.#setApart = database.prepare("INSERT INTO individual (request_id) VALUES (?)");
    this.#mark = database.prepare("UPDATE answers SET batch_id = ? WHERE request_id = ?");
    this.#take = database.prepare("UPDATE individual SET waiting = 0 WHERE request_id = ?");
    this.#places = new ReceiptPlaces(database);
  }

  /**
   * Stores an answer and puts its receipt into the outbox. Durable when it resolves; rejects when the request has an answer.
   */
  add(answer: StoredAnswer, options: AddOptions = {}): Promise<void> {
    const { receiptJson = JSON.stringify(signedReceiptToJson(answer.receipt)), along, individual = false } = options;
    const { kind, bodyHash, streamed, content, receipt, tensors } = answer;
    const { requestId } = receipt.receipt;
    const storedAtMs = Date.now();
    return new Promise((resolve, reject) => {
      this.#commits.add(
        () => {
          this.#insert.run(requestId, kind, bodyHash, streamed ? 1 : 0, content, receiptJson, storedAtMs);
          if (individual) this.#setApart.run(requestId);
          if (tensors !== undefined) this.proofs.insert(requestId, tensors);
          along?.();
        },
        (error) => {
          if (error !== undefined) {
            reject(error);
            return;
          }
          resolve();
          this.#announce();
        },
      );
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

  /** Without those whose proof is still to come. */
  unbatched(limit: number): StoredReceipt[] {
    return waiting(this.#unbatched, limit);
  }

  individual(limit: number): StoredReceipt[] {
    return waiting(this.#individual, limit);
  }

  /** Tells the settler that a receipt may settle now, since its proof is there. */
  announceProof(): void {
    this.#announce();
  }

  markBatched(requestIds: readonly Hex[], batchId: Hex): void {
    this.#commits.runNow(() => {
      for (const requestId of requestIds) {
        this.#mark.run(batchId, requestId);
        this.#take.run(requestId);
      }
    });
  }

  markPlaced(place: BatchPlace): void {
    this.#commits.runNow(() => this.#places.write(place));
  }

  /** How far the settlement of an answer's receipt has come; undefined for a request without an answer. */
  placeOf(requestId: Hex): ReceiptPlace | undefined {
    return this.#places.of(requestId);
  }

  /** Calls `listener` after each commit that added receipts. Returns a function that ends it. */
  onAdded(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Commits what is waiting and closes the file, unless others use it. */
  close(): void {
    if (this.#owned) this.#commits.close();
  }

  /** Once for all answers of a commit. */
  #announce(): void {
    if (this.#announcing || this.#listeners.size === 0) return;
    this.#announcing = true;
    queueMicrotask(() => {
      this.#announcing = false;
      for (const listener of this.#listeners) listener();
    });
  }
}

function waiting(statement: StatementSync, limit: number): StoredReceipt[] {
  const rows = statement.all(limit) as unknown as UnbatchedRow[];
  return rows.map(({ receipt, stored_at_ms: storedAtMs, tensors }) => ({
    ...parseReceipt(receipt),
    storedAtMs,
    ...(tensors !== null && { tensors: parseTensors(tensors) }),
  }));
}

function parseReceipt(json: string): SignedReceipt {
  return signedReceiptSchema.parse(JSON.parse(json));
}
