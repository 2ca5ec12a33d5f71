import type { TransactionRequest } from "ethers";
import type { Logger } from "pino";

import { ContractRevertError } from "../chain/ContractRevertError.ts";
import { delay } from "../chain/delay.ts";
import type { TransactionSubmitter } from "../chain/TransactionSubmitter.ts";
import type { Hex } from "../receipts/types.ts";
import { BlobMismatchError, type BlobStore } from "../storage/BlobStore.ts";
import type { BatchStore, StoredBatch } from "./BatchStore.ts";
import type { BatchPlace, ReceiptSource } from "./ReceiptSource.ts";
import { collectVotes, packVotes, type CollectedVotes } from "./collectVotes.ts";
import { BatchStatus, type BatchRecord, type SettlementView } from "./SettlementView.ts";
import { untilAborted } from "./untilAborted.ts";
import { wallTime } from "./wallTime.ts";

/** The points between two things that last; a simulation kills a settler at any of them. */
export type SettlementStep = "stored" | "marked" | "uploaded" | "voted" | "posted" | "submitted" | "ended";

/** How a batch ended. `unchallenged`: without a quorum, when the window was over. */
export type BatchOutcome = "attested" | "unchallenged" | "rejected" | "abandoned";

export interface BatchPosterOptions {
  store: BatchStore;
  /** Is told where its receipts are. */
  source: Pick<ReceiptSource, "markPlaced">;
  blobs: BlobStore;
  view: SettlementView;
  /** Sends from the operator's submitter key. */
  submitter: TransactionSubmitter;
  /** Base URLs of the verifiers to ask. */
  verifiers: () => Promise<readonly string[]>;
  logger: Logger;
  /** False posts without votes, as an operator does whose verifiers don't answer. */
  collectVotes: boolean;
  /** For one round of questions. */
  voteTimeoutMs: number;
  /** After this long without a quorum the batch is posted with a bond, and votes may follow. */
  quorumPatienceMs: number;
  /** Before the second look at an open batch; grows with every further one. */
  pollMs: number;
  onStep: (step: SettlementStep, batchId: Hex) => void | Promise<void>;
}

const LONGEST_WAIT_POLLS = 25;

/** What a run has done for a batch. */
interface Run {
  uploaded: boolean;
  startedMs: number;
  /** That posted it. */
  transaction?: Hex;
}

/** Beyond a contract's deadline, so that a small reorganisation cannot bring the moment back. */
const DEADLINE_MARGIN_SECONDS = 600n;

/**
 * Brings stored batches to their end. Every round begins with what the chain says, so it does not matter where the last one was
 * interrupted: the header is fixed in the store, and the contract takes a header once.
 */
export class BatchPoster {
  readonly #options: BatchPosterOptions;

  constructor(options: BatchPosterOptions) {
    this.#options = options;
  }

  /** @returns undefined when `signal` aborted first. */
  async settle(batchId: Hex, signal: AbortSignal): Promise<BatchOutcome | undefined> {
    const { store, logger, pollMs } = this.#options;
    let waitMs = pollMs;
    const run: Run = { uploaded: false, startedMs: performance.now() };
    while (!signal.aborted) {
      try {
        const batch = store.get(batchId);
        if (!batch) throw new Error(`Expected batch ${batchId} in the store, found none`);
        const outcome = await this.#advance(batch, run, signal);
        if (outcome) return outcome;
      } catch (error) {
        if (signal.aborted) return undefined;
        logger.warn({ err: error, batchId }, "batch has to wait");
      }
      await delay(waitMs, signal);
      waitMs = Math.min(waitMs * 2, pollMs * LONGEST_WAIT_POLLS);
    }
    return undefined;
  }

  /** One round. */
  async #advance(batch: StoredBatch, run: Run, signal: AbortSignal): Promise<BatchOutcome | undefined> {
    const { store, view, logger } = this.#options;
    const { batchId } = batch;
    if ((await view.record(batchId)).status === BatchStatus.None) {
      if (batch.state === "submitted") {
        logger.warn({ batchId }, "batch is no longer on chain: a reorganisation");
        store.markStored(batchId);
      }
      if (await this.#cannotBePosted(batch)) return this.#abandon(batchId);
      if (!run.uploaded) await this.#upload(batch, signal);
      run.uploaded = true;
      if (!(await this.#post(batch, run, signal))) return undefined;
      await this.#options.onStep("posted", batchId);
    }
    let record = await view.confirmedRecord(batchId);
    if (record.status === BatchStatus.None) return undefined;
    if (store.markSubmitted(batchId, Date.now())) {
      await this.#place(batch, run, "posted");
      await this.#options.onStep("submitted", batchId);
    }
    if (record.status === BatchStatus.Pending) {
      await this.#close(batch, record, signal);
      record = await view.confirmedRecord(batchId);
    }
    switch (record.status) {
      case BatchStatus.Attested:
        return this.#end(batch, run, "attested");
      case BatchStatus.Unchallenged:
        return this.#end(batch, run, "unchallenged");
      case BatchStatus.Rejected:
        return this.#end(batch, run, "rejected");
      default:
        return undefined;
    }
  }

  async #upload({ batchId, header, blob }: StoredBatch, signal: AbortSignal): Promise<void> {
    const stored = await untilAborted(this.#options.blobs.put(blob), signal);
    if (stored !== header.blobId) throw new BlobMismatchError(header.blobId, stored);
    await this.#options.onStep("uploaded", batchId);
  }

  /** @returns whether the batch is on chain now. */
  async #post(batch: StoredBatch, run: Run, signal: AbortSignal): Promise<boolean> {
    const { view, onStep, quorumPatienceMs, logger } = this.#options;
    const { batchId, header, royalties } = batch;
    const { votes, quorum, failures } = await this.#ask(batch, 0n, signal);
    if (signal.aborted) return false;
    if (!quorum && this.#options.collectVotes) {
      const patient = performance.now() - run.startedMs < quorumPatienceMs;
      logger[patient ? "debug" : "warn"]({ batchId, votes: votes.size, failures }, "no quorum for a batch");
      if (patient) return false;
    }
    await onStep("voted", batchId);
    const { seats, signatures } = packVotes(votes);
    const call = view.settlement.submitBatch.populateTransaction(header, [...royalties], seats, signatures);
    const sent = await this.#send(call, `batch ${batchId.slice(0, 10)}`, ["AlreadyPosted"], signal);
    // of one that was there already, the chain is asked
    if (sent === undefined) delete run.transaction;
    else run.transaction = sent;
    return true;
  }

  /** Tries to end a pending batch: with the missing votes, or when its window is over. */
  async #close(batch: StoredBatch, record: BatchRecord, signal: AbortSignal): Promise<void> {
    const { view } = this.#options;
    const { batchId, header, royalties } = batch;
    const until = record.postedAt + (await view.terms(record.terms)).window;
    const chainTime = await view.time();
    if (chainTime > until || wallTime() > until) {
      const call = view.settlement.finalise.populateTransaction(header, [...royalties]);
      // A chain that mines only on demand may not know yet that the window is over
      await this.#send(call, `finalise ${batchId.slice(0, 10)}`, ["WrongStatus", "WindowOpen"], signal);
      return;
    }
    if (!this.#options.collectVotes) return;
    const { votes, quorum } = await this.#ask(batch, record.approvals, signal);
    if (!quorum || votes.size === 0 || signal.aborted) return;
    const { seats, signatures } = packVotes(votes);
    const call = view.settlement.attest.populateTransaction(header, [...royalties], seats, signatures);
    await this.#send(call, `attest ${batchId.slice(0, 10)}`, ["WrongStatus", "WindowClosed"], signal);
  }

  async #ask({ batchId, header }: StoredBatch, approvals: bigint, signal: AbortSignal): Promise<CollectedVotes> {
    if (!this.#options.collectVotes) return { votes: new Map(), quorum: false, failures: [] };
    const [set, urls] = await Promise.all([this.#options.view.verifierSet(header.setId), this.#options.verifiers()]);
    const timeoutMs = this.#options.voteTimeoutMs;
    return collectVotes({ header, digest: batchId, set, urls, timeoutMs, approvals, signal });
  }

  /** @returns the transaction once mined, or undefined when it reverts with one of `done`: somebody else was faster. */
  async #send(
    call: Promise<TransactionRequest>,
    label: string,
    done: readonly string[],
    signal: AbortSignal,
  ): Promise<Hex | undefined> {
    try {
      const { hash } = await untilAborted(this.#options.submitter.submit(call, { label }), signal);
      return hash as Hex;
    } catch (error) {
      if (error instanceof ContractRevertError && done.includes(error.errorName)) return undefined;
      throw error;
    }
  }

  /** Whether the contract would refuse the batch now and at any time to come. */
  async #cannotBePosted({ header }: StoredBatch): Promise<boolean> {
    const { view } = this.#options;
    const [chainTime, usableUntil, { terms }] = await Promise.all([
      view.time(),
      view.setUsableUntil(header.setId),
      view.state(),
    ]);
    const { receiptDeadline } = await view.terms(terms);
    const until = [header.servedFrom + receiptDeadline, usableUntil ?? 0n].reduce((a, b) => (a < b ? a : b));
    return chainTime > until + DEADLINE_MARGIN_SECONDS;
  }

  async #abandon(batchId: Hex): Promise<BatchOutcome> {
    this.#options.logger.warn({ batchId }, "batch came too late for the chain: its receipts go into another");
    this.#options.store.abandon(batchId, Date.now());
    await this.#options.onStep("ended", batchId);
    return "abandoned";
  }

  async #end(batch: StoredBatch, run: Run, outcome: "attested" | "unchallenged" | "rejected"): Promise<BatchOutcome> {
    const { batchId } = batch;
    const state = outcome === "rejected" ? "rejected" : "final";
    await this.#place(batch, run, state);
    this.#options.store.markEnded(batchId, state, Date.now());
    await this.#options.onStep("ended", batchId);
    return outcome;
  }

  /** Says where the batch is. */
  async #place({ batchId, header }: StoredBatch, run: Run, state: BatchPlace["state"]): Promise<void> {
    const { view, source, logger } = this.#options;
    // it is told without one rather than not at all
    const found = run.transaction ?? (await view.postedBy(batchId).catch(() => undefined));
    if (found === undefined) logger.debug({ batchId }, "the transaction that posted the batch is not known");
    else run.transaction = found;
    source.markPlaced({ batchId, state, blobId: header.blobId, transaction: found });
  }
}
