import type { FacilitatorClient } from "@x402/core/server";
import type { Logger } from "pino";
import type { PaymentJob } from "../facilitator/PaymentStore.ts";
import type { DeferredPayments } from "../facilitator/SellerServices.ts";
import type { Hex } from "../receipts/types.ts";
import { GatewayError } from "./GatewayError.ts";
import type { PayerBalances } from "./payments/PayerBalances.ts";
import type { RequestStore } from "./RequestStore.ts";
import type { OwnPayment, StoredRequest } from "./StoredRequest.ts";

/** The facilitator as the gateway uses it: x402's three calls, and durable deferred payments. */
export type PaymentRail = FacilitatorClient & DeferredPayments;

/**
 * deferred: the answer leaves at once and the payment follows through the facilitator's outbox; the gateway bears the risk, bounded
 * by the exposure limit. before-answer: the proof leaves when the payment is on chain.
 */
export type SettlementTiming = "deferred" | "before-answer";

export interface PaymentCollectorOptions {
  store: RequestStore;
  rail: PaymentRail;
  /** Outdated by every payment that is settled. */
  balances: PayerBalances;
  timing: SettlementTiming;
  logger: Logger;
  /** How often payments that could not be handed over are tried again. */
  sweepMs: number;
}

/** A request that has a payment of its own. */
export type PaidAlone = StoredRequest & { own: OwnPayment };

export const isPaidAlone = (request: StoredRequest): request is PaidAlone => request.own !== undefined;

/** Turns answered requests into payments, and follows what becomes of them. */
export class PaymentCollector {
  readonly #options: PaymentCollectorOptions;
  readonly #handing = new Map<string, Promise<void>>();
  #timer: NodeJS.Timeout | undefined;
  #unsubscribe: (() => void) | undefined;

  constructor(options: PaymentCollectorOptions) {
    this.#options = options;
  }

  /** Takes up the payments of an earlier run. */
  async start(): Promise<void> {
    const { rail, store, sweepMs } = this.#options;
    this.#unsubscribe = rail.onOutcome((job) => this.#record(job));
    for (const {
      key,
      own: { payload, requirements },
    } of store.withStatus("settling").filter(isPaidAlone)) {
      // its end may have passed while nobody listened
      const job = (await rail.job(payload, requirements)) ?? (await rail.enqueue(payload, requirements));
      if (job.key === key) this.#record(job);
    }
    this.#sweep();
    this.#timer = setInterval(() => this.#sweep(), sweepMs);
    this.#timer.unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.allSettled(this.#handing.values());
    this.#unsubscribe?.();
  }

  /**
   * The request is answered and its payment due: it is handed over, or, before the answer, settled.
   * @throws GatewayError 402 or 503 when the answer must be withheld. Nothing is charged later, or asking again gets the answer.
   */
  async collect(request: PaidAlone): Promise<void> {
    if (this.#options.timing === "deferred") {
      if (request.status === "answered") this.#handOver(request);
      return;
    }
    if (request.status === "paid") return;
    const settling = this.#settleNow(request).finally(() => this.#handing.delete(request.key));
    // keeps the sweep away
    this.#handing.set(request.key, settling);
    await settling;
  }

  async #settleNow({ key, own: { payload, requirements } }: PaidAlone): Promise<void> {
    const { rail, store } = this.#options;
    const result = await rail.settle(payload, requirements);
    if (result.success) {
      await store.markPaid(key, result.transaction as Hex);
      return;
    }
    const reason = result.errorReason ?? "settlement_failed";
    if (reason === "settlement_pending") {
      throw new GatewayError(
        503,
        "server_error",
        reason,
        "The payment is not yet on chain; ask again with the same payment",
        {
          retryAfterSeconds: 2,
        },
      );
    }
    await store.releaseAnswered(key);
    throw new GatewayError(402, "payment_required", reason, `The payment could not be settled: ${reason}`);
  }

  #sweep(): void {
    for (const request of this.#options.store.withStatus("answered").filter(isPaidAlone)) this.#handOver(request);
  }

  #handOver({ key, own: { payload, requirements } }: PaidAlone): void {
    if (this.#handing.has(key)) return;
    const { rail, store, logger } = this.#options;
    const handing = rail
      .enqueue(payload, requirements)
      .then(
        () => store.markSettling(key),
        (error: unknown) => logger.error({ key, err: error }, "payment not handed over; trying again"),
      )
      .finally(() => this.#handing.delete(key));
    this.#handing.set(key, handing);
  }

  #record({ key, status, patience, transaction, payer }: PaymentJob): void {
    this.#options.balances.forget(payer);
    // who waits for it decides what a failure means
    if (status === "dead" && patience === "once") return;
    const { store, logger } = this.#options;
    const marked =
      status === "settled" && transaction !== undefined ? store.markPaid(key, transaction.hash) : undefined;
    void (status === "dead" ? store.markUnpaid(key) : marked)?.catch((error: unknown) => {
      logger.error({ key, err: error }, "payment outcome not recorded");
    });
  }
}
