import type { StatementSync } from "node:sqlite";

import type { GroupCommit } from "../../persistence/GroupCommit.ts";
import { type ReceiptTensors, tensorsSchema, tensorsToJson, type TensorProof } from "../../receipts/tensors.ts";
import type { Hex } from "../../receipts/types.ts";

/** What is kept of a zk model's answer besides its receipt. */
export interface AnswerTensors {
  modelId: Hex;
  /** The receipt's payer. */
  requester: Hex;
  tensors: ReceiptTensors;
  /** Whether the answer is in mode ZKML: its receipt settles once there is a proof. */
  toProve: boolean;
}

export interface PendingProof extends Pick<AnswerTensors, "modelId" | "requester" | "tensors"> {
  requestId: Hex;
}

export type ProofState =
  | { status: "pending"; ahead: number }
  | { status: "failed"; reason: string }
  | { status: "proven"; modelId: Hex; tensors: ReceiptTensors & { proof: TensorProof } };

/** `state`: 0 nothing to prove, 1 to be proven, 2 proven, 3 there will be no proof. */
const SCHEMA = `
  CREATE TABLE IF NOT EXISTS tensors (
    sequence INTEGER PRIMARY KEY,
    request_id TEXT NOT NULL UNIQUE,
    model_id TEXT NOT NULL,
    requester TEXT NOT NULL,
    tensors TEXT NOT NULL,
    state INTEGER NOT NULL,
    failure TEXT
  ) STRICT;
  CREATE INDEX IF NOT EXISTS pending_proofs ON tensors (sequence) WHERE state = 1;`;

const State = { free: 0, pending: 1, proven: 2, failed: 3 } as const;

/** Which answers may settle, of those that have a row here. */
export const MAY_SETTLE = `(state IS NULL OR state IN (${State.free}, ${State.proven}))`;

interface Row {
  sequence: number;
  request_id: Hex;
  model_id: Hex;
  requester: Hex;
  tensors: string;
  state: number;
  failure: string | null;
}

/** The tensors of a node's answers of zk models, which of them have to be proven, and their proofs; in the database of its receipts. */
export class ProofStore {
  readonly #commits: GroupCommit;
  readonly #insert: StatementSync;
  readonly #find: StatementSync;
  readonly #ahead: StatementSync;
  readonly #pending: StatementSync;
  readonly #set: StatementSync;
  readonly #fail: StatementSync;

  constructor(commits: GroupCommit) {
    this.#commits = commits;
    const { database } = commits;
    database.exec(SCHEMA);
    this.#insert = database.prepare(
      "INSERT INTO tensors (request_id, model_id, requester, tensors, state) VALUES (?, ?, ?, ?, ?)",
    );
    this.#find = database.prepare("SELECT * FROM tensors WHERE request_id = ?");
    this.#ahead = database.prepare("SELECT count(*) AS ahead FROM tensors WHERE state = 1 AND sequence < ?");
    this.#pending = database.prepare("SELECT * FROM tensors WHERE state = 1 ORDER BY sequence");
    this.#set = database.prepare("UPDATE tensors SET tensors = ?, state = 2 WHERE request_id = ?");
    this.#fail = database.prepare("UPDATE tensors SET failure = ?, state = 3 WHERE request_id = ?");
  }

  /** A statement of the transaction that keeps the answer. */
  insert(requestId: Hex, { modelId, requester, tensors, toProve }: AnswerTensors): void {
    const state = toProve ? State.pending : State.free;
    this.#insert.run(requestId, modelId, requester, JSON.stringify(tensorsToJson(tensors)), state);
  }

  /** Those that are to be proven, oldest first. */
  pending(): PendingProof[] {
    return (this.#pending.all() as unknown as Row[]).map((row) => ({
      requestId: row.request_id,
      modelId: row.model_id,
      requester: row.requester,
      tensors: parseTensors(row.tensors),
    }));
  }

  /** undefined where nothing is to be proven. */
  find(requestId: Hex): ProofState | undefined {
    const row = this.#find.get(requestId) as Row | undefined;
    if (row === undefined || row.state === State.free) return undefined;
    if (row.state === State.failed) return { status: "failed", reason: row.failure ?? "" };
    const { proof, ...words } = parseTensors(row.tensors);
    if (proof !== undefined) return { status: "proven", modelId: row.model_id, tensors: { ...words, proof } };
    const { ahead } = this.#ahead.get(row.sequence) as { ahead: number };
    return { status: "pending", ahead };
  }

  /** Durable when it returns. */
  set(requestId: Hex, tensors: ReceiptTensors & { proof: TensorProof }): void {
    this.#commits.runNow(() => this.#set.run(JSON.stringify(tensorsToJson(tensors)), requestId));
  }

  /** There will be no proof. Durable when it returns. */
  fail(requestId: Hex, reason: string): void {
    this.#commits.runNow(() => this.#fail.run(reason, requestId));
  }
}

export const parseTensors = (json: string): ReceiptTensors => tensorsSchema.parse(JSON.parse(json));
