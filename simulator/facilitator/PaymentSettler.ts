import { EventEmitter } from "node:events";
import type { Hex } from "../receipts/types.ts";
import { ApprovalSponsor } from "./ApprovalSponsor.ts";
import { BulkTransfers } from "./BulkTransfers.ts";
import { LeasedJobs } from "./LeasedJobs.ts";
import { paymentOutcome } from "./outcome/paymentOutcome.ts";
import type { SettlementOutcome } from "./outcome/SettlementOutcome.ts";
import { parsePayment, type AnyPayment } from "./parsePayment.ts";
import type { Payment } from "./payment.ts";
import { PaymentError } from "./PaymentError.ts";
import { failureText, PaymentSender, REVERTED, type SendOptions } from "./PaymentSender.ts";
import type { Patience, PaymentJob, SignedTransaction } from "./PaymentStore.ts";
import { RecentBlock } from "./RecentBlock.ts";
import { DEFAULT_SETTLER_OPTIONS, type PaymentSettlerOptions, type PaymentSettlerParts } from "./settlerOptions.ts";

/** A stop does not wait longer for the chain: the store knows what is under way. */
const STOP_MS = 2_000;
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
  readonly #parts: PaymentSettlerParts;
  readonly #options: PaymentSettlerOptions;
  readonly #jobs: LeasedJobs;
  readonly #sender: PaymentSender;
  readonly #bulk: BulkTransfers;
  readonly #recent: RecentBlock;
  /** Not finished when last seen here; somebody else may finish them. */
  readonly #watched = new Set<string>();
  #watch: NodeJS.Timeout | undefined;

  /** @param parts the submitter not started: it lives and ends with the settler. */
  constructor(parts: PaymentSettlerParts, options: Partial<PaymentSettlerOptions> = {}) {
    super();
    this.setMaxListeners(0);
    this.#parts = parts;
    this.#options = { ...DEFAULT_SETTLER_OPTIONS, ...options };
    const { store, chain, submitter, logger } = parts;
    const { concurrency: limit, leaseMs, pollMs, bulkSize, bulkLanes } = this.#options;
    const { approvalMaxGas: maxGas, confirmationTimeoutMs: timeoutMs } = this.#options;
    this.#jobs = new LeasedJobs({ store, logger, limit, leaseMs, pollMs, work: (job) => this.#work(job) });
    const approvals = new ApprovalSponsor({ chain, submitter, maxGas, timeoutMs, logger });
    this.#sender = new PaymentSender({ submitter, approvals });
    this.#recent = new RecentBlock(chain.provider);
    this.#bulk = new BulkTransfers({
      provider: chain.provider,
      sender: this.#sender,
      size: bulkSize,
      lanes: bulkLanes,
      single: ({ job, payment }) => this.#send(job, payment),
      done: ({ job, payment }, outcome) => this.#conclude(job, payment, outcome, "failed among others"),
      sendOptions: (jobs) => this.#sendOptions(jobs),
    });
  }

  /** Takes up what an earlier run left: recorded transactions first, so that their account numbers are not given out again. */
  async start(): Promise<void> {
    const { store, submitter, chain, logger } = this.#parts;
    await submitter.start();
    await store.releaseLeases(submitter.address);
    for (const { key, transaction } of await store.submittedBy(submitter.address)) {
      if (transaction?.raw === undefined) continue;
      await chain.provider.broadcastTransaction(transaction.raw).catch((error: unknown) => {
        logger.debug({ key, err: error }, "recorded transaction not taken; its outcome is looked up");
      });
    }
    this.#jobs.start(submitter.address);
    this.#watch = setInterval(() => void this.#lookElsewhere(), this.#options.pollMs);
    this.#watch.unref();
  }

  /** Lets the attempts under way end; unfinished jobs stay in the store, free for others. */
  async stop(): Promise<void> {
    const { store, submitter } = this.#parts;
    clearInterval(this.#watch);
    const timer = setTimeout(() => void submitter.stop(), STOP_MS);
    await this.#jobs.stop();
    clearTimeout(timer);
    const { account } = this.#jobs.worker;
    await submitter.stop();
    await store.releaseLeases(account);
  }

  /**
   * Makes a payment durable and begins to settle it. The same payment again is the same job.
   * @throws PaymentError payment_conflict
   */
  async enqueue(payment: Payment, patience: Patience = "until-expiry"): Promise<PaymentJob> {
    const fromBlock = await this.recentBlock();
    const job = await this.#parts.store.add({ payment, patience, fromBlock, nowMs: Date.now() });
    if (job.status === "pending" || job.status === "submitted") this.#follow(job.key);
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
    if (await this.#parts.store.abandon(key, reason)) await this.#announce("dead", key);
  }

  /** Makes a dead job due again. @returns false when it is not dead. */
  async reopen(key: string): Promise<boolean> {
    const reopened = await this.#parts.store.reopen(key, Date.now());
    if (reopened) this.#follow(key);
    return reopened;
  }

  #follow(key: string): void {
    this.#watched.add(key);
    this.#jobs.look();
  }

  /** Announces what other facilitators have finished. */
  async #lookElsewhere(): Promise<void> {
    const keys = [...this.#watched].filter((key) => !this.#jobs.isBusy(key));
    if (keys.length === 0) return;
    const jobs = await this.#parts.store.findMany(keys).catch(() => []);
    for (const job of jobs) {
      if (job.status === "settled" || job.status === "dead") this.#tell(job.status, job);
    }
  }

  async #work(job: PaymentJob): Promise<void> {
    try {
      const payment = parsePayment(job.payload, job.requirements, job.amountWei);
      await this.#attempt(job, payment);
    } catch (error) {
      await this.#retryLater(job, failureText(error));
    }
  }

  async #attempt(job: PaymentJob, payment: AnyPayment): Promise<void> {
    const fresh = job.attempts === 0 && job.status === "pending";
    if (!fresh && (await this.#concluded(job, payment))) return;
    if (job.status === "submitted") return this.#followUp(job, payment);
    if (fresh && payment.kind === "exact/eip3009" && job.patience === "until-expiry" && this.#options.bulkSize > 1) {
      return this.#bulk.settle({ job, payment });
    }
    await this.#send(job, payment);
  }

  async #send(job: PaymentJob, payment: AnyPayment): Promise<void> {
    const sent = await this.#sender.send(payment, this.#sendOptions([job])).catch((error: unknown) => ({ error }));
    if ("error" in sent) {
      await this.#conclude(job, payment, undefined, failureText(sent.error));
    } else {
      await this.#conclude(job, payment, sent, "the transaction did not settle it");
    }
  }

  #sendOptions(jobs: readonly PaymentJob[]): SendOptions {
    const keys = jobs.map(({ key }) => key);
    return {
      label: keys.length === 1 ? `payment ${keys[0]}` : `${keys.length} payments`,
      timeoutMs: this.#options.confirmationTimeoutMs,
      record: (transaction) => this.#record(keys, transaction),
    };
  }

  /** Before it leaves this process. Throwing here keeps it from leaving. */
  async #record(keys: readonly string[], transaction: SignedTransaction): Promise<void> {
    if (await this.#parts.store.markSubmitted(this.#jobs.worker, keys, transaction)) return;
    throw new PaymentError("lease_lost", "Abandoned by its seller, or taken over by another facilitator");
  }

  /** A transaction is recorded and nothing is settled: it waits to be mined, or never will be. */
  async #followUp(job: PaymentJob, payment: AnyPayment): Promise<void> {
    const { provider } = this.#parts.chain;
    const { key, transaction } = job;
    const sender = transaction?.from ?? this.#sender.address;
    const count = await provider.getTransactionCount(sender, "latest");
    if (transaction?.nonce !== undefined && transaction.nonce >= count) {
      await this.#rebroadcast(job);
      return this.#retryLater(job, "not mined yet");
    }
    // it reverted, or its account number was taken; looked up after the count, the payment may be settled by now
    if (await this.#concluded(job, payment)) return;
    if (!(await this.#parts.store.markPending(this.#jobs.worker, key, "transaction reverted or replaced"))) return;
    await this.#send(await this.#get(key), payment);
  }

  /** Another facilitator signed it and is gone: the node may never have got it. Ours is the submitter's business. */
  async #rebroadcast({ key, transaction }: PaymentJob): Promise<void> {
    if (transaction?.raw === undefined || transaction.from === this.#sender.address) return;
    await this.#parts.chain.provider.broadcastTransaction(transaction.raw).catch((error: unknown) => {
      this.#parts.logger.debug({ key, err: error }, "recorded transaction of another facilitator not taken");
    });
  }

  /** Ends an attempt by what it came to; when that is not known, by what the chain says, and else tries again or gives up. */
  async #conclude(
    job: PaymentJob,
    payment: AnyPayment,
    outcome: SettlementOutcome | undefined,
    failure: string,
  ): Promise<void> {
    if (outcome !== undefined && (await this.#decided(job, payment, outcome))) return;
    if (await this.#concluded(job, payment)) return;
    const { patience, status } = await this.#get(job.key);
    if (patience === "once" && status === "pending") {
      const reason = await this.#parts.explain?.(payment).catch(() => undefined);
      return this.#die(job.key, reason ?? failure);
    }
    await this.#retryLater(job, failure);
  }

  /** Settles or ends the job when the chain has decided it. */
  async #concluded(job: PaymentJob, payment: AnyPayment): Promise<boolean> {
    const { provider } = this.#parts.chain;
    return this.#decided(job, payment, await paymentOutcome(provider, payment, job.fromBlock, job.transaction?.hash));
  }

  async #decided(job: PaymentJob, payment: AnyPayment, outcome: SettlementOutcome): Promise<boolean> {
    switch (outcome.kind) {
      case "paid":
        await this.#settle(job.key, outcome.transaction);
        return true;
      case "lost":
        await this.#die(job.key, outcome.reason);
        return true;
      case "unknown":
      case "unused": {
        if (!(await this.#expired(payment.expiresAt))) {
          if (outcome.kind === "unused") return false;
          throw new Error("what it spends is spent, but not found how");
        }
        await this.#die(job.key, outcome.kind === "unused" ? "authorization_expired" : "nonce_spent_elsewhere");
        return true;
      }
    }
  }

  async #expired(expiresAt: bigint): Promise<boolean> {
    const deadlineMs = Number(expiresAt) * 1000 + this.#options.expiryMarginMs;
    if (Date.now() >= deadlineMs) return true;
    const head = await this.#parts.chain.provider.getBlock("latest");
    return head !== null && head.timestamp * 1000 >= deadlineMs;
  }

  async #settle(key: string, transaction: Hex | undefined): Promise<void> {
    if (!(await this.#parts.store.markSettled(key, transaction))) return;
    this.#parts.logger.debug({ key, transaction }, "payment settled");
    await this.#announce("settled", key);
  }

  async #die(key: string, reason: string): Promise<void> {
    if (!(await this.#parts.store.markDead(this.#jobs.worker, key, reason))) return;
    this.#parts.logger.warn({ key, reason }, "payment cannot be charged");
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
    const { minRetryMs, maxRetryMs, maxAttempts } = this.#options;
    const hopeless = reason.startsWith(REVERTED) && job.attempts + 1 >= maxAttempts;
    if (job.expiresAt > FAR_FUTURE && hopeless) return this.#die(job.key, reason);
    const pause = Math.min(maxRetryMs, minRetryMs * 2 ** Math.min(job.attempts, 20));
    await this.#parts.store.postpone(this.#jobs.worker, job.key, Date.now() + pause, reason);
    this.#parts.logger.debug({ key: job.key, reason, pause }, "payment postponed");
  }

  async #get(key: string): Promise<PaymentJob> {
    const job = await this.#parts.store.find(key);
    if (job === undefined) throw new Error(`No payment job ${key}`);
    return job;
  }

  /** A block old enough for whatever is not settled now not to be settled at its end. */
  recentBlock(): Promise<number> {
    return this.#recent.number();
  }
}

/** Unix seconds; what expires later has no deadline to speak of. */
const FAR_FUTURE = 1n << 40n;
