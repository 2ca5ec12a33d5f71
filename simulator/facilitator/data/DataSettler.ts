import type { Logger } from "pino";
import type { SettlementType } from "../../receipts/settlementType.ts";
import type { BlobStore } from "../../storage/BlobStore.ts";
import { encodeDataBlob } from "./dataBlob.ts";
import type { DataJobStore } from "./DataJobStore.ts";

export interface DataSettlerOptions {
  jobs: DataJobStore;
  blobs: BlobStore;
  logger: Logger;
  /** Answers per blob of type `batch`. Default 20. */
  batchSize?: number;
  /** A batch is published when its oldest answer has waited so long, full or not, milliseconds. Default 300,000. */
  batchMs?: number;
  /** How often to look for work, milliseconds; new reports are looked at immediately. Default 1,000. */
  pollMs?: number;
  /** How long others leave what is being published to this one, milliseconds. Default 60,000. */
  leaseMs?: number;
  /** Before the second attempt, doubled for each further one, milliseconds. Default 1,000; at most 10 minutes. */
  retryMs?: number;
  /** Default 20. */
  maxAttempts?: number;
}

const MAX_RETRY_MS = 600_000;
const DEFAULTS = { batchSize: 20, batchMs: 300_000, pollMs: 1_000, leaseMs: 60_000, retryMs: 1_000, maxAttempts: 20 };

/** Publishes reported answers: those of type `batch` many in a blob, those of type `individual` each in its own. */
export class DataSettler {
  readonly #options: Required<DataSettlerOptions>;
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<void> | undefined;
  #again = false;
  #stopped = true;

  constructor(options: DataSettlerOptions) {
    this.#options = { ...DEFAULTS, ...options };
  }

  start(): void {
    this.#stopped = false;
    this.#timer = setInterval(() => this.wake(), this.#options.pollMs);
    this.#timer.unref();
    this.wake();
  }

  /** Lets what is being published end. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    await this.#round;
  }

  /** There may be something to publish. */
  wake(): void {
    if (this.#stopped) return;
    if (this.#round !== undefined) {
      this.#again = true;
      return;
    }
    this.#round = this.#work()
      .catch((error: unknown) => this.#options.logger.error({ err: error }, "reported answers not published"))
      .finally(() => {
        this.#round = undefined;
        if (!this.#again) return;
        this.#again = false;
        this.wake();
      });
  }

  async #work(): Promise<void> {
    const { jobs, batchSize, batchMs } = this.#options;
    while (!this.#stopped && (await this.#publish("individual", 1))) continue;
    while (!this.#stopped) {
      const now = Date.now();
      const { count, oldestMs = now } = await jobs.waiting("batch", now);
      if (count === 0 || (count < batchSize && now < oldestMs + batchMs)) return;
      if (!(await this.#publish("batch", batchSize))) return;
    }
  }

  /** @returns whether there was anything to publish. */
  async #publish(type: SettlementType, limit: number): Promise<boolean> {
    const { jobs, blobs, logger, leaseMs, retryMs, maxAttempts } = this.#options;
    const claimed = await jobs.claim({ type, limit, nowMs: Date.now(), leaseMs });
    if (claimed.length === 0) return false;
    const ids = claimed.map(({ id }) => id);
    try {
      const blobId = await blobs.put(encodeDataBlob(claimed));
      await jobs.succeed(ids, blobId, Date.now());
      logger.debug({ blobId, answers: ids.length }, "reported answers published");
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      const attempts = Math.max(...claimed.map((job) => job.attempts));
      const pause = Math.min(MAX_RETRY_MS, retryMs * 2 ** Math.min(attempts, 20));
      logger.warn({ err: error, answers: ids.length }, "reported answers not published; trying again");
      await jobs.retry(ids, reason, Date.now() + pause, maxAttempts, Date.now());
    }
    return true;
  }
}
