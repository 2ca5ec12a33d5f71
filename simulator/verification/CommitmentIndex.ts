import type { DatabaseSync } from "node:sqlite";

import type { Hex } from "../receipts/types.ts";
import { decodeManifest, encodeManifest, MANIFEST_BYTES, type ZkManifest } from "../zkml/manifest.ts";
import { decodeModelVector, encodeModelVector, type ModelVector } from "../zkml/modelVector.ts";
import type { Verdict } from "./BatchIndex.ts";

/** A registered model that something remains to be done about. */
export interface CommitmentJob {
  modelId: Hex;
  verdict: Verdict | undefined;
  /** Failed tries in a row. */
  attempts: number;
  /** Changes when the model is to be looked at afresh; results of an older look are dropped. */
  revision: number;
}

/** What a version's owner published. */
export interface PublishedWeights {
  manifest: ZkManifest;
  vector: ModelVector;
}

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS zk_model(
    model_id TEXT PRIMARY KEY,
    verdict TEXT,
    -- of a model that is wrong: manifest and vector, which prove it, should its owner withhold them later
    weights BLOB,
    -- Unix milliseconds, null: nothing to do
    due_at INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0,
    revision INTEGER NOT NULL DEFAULT 0
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS zk_vote(
    digest TEXT PRIMARY KEY,
    model_id TEXT NOT NULL,
    signature TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
`;

/** Models that a verifier has seen registered, and its votes for their commitments. Every call is durable when it returns. */
export class CommitmentIndex {
  readonly #database: DatabaseSync;

  /** @param database the verifier's, closed by its owner. */
  constructor(database: DatabaseSync) {
    this.#database = database;
    database.exec(SCHEMA);
  }

  /** Something has happened to a model on chain: have it looked at. */
  wake(modelId: Hex, nowMs: number): void {
    const sql = `INSERT INTO zk_model(model_id, due_at) VALUES (?, ?)
      ON CONFLICT DO UPDATE SET due_at = excluded.due_at, verdict = NULL, attempts = 0, revision = revision + 1`;
    this.#database.prepare(sql).run(modelId, nowMs);
  }

  /** What is due next, in order. */
  due(nowMs: number): CommitmentJob | undefined {
    const sql = "SELECT model_id, verdict, attempts, revision FROM zk_model WHERE due_at <= ? ORDER BY due_at LIMIT 1";
    const row = this.#database.prepare(sql).get(nowMs);
    return (
      row && {
        modelId: row.model_id as Hex,
        verdict: (row.verdict as Verdict | null) ?? undefined,
        attempts: row.attempts as number,
        revision: row.revision as number,
      }
    );
  }

  /** When the next job is due, Unix milliseconds. */
  nextDueMs(): number | undefined {
    const row = this.#database.prepare("SELECT min(due_at) AS next FROM zk_model").get();
    return (row?.next as number | null) ?? undefined;
  }

  /** Remembers what was found, and when to act on it. */
  judge({ modelId, revision }: CommitmentJob, verdict: Verdict, dueAtMs: number): void {
    const sql = "UPDATE zk_model SET verdict = ?, attempts = 0, due_at = ? WHERE model_id = ? AND revision = ?";
    this.#database.prepare(sql).run(verdict, Math.ceil(dueAtMs), modelId, revision);
  }

  /** Keeps what proves a model wrong. */
  keepWeights(modelId: Hex, { manifest, vector }: PublishedWeights): void {
    const bytes = Buffer.concat([encodeManifest(manifest), encodeModelVector(vector)]);
    this.#database.prepare("UPDATE zk_model SET weights = ? WHERE model_id = ?").run(bytes, modelId);
  }

  weightsOf(modelId: Hex): PublishedWeights | undefined {
    const row = this.#database.prepare("SELECT weights FROM zk_model WHERE model_id = ?").get(modelId);
    const bytes = row?.weights as Uint8Array | null | undefined;
    return bytes
      ? {
          manifest: decodeManifest(bytes.subarray(0, MANIFEST_BYTES)),
          vector: decodeModelVector(bytes.subarray(MANIFEST_BYTES)),
        }
      : undefined;
  }

  /** Counts a failed try. */
  postpone({ modelId, revision }: CommitmentJob, dueAtMs: number): void {
    const sql = "UPDATE zk_model SET attempts = attempts + 1, due_at = ? WHERE model_id = ? AND revision = ?";
    this.#database.prepare(sql).run(Math.ceil(dueAtMs), modelId, revision);
  }

  /** Nothing remains to be done. */
  finish({ modelId, revision }: CommitmentJob): void {
    const sql = "UPDATE zk_model SET due_at = NULL, weights = NULL WHERE model_id = ? AND revision = ?";
    this.#database.prepare(sql).run(modelId, revision);
  }

  /** Remembers a vote before it leaves. */
  addVote(digest: Hex, modelId: Hex, signature: Hex): void {
    this.#database.prepare("INSERT OR IGNORE INTO zk_vote VALUES (?, ?, ?)").run(digest, modelId, signature);
  }

  voteOn(digest: Hex): Hex | undefined {
    return this.#database.prepare("SELECT signature FROM zk_vote WHERE digest = ?").get(digest)?.signature as
      Hex | undefined;
  }

  /** Models seen registered, those with something left to do, votes given. */
  counts(): { models: number; openModels: number; commitmentVotes: number } {
    const one = (sql: string): number => this.#database.prepare(sql).get()?.n as number;
    return {
      models: one("SELECT count(*) AS n FROM zk_model"),
      openModels: one("SELECT count(*) AS n FROM zk_model WHERE due_at IS NOT NULL"),
      commitmentVotes: one("SELECT count(*) AS n FROM zk_vote"),
    };
  }
}
