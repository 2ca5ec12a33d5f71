import { EventEmitter } from "node:events";
import { ExactEvmScheme } from "@x402/evm/exact/facilitator";
import type { Logger } from "pino";
import type { Chain } from "../chain/connectChain.ts";
import type { Attempt } from "../chain/PendingTransaction.ts";
import type { TransactionSubmitter } from "../chain/TransactionSubmitter.ts";
import type { Hex } from "../receipts/types.ts";
import { authorizationOutcome } from "./authorizationOutcome.ts";
import { facilitatorSigner } from "./facilitatorSigner.ts";
import type { Payment } from "./payment.ts";
import { PaymentError } from "./PaymentError.ts";
import type { Patience, PaymentJob, PaymentOutbox } from "./PaymentOutbox.ts";

export interface PaymentSettlerOptions {
  /** Payments worked on at the same time. */
  concurrency: number;
  /** Pause after a failed attempt: doubled with each, up to the maximum. */
  minRetryMs: number;
  maxRetryMs: number;
  /** How long one attempt waits for its transaction to be mined. */
  confirmationTimeoutMs: number;
  /** An authorization counts as expired this long after it is, by the later of the chain's and this machine's clock. */
  expiryMarginMs: number;
}

export const DEFAULT_SETTLER_OPTIONS: PaymentSettlerOptions = {
  concurrency: 16,
  minRetryMs: 250,
  maxRetryMs: 30_000,
  confirmationTimeoutMs: 60_000,
  expiryMarginMs: 60_000,
};

export interface PaymentSettlerParts {
  outbox: PaymentOutbox;
  chain: Chain;
  /** Pays the gas. */
  submitter: TransactionSubmitter;
  logger: Logger;
}

/** The lower bound of an authorization's use may be as old as this; asking for the block number each time would cost a call. */
const HEAD_TTL_MS = 10_000;
/** A stop does not wait longer for the chain: the outbox knows what is under way. */
const STOP_MS = 2_000;
/** Deeper than any reorganisation that an L2 or a local chain sees. */
const REORG_BLOCKS = 64;

interface SettlerEvents {
  /** The payment is on chain. */
  settled: [PaymentJob];
  /** The payment can or shall not be charged any more; `reason` says why. */
  dead: [PaymentJob];
}

/**
 * Works the payment outbox off: each job's transfer is sent until it is on chain or can never be. What the chain says decides:
 * a payment counts as settled when its authorization is used and the money went where it says, whoever sent the transaction, so
 * a crash at any point, or somebody else's transaction, charges nobody twice.
 */
export class PaymentSettler extends EventEmitter<SettlerEvents> {
  readonly #outbox: PaymentOutbox;
  readonly #chain: Chain;
  readonly #submitter: TransactionSubmitter;
  readonly #options: PaymentSettlerOptions;
  readonly #logger: Logger;
  readonly #busy = new Map<string, Promise<void>>();
  #timer: NodeJS.Timeout | undefined;
  #running = false;
  #head: { block: number; untilMs: number } | undefined;

  /** @param parts the submitter not started: it lives and ends with the settler. */
  constructor({ outbox, chain, submitter, logger }: PaymentSettlerParts, options: Partial<PaymentSettlerOptions> = {}) {
    super();
    this.setMaxListeners(0);
    this.#outbox = outbox;
    this.#chain = chain;
    this.#submitter = submitter;
    this.#logger = logger;
    this.#options = { ...DEFAULT_SETTLER_OPTIONS, ...options };
  }

  /** Takes up what an earlier run left: recorded transactions first, so that their account numbers are not given out again. */
  async start(): Promise<void> {
    this.#running = true;
    for (const { key, transaction } of this.#outbox.submitted()) {
      if (transaction?.raw === undefined) continue;
      await this.#chain.provider.broadcastTransaction(transaction.raw).catch((error: unknown) => {
        this.#logger.debug({ key, err: error }, "recorded transaction not taken; its outcome is looked up");
      });
    }
    await this.#submitter.start();
    this.#pump();
  }

  /** Lets the attempts under way end; unfinished jobs stay in the outbox. */
  async stop(): Promise<void> {
    this.#running = false;
    clearTimeout(this.#timer);
    const ended = Promise.all(this.#busy.values());
    const timer = setTimeout(() => void this.#submitter.stop(), STOP_MS);
    await ended;
    clearTimeout(timer);
    await this.#submitter.stop();
  }

  /**
   * Makes a payment durable and begins to settle it. The same payment again is the same job.
   * @throws PaymentError payment_conflict
   */
  async enqueue(payment: Payment, patience: Patience = "until-expiry"): Promise<PaymentJob> {
    const known = this.#outbox.find(payment.authorization);
    const fromBlock = known?.fromBlock ?? (await this.#recentBlock());
    const job = this.#outbox.add(payment, patience, fromBlock, Date.now());
    this.#pump();
    return job;
  }

  /** The job once it is settled or dead, or as it stands after `timeoutMs`. */
  outcome(key: string, timeoutMs: number): Promise<PaymentJob> {
    return new Promise((resolve) => {
      const finish = (job: PaymentJob): void => {
        if (job.key !== key) return;
        clearTimeout(timer);
        this.off("settled", finish).off("dead", finish);
        resolve(job);
      };
      const timer = setTimeout(() => finish(this.#outbox.get(key)), timeoutMs);
      this.on("settled", finish).on("dead", finish);
      const job = this.#outbox.get(key);
      if (job.status === "settled" || job.status === "dead") finish(job);
    });
  }

  /** Ends a job of patience `once` whose seller no longer waits, unless a transaction of it may be on its way. */
  abandon(key: string, reason: string): void {
    const { patience, status } = this.#outbox.get(key);
    if (patience === "once" && status === "pending") this.#die(key, reason);
  }

  #pump(): void {
    if (!this.#running) return;
    clearTimeout(this.#timer);
    const now = Date.now();
    // busy jobs are still due in the table: ask for as many more
    for (const job of this.#outbox.due(now, this.#options.concurrency + this.#busy.size)) {
      if (this.#busy.size >= this.#options.concurrency) return;
      if (this.#busy.has(job.key)) continue;
      const attempt = this.#attempt(job)
        .catch((error: unknown) => this.#retryLater(job, error instanceof Error ? error.message : String(error)))
        .finally(() => {
          this.#busy.delete(job.key);
          this.#pump();
        });
      this.#busy.set(job.key, attempt);
    }
    const next = this.#outbox.nextDueAtMs(now);
    if (next === undefined) return;
    this.#timer = setTimeout(() => this.#pump(), next - now);
    this.#timer.unref();
  }

  async #attempt(job: PaymentJob): Promise<void> {
    const known = job.attempts > 0 || job.status === "submitted";
    if (known && (await this.#concluded(job))) return;
    if (job.status === "submitted") {
      await this.#follow(job);
    } else {
      await this.#send(job);
    }
  }

  /** Sends the transfer by the x402 scheme, which checks the terms once more and the Transfer event afterwards. */
  async #send(job: PaymentJob): Promise<void> {
    const { payload, requirements } = job.payment;
    const scheme = new ExactEvmScheme(
      facilitatorSigner({
        address: this.#submitter.address,
        provider: this.#chain.provider,
        send: (call) =>
          this.#submitter.submit(call, {
            label: `payment ${job.key}`,
            timeoutMs: this.#options.confirmationTimeoutMs,
            onAttempt: (attempt) => this.#recordAttempt(job.key, attempt),
          }),
      }),
    );
    const result = await scheme.settle(payload, requirements);
    if (result.success) return this.#settle(job.key, result.transaction as Hex);
    const reason = [result.errorReason, result.errorMessage].filter(Boolean).join(": ");
    if (await this.#concluded(job)) return;
    const { patience, status } = this.#outbox.get(job.key);
    if (status === "dead") return;
    if (patience === "once" && status === "pending") return this.#die(job.key, result.errorReason ?? reason);
    this.#retryLater(job, reason);
  }

  /** Before it leaves this process. Throwing here keeps it from leaving. */
  #recordAttempt(key: string, { hash, nonce, raw }: Attempt): void {
    if (this.#outbox.get(key).status === "dead") throw new PaymentError("stopped", "Abandoned by its seller");
    this.#outbox.markSubmitted(key, { hash: hash as Hex, raw: raw as Hex, nonce });
  }

  /** A transaction is recorded and the authorization not used: it waits to be mined, or never will be. */
  async #follow(job: PaymentJob): Promise<void> {
    const { key, transaction } = job;
    const count = await this.#chain.provider.getTransactionCount(this.#submitter.address, "latest");
    if (transaction?.nonce !== undefined && transaction.nonce >= count) return this.#retryLater(job, "not mined yet");
    // it reverted, or its account number was taken; looked up after the count, the authorization may be used by now
    if (await this.#concluded(job)) return;
    this.#outbox.markPending(key, "transaction reverted or replaced");
    await this.#send(this.#outbox.get(key));
  }

  /** Settles or ends the job when the chain has decided it. */
  async #concluded(job: PaymentJob): Promise<boolean> {
    const { authorization } = job.payment;
    const outcome = await authorizationOutcome(this.#chain.provider, authorization, job.fromBlock);
    switch (outcome.kind) {
      case "paid":
        this.#settle(job.key, outcome.transaction);
        return true;
      case "canceled":
        this.#die(job.key, "authorization_canceled");
        return true;
      case "elsewhere":
        this.#die(job.key, "nonce_spent_elsewhere");
        return true;
      case "unknown":
        throw new Error("the authorization is used, but its event was not found");
      case "unused":
        if (!(await this.#expired(authorization.validBefore))) return false;
        this.#die(job.key, "authorization_expired");
        return true;
    }
  }

  async #expired(validBefore: bigint): Promise<boolean> {
    const deadlineMs = Number(validBefore) * 1000 + this.#options.expiryMarginMs;
    if (Date.now() >= deadlineMs) return true;
    const head = await this.#chain.provider.getBlock("latest");
    return head !== null && head.timestamp * 1000 >= deadlineMs;
  }

  #settle(key: string, transaction: Hex): void {
    this.#outbox.markSettled(key, transaction);
    this.#logger.debug({ key, transaction }, "payment settled");
    this.emit("settled", this.#outbox.get(key));
  }

  #die(key: string, reason: string): void {
    this.#outbox.markDead(key, reason);
    this.#logger.warn({ key, reason }, "payment cannot be charged");
    this.emit("dead", this.#outbox.get(key));
  }

  #retryLater(job: PaymentJob, reason: string): void {
    const { minRetryMs, maxRetryMs } = this.#options;
    const pause = Math.min(maxRetryMs, minRetryMs * 2 ** Math.min(job.attempts, 20));
    this.#outbox.postpone(job.key, Date.now() + pause, reason);
    this.#logger.debug({ key: job.key, reason, pause }, "payment postponed");
  }

  async #recentBlock(): Promise<number> {
    const now = Date.now();
    if (this.#head === undefined || now > this.#head.untilMs) {
      const block = await this.#chain.provider.getBlockNumber();
      this.#head = { block: Math.max(0, block - REORG_BLOCKS), untilMs: now + HEAD_TTL_MS };
    }
    return this.#head.block;
  }
}
