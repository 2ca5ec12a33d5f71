import { randomUUID } from "node:crypto";
import type { Logger } from "pino";
import type { Hex } from "../receipts/types.ts";
import { PaymentError } from "./PaymentError.ts";
import type { PaymentJob, PaymentStore, Worker } from "./PaymentStore.ts";

export interface LeasedJobsOptions {
  store: PaymentStore;
  logger: Logger;
  /** How many may be worked on at a time. */
  limit: number;
  /** How long other facilitators keep off a job that this one works on; renewed while it does. */
  leaseMs: number;
  /** The longest pause between two looks into the store. */
  pollMs: number;
  /** Works on a job until its lease may end. Its failures are its own to handle. */
  work: (job: PaymentJob) => Promise<void>;
}

/** Takes due jobs from the store, keeps their leases while they are worked on, and looks again when there may be more. */
export class LeasedJobs {
  readonly #options: LeasedJobsOptions;
  readonly #busy = new Map<string, Promise<void>>();
  /** Leased again while the work before was still ending. */
  readonly #again = new Map<string, PaymentJob>();
  #worker: Worker | undefined;
  #renewal: NodeJS.Timeout | undefined;
  #wake: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;
  #lookAgain = false;
  #deaf: Promise<(() => Promise<void>) | undefined> | undefined;

  constructor(options: LeasedJobsOptions) {
    this.#options = options;
  }

  /** Who holds the leases. @throws PaymentError stopped */
  get worker(): Worker {
    if (this.#worker === undefined) throw new PaymentError("stopped", "Call start() before settling payments");
    return this.#worker;
  }

  start(account: Hex): void {
    this.#worker = { account, id: randomUUID() };
    this.#renewal = setInterval(() => void this.#renew(), this.#options.leaseMs / 3);
    this.#renewal.unref();
    this.#deaf = this.#options.store
      .onWork?.(account, () => this.look())
      .catch((error: unknown) => {
        this.#options.logger.error({ err: error }, "payment store tells of no work; it is looked into instead");
        return undefined;
      });
    this.look();
  }

  /** Takes no more jobs. @returns once those at work have ended. */
  async stop(): Promise<void> {
    const looking = this.#looking;
    clearInterval(this.#renewal);
    clearTimeout(this.#wake);
    this.#renewal = undefined;
    await (
      await this.#deaf
    )?.();
    await looking;
    await Promise.all(this.#busy.values());
  }

  isBusy(key: string): boolean {
    return this.#busy.has(key);
  }

  /** Looks for due jobs; when it is looking already, once more afterwards. */
  look(): void {
    if (this.#looking !== undefined) {
      this.#lookAgain = true;
      return;
    }
    if (this.#renewal === undefined) return;
    this.#looking = this.#takeDue()
      .catch((error: unknown) => {
        this.#options.logger.error({ err: error }, "payment store unavailable");
        this.#wakeIn(this.#options.pollMs);
      })
      .finally(() => {
        this.#looking = undefined;
        if (!this.#lookAgain) return;
        this.#lookAgain = false;
        this.look();
      });
  }

  async #takeDue(): Promise<void> {
    const { store, leaseMs, pollMs } = this.#options;
    const limit = this.#options.limit - this.#busy.size;
    const nowMs = Date.now();
    const jobs = limit > 0 ? await store.claimDue({ worker: this.worker, nowMs, limit, leaseMs }) : [];
    for (const job of jobs) {
      if (this.#busy.has(job.key)) this.#again.set(job.key, job);
      else this.#work(job);
    }
    const next = await store.nextDueAtMs(this.worker.account, nowMs);
    this.#wakeIn(next === undefined ? pollMs : Math.max(1, next - Date.now()));
  }

  #wakeIn(ms: number): void {
    clearTimeout(this.#wake);
    if (this.#renewal === undefined) return;
    this.#wake = setTimeout(() => this.look(), Math.min(ms, this.#options.pollMs));
    this.#wake.unref();
  }

  #work(job: PaymentJob): void {
    const work = this.#options
      .work(job)
      .catch((error: unknown) => this.#options.logger.error({ key: job.key, err: error }, "payment job dropped"))
      .finally(() => {
        this.#busy.delete(job.key);
        const again = this.#again.get(job.key);
        this.#again.delete(job.key);
        if (again !== undefined && this.#renewal !== undefined) this.#work(again);
        else this.look();
      });
    this.#busy.set(job.key, work);
  }

  async #renew(): Promise<void> {
    if (this.#busy.size === 0) return;
    const { store, leaseMs, logger } = this.#options;
    await store
      .renewLeases(this.worker, [...this.#busy.keys()], Date.now() + leaseMs)
      .catch((error: unknown) => logger.error({ err: error }, "leases not renewed"));
  }
}
