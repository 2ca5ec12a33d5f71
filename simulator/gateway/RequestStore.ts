import type { StatementSync } from "node:sqlite";
import type { GroupCommit } from "../persistence/GroupCommit.ts";
import type { Hex } from "../receipts/types.ts";
import type { DebtLedger } from "./payments/DebtLedger.ts";
import { LiveRows } from "./payments/LiveRows.ts";
import { REQUEST_SCHEMA, type RequestRow, requestOf, RESERVED, reservedValues, type SqlValue } from "./requestRows.ts";
import type { PaidRequest, RequestStatus, ReserveRefusal, StoredAnswer, StoredRequest } from "./StoredRequest.ts";

/** In these a request counts for what its payer owes; in a session its fee does, until the session is settled. */
const OWING: readonly RequestStatus[] = ["reserved", "answered", "settling", "unpaid"];
/** In these memory keeps it: something is still to be done here. */
const LIVE: readonly RequestStatus[] = ["reserved", "answered"];

/**
 * The gateway's durable requests, one per payment or several per session. What a method decides holds at once; it is on disk when the
 * promise it returns is resolved.
 */
export class RequestStore {
  readonly #commit: GroupCommit;
  readonly #debts: DebtLedger;
  readonly #live: LiveRows<StoredRequest>;
  readonly #statements = new Map<string, StatementSync>();

  /** @param commit the gateway's file. @param debts gets what payers owe for requests. */
  constructor(commit: GroupCommit, debts: DebtLedger) {
    this.#commit = commit;
    this.#debts = debts;
    this.#live = new LiveRows(commit);
    commit.database.exec(REQUEST_SCHEMA);
    for (const status of OWING) {
      for (const request of this.withStatus(status)) {
        debts.add(request.payment.payer, request.amountWei);
        if (LIVE.includes(status)) this.#live.load(request);
      }
    }
  }

  find(key: string): StoredRequest | undefined {
    const live = this.#live.get(key);
    if (live !== undefined) return live;
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
    const outstandingWei = this.outstandingWei(request.payment.payer);
    if (outstandingWei + request.amountWei > limitWei) return { refused: "exposure", outstandingWei };
    const reserved: StoredRequest = { ...request, status: "reserved" };
    const values = [...reservedValues(request), "reserved"];
    this.#debts.add(request.payment.payer, request.amountWei);
    void this.#live
      .write(reserved, true, () =>
        this.#run(
          `INSERT OR REPLACE INTO requests (${RESERVED.join(", ")}, status) VALUES (${values.map(() => "?").join(", ")})`,
          ...values,
        ),
      )
      // its answer cannot be stored either, and is not given
      .catch(() => undefined);
    return reserved;
  }

  /** From here on the payment is due; in a session, its fee; of what is free, nothing. Resolves when that is on disk. */
  async markAnswered(key: string, answer: StoredAnswer, nowMs: number): Promise<void> {
    const request = this.find(key);
    if (request?.status !== "reserved") throw new Error(`Expected ${key} to be reserved`);
    const status = request.session !== undefined ? "charged" : request.own !== undefined ? "answered" : "paid";
    const { contentType, body, proof, feeWei } = answer;
    await this.#move({ ...request, status, answer, answeredAtMs: nowMs, body: Buffer.alloc(0) }, request, () => {
      const { changes } = this.#run(
        `UPDATE requests SET status = ?, content_type = ?, answer = ?, proof = ?, fee = ?, answered_at = ?, body = NULL
         WHERE key = ? AND status = 'reserved'`,
        ...[status, contentType, body, proof, feeWei.toString(), nowMs, key],
      );
      if (changes !== 1) throw new Error(`The reservation of ${key} is not on disk`);
    });
  }

  markSettling(key: string): Promise<void> {
    return this.#change(key, ["answered"], { status: "settling" });
  }

  markPaid(key: string, transaction: Hex): Promise<void> {
    return this.#change(key, ["answered", "settling", "unpaid"], { status: "paid", transaction });
  }

  markUnpaid(key: string): Promise<void> {
    return this.#change(key, ["answered", "settling"], { status: "unpaid" });
  }

  /** The inference failed: nothing is due. */
  releaseReserved(key: string): void {
    // what was never written down is released as well
    this.#change(key, ["reserved"], { status: "released" }).catch(() => undefined);
  }

  /** The payment failed before anything was handed out: the answer is forgotten here (the node still has it). */
  releaseAnswered(key: string): Promise<void> {
    return this.#change(key, ["answered"], { status: "released" });
  }

  withStatus(status: RequestStatus): StoredRequest[] {
    return this.#all("SELECT * FROM requests WHERE status = ?", status)
      .map((row) => this.#live.get(row.key) ?? requestOf(row))
      .filter((request) => request.status === status);
  }

  /** What a payer, or all of them together, have been or are being served for and have not paid, wei; sessions included. */
  outstandingWei(payer?: Hex): bigint {
    return payer === undefined ? this.#debts.totalWei : this.#debts.of(payer);
  }

  /** Sum of the fees of a session's answers that are on disk, wei, and when the last was given. */
  chargedIn(session: string): { chargedWei: bigint; lastAtMs: number | undefined } {
    const rows = this.#prepare("SELECT fee, answered_at FROM requests WHERE session = ? AND status = 'charged'").all(
      session,
    );
    const charges = rows as unknown as { fee: string; answered_at: number }[];
    return {
      chargedWei: charges.reduce((sum, { fee }) => sum + BigInt(fee), 0n),
      lastAtMs: charges.length === 0 ? undefined : Math.max(...charges.map(({ answered_at }) => answered_at)),
    };
  }

  /** Number of requests by status. */
  counts(): Record<RequestStatus, number> {
    const counts = { reserved: 0, answered: 0, settling: 0, paid: 0, unpaid: 0, charged: 0, released: 0 };
    const rows = this.#prepare("SELECT status, COUNT(*) AS n FROM requests GROUP BY status").all();
    for (const { status, n } of rows as unknown as { status: RequestStatus; n: number }[]) counts[status] = n;
    return counts;
  }

  /**
   * Forgets answers that were paid before `paidBeforeMs`, and released requests whose authorization has expired. Neither payment
   * can buy anything again: the token refuses the one as used and the other as expired. Those of a session are forgotten with it.
   */
  purge(paidBeforeMs: number, nowSeconds: number): Promise<void> {
    return this.#commit.run(() => {
      this.#run("DELETE FROM requests WHERE status = 'paid' AND answered_at < ?", paidBeforeMs);
      this.#run("DELETE FROM requests WHERE status = 'released' AND session IS NULL AND valid_before < ?", nowSeconds);
    });
  }

  async #change(key: string, from: RequestStatus[], to: Pick<StoredRequest, "status" | "transaction">): Promise<void> {
    const request = this.find(key);
    if (request === undefined || !from.includes(request.status)) return;
    const next: StoredRequest = { ...request, ...to };
    const released = to.status === "released";
    if (released) {
      next.body = Buffer.alloc(0);
      delete next.answer;
    }
    await this.#move(next, request, () => {
      this.#run("UPDATE requests SET status = ?, tx_hash = ? WHERE key = ?", to.status, to.transaction ?? null, key);
      if (!released) return;
      this.#run(
        "UPDATE requests SET body = NULL, content_type = NULL, answer = NULL, proof = NULL, fee = NULL WHERE key = ?",
        key,
      );
    });
  }

  #move(next: StoredRequest, from: StoredRequest, work: () => void): Promise<void> {
    const owing = (status: RequestStatus): bigint => (OWING.includes(status) ? next.amountWei : 0n);
    this.#debts.add(next.payment.payer, owing(next.status) - owing(from.status));
    return this.#live.write(next, LIVE.includes(next.status), work).catch((error: unknown) => {
      if (this.#live.get(next.key) === next) this.#live.load(from);
      this.#debts.add(next.payment.payer, owing(from.status) - owing(next.status));
      throw error;
    });
  }

  #all(sql: string, ...values: string[]): RequestRow[] {
    return this.#prepare(sql).all(...values) as unknown as RequestRow[];
  }

  #run(sql: string, ...values: SqlValue[]): { changes: number | bigint } {
    return this.#prepare(sql).run(...values);
  }

  #prepare(sql: string): StatementSync {
    const statement = this.#statements.get(sql) ?? this.#commit.database.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }
}
