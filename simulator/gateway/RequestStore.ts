import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { PaymentPayload, PaymentRequirements } from "@x402/core/types";
import { openDatabase } from "../persistence/openDatabase.ts";
import type { PaidKind } from "../receipts/hashes.ts";
import type { Hex } from "../receipts/types.ts";

/**
 * reserved: paid for and on its way to a node. answered: answer and receipt are stored, so the payment is due. settling: the payment
 * is in the facilitator's outbox. paid, unpaid: what became of it. released: the inference failed; nothing is charged, and a retry
 * goes to the same node, because another of the same operator would answer under the same request id a second time.
 */
export type RequestStatus = "reserved" | "answered" | "settling" | "paid" | "unpaid" | "released";

/** A request with the payment that buys it. */
export interface PaidRequest {
  /** `paymentKeyText` of its payment. */
  key: string;
  payer: Hex;
  /** Wei. */
  amountWei: bigint;
  /** Of the payment authorization: tells a copy from another payment with the same nonce. */
  signature: string;
  /** SHA-256 of route and body. */
  bodyHash: string;
  kind: PaidKind;
  stream: boolean;
  body: Buffer;
  nodeUrl: string;
  /** What the receipt must say. */
  requestId: Hex;
  modelId: Hex;
  inputHash: Hex | undefined;
  payload: PaymentPayload;
  requirements: PaymentRequirements;
  /** Unix seconds; the authorization cannot be charged after it. */
  validBefore: number;
}

export interface StoredAnswer {
  contentType: string;
  body: Buffer;
  /** JSON of the proof in it. */
  proof: string;
}

export interface StoredRequest extends PaidRequest {
  status: RequestStatus;
  answer?: StoredAnswer;
  /** Transaction of the payment, once known. */
  transaction?: Hex;
  answeredAtMs?: number;
}

/** Why a request could not be reserved. */
export type ReserveRefusal = { refused: "exposure"; outstandingWei: bigint };

interface Row {
  key: string;
  payer: Hex;
  amount: string;
  signature: string;
  body_hash: string;
  kind: PaidKind;
  stream: number;
  body: Uint8Array | null;
  node_url: string;
  request_id: Hex;
  model_id: Hex;
  input_hash: Hex | "";
  payload: string;
  requirements: string;
  valid_before: number;
  status: RequestStatus;
  content_type: string | null;
  answer: Uint8Array | null;
  proof: string | null;
  tx_hash: Hex | null;
  answered_at: number | null;
}

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS requests (
    key TEXT PRIMARY KEY,
    payer TEXT NOT NULL,
    amount TEXT NOT NULL,
    signature TEXT NOT NULL,
    body_hash TEXT NOT NULL,
    kind TEXT NOT NULL,
    stream INTEGER NOT NULL,
    body BLOB,
    node_url TEXT NOT NULL,
    request_id TEXT NOT NULL,
    model_id TEXT NOT NULL,
    input_hash TEXT NOT NULL,
    payload TEXT NOT NULL,
    requirements TEXT NOT NULL,
    valid_before INTEGER NOT NULL,
    status TEXT NOT NULL,
    content_type TEXT,
    answer BLOB,
    proof TEXT,
    tx_hash TEXT,
    answered_at INTEGER
  );
  CREATE INDEX IF NOT EXISTS requests_owed ON requests (payer, status);
  CREATE INDEX IF NOT EXISTS requests_status ON requests (status);`;

/** The gateway's durable requests, one per payment. Every method commits before it returns. */
export class RequestStore {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  /** @param file SQLite file, created when missing. */
  constructor(file: string) {
    this.#database = openDatabase(file, SCHEMA);
  }

  close(): void {
    this.#database.close();
  }

  find(key: string): StoredRequest | undefined {
    const row = this.#all("SELECT * FROM requests WHERE key = ?", key)[0];
    return row && requestOf(row);
  }

  /**
   * Reserves a payment for a request, before anything is computed for it. A released request is taken up again.
   * @param limitWei what the payer may owe in all, this request included.
   * @returns the reservation, the request that already holds this payment, or why not.
   */
  reserve(request: PaidRequest, limitWei: bigint): StoredRequest | ReserveRefusal {
    // one synchronous turn, so nothing can come in between
    const existing = this.find(request.key);
    if (existing !== undefined && existing.status !== "released") return existing;
    const outstandingWei = this.outstandingWei(request.payer);
    if (outstandingWei + request.amountWei > limitWei) return { refused: "exposure", outstandingWei };
    if (existing !== undefined) {
      this.#run("UPDATE requests SET status = 'reserved', body = ? WHERE key = ?", request.body, request.key);
      return { ...existing, body: request.body, status: "reserved" };
    }
    this.#run(
      `INSERT INTO requests (key, payer, amount, signature, body_hash, kind, stream, body, node_url, request_id, model_id, input_hash,
         payload, requirements, valid_before, status) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'reserved')`,
      request.key,
      request.payer,
      request.amountWei.toString(),
      request.signature,
      request.bodyHash,
      request.kind,
      Number(request.stream),
      request.body,
      request.nodeUrl,
      request.requestId,
      request.modelId,
      request.inputHash ?? "",
      JSON.stringify(request.payload),
      JSON.stringify(request.requirements),
      request.validBefore,
    );
    return { ...request, status: "reserved" };
  }

  /** From here on the payment is due. */
  markAnswered(key: string, { contentType, body, proof }: StoredAnswer, nowMs: number): void {
    this.#run(
      `UPDATE requests SET status = 'answered', content_type = ?, answer = ?, proof = ?, answered_at = ?, body = NULL
       WHERE key = ? AND status = 'reserved'`,
      contentType,
      body,
      proof,
      nowMs,
      key,
    );
  }

  markSettling(key: string): void {
    this.#run("UPDATE requests SET status = 'settling' WHERE key = ? AND status = 'answered'", key);
  }

  markPaid(key: string, transaction: Hex): void {
    this.#run(
      "UPDATE requests SET status = 'paid', tx_hash = ? WHERE key = ? AND status IN ('answered', 'settling', 'unpaid')",
      transaction,
      key,
    );
  }

  markUnpaid(key: string): void {
    this.#run("UPDATE requests SET status = 'unpaid' WHERE key = ? AND status IN ('answered', 'settling')", key);
  }

  /** The inference failed: nothing is due. */
  releaseReserved(key: string): void {
    this.#run("UPDATE requests SET status = 'released', body = NULL WHERE key = ? AND status = 'reserved'", key);
  }

  /** The payment failed before anything was handed out: the answer is forgotten here (the node still has it). */
  releaseAnswered(key: string): void {
    this.#run(
      `UPDATE requests SET status = 'released', content_type = NULL, answer = NULL, proof = NULL
       WHERE key = ? AND status = 'answered'`,
      key,
    );
  }

  withStatus(status: RequestStatus): StoredRequest[] {
    return this.#all("SELECT * FROM requests WHERE status = ?", status).map(requestOf);
  }

  /** What a payer, or all of them together, have been or are being served for and have not paid, wei. */
  outstandingWei(payer?: Hex): bigint {
    const rows = this.#prepare(
      `SELECT amount FROM requests WHERE ${payer === undefined ? "" : "payer = ? AND"}
       status IN ('reserved', 'answered', 'settling', 'unpaid')`,
    ).all(...(payer === undefined ? [] : [payer]));
    return (rows as unknown as { amount: string }[]).reduce((sum, { amount }) => sum + BigInt(amount), 0n);
  }

  /** Number of requests by status. */
  counts(): Record<RequestStatus, number> {
    const counts = { reserved: 0, answered: 0, settling: 0, paid: 0, unpaid: 0, released: 0 };
    const rows = this.#prepare("SELECT status, COUNT(*) AS n FROM requests GROUP BY status").all();
    for (const { status, n } of rows as unknown as { status: RequestStatus; n: number }[]) counts[status] = n;
    return counts;
  }

  /**
   * Forgets answers that were paid before `paidBeforeMs`, and released requests whose authorization has expired. Neither payment
   * can buy anything again: the token refuses the one as used and the other as expired.
   */
  purge(paidBeforeMs: number, nowSeconds: number): void {
    this.#run("DELETE FROM requests WHERE status = 'paid' AND answered_at < ?", paidBeforeMs);
    this.#run("DELETE FROM requests WHERE status = 'released' AND valid_before < ?", nowSeconds);
  }

  #all(sql: string, ...values: string[]): Row[] {
    return this.#prepare(sql).all(...values) as unknown as Row[];
  }

  #run(sql: string, ...values: (string | number | Uint8Array)[]): void {
    this.#prepare(sql).run(...values);
  }

  #prepare(sql: string): StatementSync {
    const statement = this.#statements.get(sql) ?? this.#database.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }
}

function requestOf(row: Row): StoredRequest {
  return {
    key: row.key,
    payer: row.payer,
    amountWei: BigInt(row.amount),
    signature: row.signature,
    bodyHash: row.body_hash,
    kind: row.kind,
    stream: row.stream === 1,
    body: Buffer.from(row.body ?? []),
    nodeUrl: row.node_url,
    requestId: row.request_id,
    modelId: row.model_id,
    inputHash: row.input_hash === "" ? undefined : row.input_hash,
    payload: JSON.parse(row.payload) as PaymentPayload,
    requirements: JSON.parse(row.requirements) as PaymentRequirements,
    validBefore: row.valid_before,
    status: row.status,
    ...(row.answer !== null && {
      answer: {
        contentType: row.content_type ?? "application/json",
        body: Buffer.from(row.answer),
        proof: row.proof ?? "{}",
      },
    }),
    ...(row.tx_hash !== null && { transaction: row.tx_hash }),
    ...(row.answered_at !== null && { answeredAtMs: row.answered_at }),
  };
}
