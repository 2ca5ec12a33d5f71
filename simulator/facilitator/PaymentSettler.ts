import { randomUUID } from "node:crypto";
import { EventEmitter } from "node:events";
import { ExactEvmScheme } from "@x402/evm/exact/facilitator";
import type { Logger } from "pino";
import type { Chain } from "../chain/connectChain.ts";
import type { Attempt } from "../chain/PendingTransaction.ts";
import type { TransactionSubmitter } from "../chain/TransactionSubmitter.ts";
import type { Hex } from "../receipts/types.ts";
import { authorizationOutcome } from "./authorizationOutcome.ts";
import { facilitatorSigner } from "./facilitatorSigner.ts";
import { parseCharge, type Payment } from "./payment.ts";
import { PaymentError } from "./PaymentError.ts";
import type { Patience, PaymentJob, PaymentStore, Worker } from "./PaymentStore.ts";

export interface PaymentSettlerOptions {
  /** Payments worked on at the same time. */
  concurrency: number;
  /** Pause after a failed attempt: doubled with each, up to the maximum. */
  minRetryMs: number;
  maxRetryMs: number;
  /** How long one attempt waits for its transaction to be mined. */
  confirmationTimeoutMs: number;
  /** How long other facilitators keep off a job that this one works on; renewed while it does. */
  leaseMs: number;
  /** How often jobs that another facilitator works on are looked at. */
  watchMs: number;
  /** An authorization counts as expired this long after it is, by the later of the chain's and this machine's clock. */
  expiryMarginMs: number;
}

export const DEFAULT_SETTLER_OPTIONS: PaymentSettlerOptions = {
  concurrency: 16,
  minRetryMs: 250,
  maxRetryMs: 30_000,
  confirmationTimeoutMs: 60_000,
  leaseMs: 30_000,
  watchMs: 500,
  expiryMarginMs: 60_000,
};

export interface PaymentSettlerParts {
  store: PaymentStore;
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
  readonly #store: PaymentStore;
  readonly #chain: Chain;
  readonly #submitter: TransactionSubmitter;
  readonly #options: PaymentSettlerOptions;
  readonly #logger: Logger;
  readonly #busy = new Map<string, Promise<void>>();
  /** Leased again while the attempt before was still ending. */
  readonly #again = new Map<string, PaymentJob>();
  /** Not finished when last seen here; somebody else may finish them. */
  readonly #watched = new Set<string>();
  #worker: Worker | undefined;
  #timers: NodeJS.Timeout[] = [];
  #wake: NodeJS.Timeout | undefined;
  #running = false;
  #pumping: Promise<void> | undefined;
  #pumpAgain = false;
  #head: { block: number; untilMs: number } | undefined;

  /** @param parts the submitter not started: it lives and ends with the settler. */
  constructor({ store, chain, submitter, logger }: PaymentSettlerParts, options: Partial<PaymentSettlerOptions> = {}) {
    super();
    this.setMaxListeners(0);
    this.#store = store;
    this.#chain = chain;
    this.#submitter = submitter;
    this.#logger = logger;
    this.#options = { ...DEFAULT_SETTLER_OPTIONS, ...options };
  }

  /** Takes up what an earlier run left: recorded transactions first, so that their account numbers are not given out again. */
  async start(): Promise<void> {
    await this.#submitter.start();
    const account = this.#submitter.address;
    await this.#store.releaseLeases(account);
    for (const { key, transaction } of await this.#store.submittedBy(account)) {
      if (transaction?.raw === undefined) continue;
      await this.#chain.provider.broadcastTransaction(transaction.raw).catch((error: unknown) => {
        this.#logger.debug({ key, err: error }, "recorded transaction not taken; its outcome is looked up");
      });
    }
    this.#worker = { account, id: randomUUID() };
    this.#running = true;
    const { leaseMs, watchMs } = this.#options;
    this.#timers = [setInterval(() => void this.#renew(), leaseMs / 3), setInterval(() => void this.#watch(), watchMs)];
    for (const timer of this.#timers) timer.unref();
    this.#pump();
  }

  /** Lets the attempts under way end; unfinished jobs stay in the store, free for others. */
  async stop(): Promise<void> {
    this.#running = false;
    for (const timer of this.#timers) clearInterval(timer);
    clearTimeout(this.#wake);
    await this.#pumping;
    const timer = setTimeout(() => void this.#submitter.stop(), STOP_MS);
    await Promise.all(this.#busy.values());
    clearTimeout(timer);
    await this.#submitter.stop();
    if (this.#worker) await this.#store.releaseLeases(this.#worker.account);
  }

  /**
   * Makes a payment durable and begins to settle it. The same payment again is the same job.
   * @throws PaymentError payment_conflict
   */
  async enqueue(payment: Payment, patience: Patience = "until-expiry"): Promise<PaymentJob> {
    const fromBlock = await this.#recentBlock();
    const job = await this.#store.add({ payment, patience, fromBlock, nowMs: Date.now() });
    if (job.status === "pending" || job.status === "submitted") {
      this.#watched.add(job.key);
      this.#pump();
    }
    return job;
  }

  /** The job once it is settled or dead, or as it stands after `timeoutMs`. */
  async outcome(key: string, timeoutMs: number): Promise<PaymentJob> {
    const { promise, resolve } = Promise.withResolvers<PaymentJob | undefined>();
    const finish = (job: PaymentJob): void => {
      if (job.key === key) resolve(job);
    };
    const timer = setTimeout(() => resolve(undefined), timeoutMs);
    this.on("settled", finish).on("dead", finish);
    try {
      const job = await this.#get(key);
      if (job.status === "settled" || job.status === "dead") return job;
      return (await promise) ?? (await this.#get(key));
    } finally {
      clearTimeout(timer);
      this.off("settled", finish).off("dead", finish);
    }
  }

  /** Ends a job of patience `once` whose seller no longer waits, unless a transaction of it may be on its way. */
  async abandon(key: string, reason: string): Promise<void> {
    if (await this.#store.abandon(key, reason)) await this.#announce("dead", key);
  }

  /** Makes a dead job due again. @returns false when it is not dead. */
  async reopen(key: string): Promise<boolean> {
    const reopened = await this.#store.reopen(key, Date.now());
    if (reopened) {
      this.#watched.add(key);
      this.#pump();
    }
    return reopened;
  }

  /** Looks for due jobs; when it is looking already, once more afterwards. */
  #pump(): void {
    if (this.#pumping !== undefined) {
      this.#pumpAgain = true;
      return;
    }
    this.#pumping = this.#takeDue()
      .catch((error: unknown) => {
        this.#logger.error({ err: error }, "payment store unavailable");
        this.#wakeIn(this.#options.maxRetryMs);
      })
      .finally(() => {
        this.#pumping = undefined;
        if (this.#pumpAgain) this.#pump();
      });
  }

  async #takeDue(): Promise<void> {
    this.#pumpAgain = false;
    const worker = this.#worker;
    if (!this.#running || worker === undefined) return;
    const { concurrency, leaseMs } = this.#options;
    const limit = concurrency - this.#busy.size;
    const nowMs = Date.now();
    if (limit > 0) {
      for (const job of await this.#store.claimDue({ worker, nowMs, limit, leaseMs })) {
        if (this.#busy.has(job.key)) this.#again.set(job.key, job);
        else this.#work(job);
      }
    }
    const next = await this.#store.nextDueAtMs(worker.account, nowMs);
    this.#wakeIn(next === undefined ? leaseMs : Math.max(0, next - Date.now()));
  }

  #wakeIn(ms: number): void {
    clearTimeout(this.#wake);
    if (!this.#running) return;
    this.#wake = setTimeout(() => this.#pump(), Math.min(ms, this.#options.leaseMs));
    this.#wake.unref();
  }

  #work(job: PaymentJob): void {
    const attempt = this.#attempt(job)
      .catch((error: unknown) => this.#retryLater(job, error instanceof Error ? error.message : String(error)))
      .catch((error: unknown) => this.#logger.error({ key: job.key, err: error }, "payment store unavailable"))
      .finally(() => {
        this.#busy.delete(job.key);
        const again = this.#again.get(job.key);
        this.#again.delete(job.key);
        if (again !== undefined && this.#running) this.#work(again);
        else this.#pump();
      });
    this.#busy.set(job.key, attempt);
  }

  async #renew(): Promise<void> {
    const worker = this.#worker;
    if (worker === undefined || this.#busy.size === 0) return;
    await this.#store
      .renewLeases(worker, [...this.#busy.keys()], Date.now() + this.#options.leaseMs)
      .catch((error: unknown) => this.#logger.error({ err: error }, "leases not renewed"));
  }

  /** Announces what other facilitators have finished. */
  async #watch(): Promise<void> {
    const keys = [...this.#watched].filter((key) => !this.#busy.has(key));
    if (keys.length === 0) return;
    const jobs = await this.#store.findMany(keys).catch(() => []);
    for (const job of jobs) {
      if (job.status === "settled" || job.status === "dead") this.#tell(job.status, job);
    }
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
    const { payload, requirements } = job;
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
    const { patience, status } = await this.#get(job.key);
    if (status === "dead") return;
    if (patience === "once" && status === "pending") return this.#die(job.key, result.errorReason ?? reason);
    await this.#retryLater(job, reason);
  }

  /** Before it leaves this process. Throwing here keeps it from leaving. */
  async #recordAttempt(key: string, { hash, nonce, raw }: Attempt): Promise<void> {
    const from = this.#submitter.address;
    const transaction = { hash: hash as Hex, raw: raw as Hex, from, nonce };
    if (await this.#store.markSubmitted(this.#leased, [key], transaction)) return;
    throw new PaymentError("lease_lost", "Abandoned by its seller, or taken over by another facilitator");
  }

  /** A transaction is recorded and the authorization not used: it waits to be mined, or never will be. */
  async #follow(job: PaymentJob): Promise<void> {
    const { key, transaction } = job;
    const sender = transaction?.from ?? this.#submitter.address;
    const count = await this.#chain.provider.getTransactionCount(sender, "latest");
    if (transaction?.nonce !== undefined && transaction.nonce >= count) {
      await this.#rebroadcast(job);
      return this.#retryLater(job, "not mined yet");
    }
    // it reverted, or its account number was taken; looked up after the count, the authorization may be used by now
    if (await this.#concluded(job)) return;
    if (!(await this.#store.markPending(this.#leased, key, "transaction reverted or replaced"))) return;
    await this.#send(await this.#get(key));
  }

  /** Another facilitator signed it and is gone: the node may never have got it. Ours is the submitter's business. */
  async #rebroadcast({ key, transaction }: PaymentJob): Promise<void> {
    if (transaction?.raw === undefined || transaction.from === this.#submitter.address) return;
    await this.#chain.provider.broadcastTransaction(transaction.raw).catch((error: unknown) => {
      this.#logger.debug({ key, err: error }, "recorded transaction of another facilitator not taken");
    });
  }

  /** Settles or ends the job when the chain has decided it. */
  async #concluded(job: PaymentJob): Promise<boolean> {
    const { authorization } = parseCharge(job.payload, job.requirements, job.amountWei);
    const outcome = await authorizationOutcome(this.#chain.provider, authorization, job.fromBlock);
    switch (outcome.kind) {
      case "paid":
        await this.#settle(job.key, outcome.transaction);
        return true;
      case "canceled":
        await this.#die(job.key, "authorization_canceled");
        return true;
      case "elsewhere":
        await this.#die(job.key, "nonce_spent_elsewhere");
        return true;
      case "unknown":
        throw new Error("the authorization is used, but its event was not found");
      case "unused":
        if (!(await this.#expired(authorization.validBefore))) return false;
        await this.#die(job.key, "authorization_expired");
        return true;
    }
  }

  async #expired(validBefore: bigint): Promise<boolean> {
    const deadlineMs = Number(validBefore) * 1000 + this.#options.expiryMarginMs;
    if (Date.now() >= deadlineMs) return true;
    const head = await this.#chain.provider.getBlock("latest");
    return head !== null && head.timestamp * 1000 >= deadlineMs;
  }

  async #settle(key: string, transaction: Hex): Promise<void> {
    if (!(await this.#store.markSettled(key, transaction))) return;
    this.#logger.debug({ key, transaction }, "payment settled");
    await this.#announce("settled", key);
  }

  async #die(key: string, reason: string): Promise<void> {
    if (!(await this.#store.markDead(this.#leased, key, reason))) return;
    this.#logger.warn({ key, reason }, "payment cannot be charged");
    await this.#announce("dead", key);
  }

  async #announce(event: keyof SettlerEvents, key: string): Promise<void> {
    this.#tell(event, await this.#get(key));
  }

  #tell(event: keyof SettlerEvents, job: PaymentJob): void {
    this.#watched.delete(job.key);
    this.emit(event, job);
  }

  async #retryLater(job: PaymentJob, reason: string): Promise<void> {
    const { minRetryMs, maxRetryMs } = this.#options;
    const pause = Math.min(maxRetryMs, minRetryMs * 2 ** Math.min(job.attempts, 20));
    await this.#store.postpone(this.#leased, job.key, Date.now() + pause, reason);
    this.#logger.debug({ key: job.key, reason, pause }, "payment postponed");
  }

  get #leased(): Worker {
    if (this.#worker === undefined) throw new PaymentError("stopped", "Call start() before settling payments");
    return this.#worker;
  }

  async #get(key: string): Promise<PaymentJob> {
    const job = await this.#store.find(key);
    if (job === undefined) throw new Error(`No payment job ${key}`);
    return job;
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
