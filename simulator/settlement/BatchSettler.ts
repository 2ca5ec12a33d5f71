import type { Logger } from "pino";

import type { Chain } from "../chain/connectChain.ts";
import { delay } from "../chain/delay.ts";
import type { TransactionSubmitter } from "../chain/TransactionSubmitter.ts";
import type { BatchHeader, Hex, SignedReceipt } from "../receipts/types.ts";
import type { BlobStore } from "../storage/BlobStore.ts";
import { BatchFormer } from "./BatchFormer.ts";
import { BatchPoster, type BatchOutcome, type SettlementStep } from "./BatchPoster.ts";
import { BatchStore, type BatchState } from "./BatchStore.ts";
import type { ReceiptSource } from "./ReceiptSource.ts";
import { SettlementView } from "./SettlementView.ts";

/** What became of a batch. */
export interface SettlementEvent {
  type: "stored" | "submitted" | BatchOutcome;
  batchId: Hex;
  header: BatchHeader;
  /** Unix milliseconds. */
  atMs: number;
  /** From each receipt's answer to now. Exact where the source says when an answer was stored, else from the whole second of `servedAt`. */
  latenciesMs: number[];
}

/** What a dishonest or a failing operator does, for simulations. */
export interface SettlementFaults {
  /** Replaces the receipts of a batch before it is built. */
  tamper?: (receipts: SignedReceipt[]) => SignedReceipt[];
  /** Changes a header before it is stored, voted on and posted. */
  tamperHeader?: (header: BatchHeader) => BatchHeader;
  /** False posts without votes. */
  collectVotes?: boolean;
  /** Awaited between any two things that last: one that never returns is a process that was killed there. */
  onStep?: (step: SettlementStep, batchId: Hex) => void | Promise<void>;
}

export interface BatchSettlerOptions {
  operator: Hex;
  chain: Chain;
  contracts: { settlement: Hex; models: Hex; nodes: Hex };
  /** Of the key that ProofSettlement knows as the operator's submitter; started and stopped by its owner. */
  submitter: TransactionSubmitter;
  source: ReceiptSource;
  blobs: BlobStore;
  /** SQLite file of this settler alone. */
  databaseFile: string;
  /** Base URLs of verifiers, see `registeredVerifiers`. */
  verifiers: () => Promise<readonly string[]>;
  logger: Logger;
  /** A batch is made of this many receipts… Default 256. */
  maxReceipts?: number;
  /** …or when the oldest has waited this long. Default 10 s. */
  maxAgeMs?: number;
  /** What an answer has to cost, wei, for its client to have it settled in a batch of its own, which is a transaction. Default 0. */
  individualFeeWei?: bigint;
  /** Batches on their way to the chain at one time; further receipts wait in the source. Default 4. */
  maxUnposted?: number;
  /** How often source and open batches are looked at. Default 200 ms. */
  pollMs?: number;
  /** For one round of questions to the verifiers. Default 10 s. */
  voteTimeoutMs?: number;
  /** After this long without a quorum a batch is posted with a bond. Default 30 s. */
  quorumPatienceMs?: number;
  /** Blocks a batch has to be deep on chain, its own included. Default 1. */
  confirmations?: number;
  onEvent?: (event: SettlementEvent) => void;
  faults?: SettlementFaults;
}

const LONGEST_WAIT_POLLS = 25;

/**
 * Settles one operator's receipts: takes them from its node's outbox in batches and brings every batch to its end on chain, whatever
 * crashes in between. Nothing is lost, and nothing is posted twice.
 */
export class BatchSettler {
  readonly #options: Omit<BatchSettlerOptions, keyof typeof DEFAULTS> & typeof DEFAULTS;
  readonly #faults: SettlementFaults;
  readonly #view: SettlementView;
  readonly #runs = new Map<Hex, Promise<void>>();
  #store: BatchStore | undefined;
  #former: BatchFormer | undefined;
  #poster: BatchPoster | undefined;
  #running: AbortController | undefined;
  #loop: Promise<void> = Promise.resolve();
  #forming: Promise<unknown> = Promise.resolve();

  constructor(options: BatchSettlerOptions) {
    const operator = options.operator.toLowerCase() as Hex;
    const logger = options.logger.child({ actor: "settler", operator });
    this.#options = { ...DEFAULTS, ...options, operator, logger };
    this.#faults = options.faults ?? {};
    const { chain, contracts, confirmations } = this.#options;
    this.#view = new SettlementView({ chain, ...contracts, confirmations });
  }

  /** Number of batches by state. @throws Error before start(). */
  get counts(): Record<BatchState, number> {
    return this.#started(this.#store).counts();
  }

  /** Continues what an earlier run left open. */
  start(): Promise<void> {
    if (this.#running) return Promise.resolve();
    const { signal } = (this.#running = new AbortController());
    const store = (this.#store = new BatchStore(this.#options.databaseFile));
    const shared = {
      ...this.#options,
      store,
      view: this.#view,
      onStep: (step: SettlementStep, batchId: Hex) => this.#step(step, batchId),
    };
    const { tamper, tamperHeader, collectVotes = true } = this.#faults;
    this.#former = new BatchFormer({ ...shared, tamper, tamperHeader });
    this.#poster = new BatchPoster({ ...shared, collectVotes });
    for (const { batchId } of store.open()) this.#launch(batchId, signal);
    this.#loop = this.#run(signal);
    return Promise.resolve();
  }

  /** Ends at once; open batches stay open in the store. */
  async stop(): Promise<void> {
    this.#running?.abort();
    this.#running = undefined;
    await Promise.all([this.#loop, this.#forming.catch(() => undefined), ...this.#runs.values()]);
    this.#store?.close();
    this.#store = undefined;
  }

  /** Makes batches of all that waits now, however few and young. */
  async flush(): Promise<void> {
    while (await this.#form(0));
  }

  /** Resolves when no batch is open, or the settler is stopped. */
  async idle(): Promise<void> {
    while (this.#runs.size > 0) await Promise.all(this.#runs.values());
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { logger, pollMs, maxAgeMs, maxUnposted } = this.#options;
    let waitMs = pollMs;
    while (!signal.aborted) {
      try {
        waitMs = pollMs;
        while (!signal.aborted && this.counts.stored < maxUnposted && (await this.#form(maxAgeMs)));
      } catch (error) {
        if (signal.aborted) return;
        waitMs = Math.min(waitMs * 2, pollMs * LONGEST_WAIT_POLLS);
        logger.warn({ err: error }, "receipts have to wait");
      }
      await delay(waitMs, signal);
    }
  }

  /** One batch at a time: two would take the same receipts. */
  #form(maxAgeMs: number): Promise<boolean> {
    const formed = this.#forming.then(async () => {
      const { signal } = this.#started(this.#running);
      const batchId = await this.#started(this.#former).form(maxAgeMs, signal);
      if (batchId) this.#launch(batchId, signal);
      return batchId !== undefined;
    });
    this.#forming = formed.catch(() => undefined);
    return formed;
  }

  #launch(batchId: Hex, signal: AbortSignal): void {
    const run = this.#started(this.#poster)
      .settle(batchId, signal)
      .then((outcome) => {
        if (outcome) this.#tell(outcome, batchId);
      })
      .catch((error: unknown) => this.#options.logger.error({ err: error, batchId }, "batch was left"))
      .finally(() => this.#runs.delete(batchId));
    this.#runs.set(batchId, run);
  }

  async #step(step: SettlementStep, batchId: Hex): Promise<void> {
    if (step === "stored" || step === "submitted") this.#tell(step, batchId);
    await this.#faults.onStep?.(step, batchId);
  }

  #tell(type: SettlementEvent["type"], batchId: Hex): void {
    const batch = this.#store?.get(batchId);
    if (!batch) return;
    const atMs = Date.now();
    const { header, servedAtMs } = batch;
    this.#options.logger.info({ batchId, count: header.count, fees: header.fees.toString() }, `batch ${type}`);
    this.#options.onEvent?.({
      type,
      batchId,
      header,
      atMs,
      latenciesMs: servedAtMs.map((servedMs) => atMs - servedMs),
    });
  }

  #started<T>(part: T | undefined): T {
    if (part === undefined)
      throw new Error("Expected a started batch settler, found a stopped one: call start() first");
    return part;
  }
}

const DEFAULTS = {
  maxReceipts: 256,
  maxAgeMs: 10_000,
  individualFeeWei: 0n,
  maxUnposted: 4,
  pollMs: 200,
  voteTimeoutMs: 10_000,
  quorumPatienceMs: 30_000,
  confirmations: 1,
};
