import type { Logger } from "pino";

import { ContractRevertError } from "../chain/ContractRevertError.ts";
import type { TransactionSubmitter } from "../chain/TransactionSubmitter.ts";
import { SettlementHasher } from "../receipts/eip712.ts";
import { recoverAddress } from "../receipts/secp256k1.ts";
import type { BatchHeader, Hex, SignedReceipt } from "../receipts/types.ts";
import { walrusBlobId } from "../storage/walrusBlobId.ts";
import { fittingReceipts, MAX_BATCH_RECEIPTS } from "./batchBlob.ts";
import type { SettlementStep } from "./BatchPoster.ts";
import type { BatchStore, NewBatch } from "./BatchStore.ts";
import { batchHeader, draftBatch } from "./buildBatch.ts";
import type { ReceiptSource, StoredReceipt } from "./ReceiptSource.ts";
import type { RoyaltyTerms } from "./royalties.ts";
import { screenReceipts, type ScreenedReceipts } from "./screenReceipts.ts";
import type { SettlementView } from "./SettlementView.ts";
import { untilAborted } from "./untilAborted.ts";
import { wallTime } from "./wallTime.ts";

export interface BatchFormerOptions {
  operator: Hex;
  store: BatchStore;
  source: ReceiptSource;
  view: SettlementView;
  submitter: TransactionSubmitter;
  logger: Logger;
  maxReceipts: number;
  individualFeeWei: bigint;
  onStep: (step: SettlementStep, batchId: Hex) => void | Promise<void>;
  tamper?: ((receipts: SignedReceipt[]) => SignedReceipt[]) | undefined;
  tamperHeader?: ((header: BatchHeader) => BatchHeader) | undefined;
}

/** There is no verifier set that a batch could name, and none can be made: too few verifiers are seated. */
export class NoVerifierSetError extends Error {
  override readonly name = "NoVerifierSetError";
  readonly code = "no_verifier_set";
}

/** A verifier set is renewed when it has this long left. */
const SET_RENEWAL_SECONDS = 3_600n;
/** Receipts go into a batch this long before their deadline, or not at all. */
const DEADLINE_MARGIN_SECONDS = 600n;
const NO_ROYALTY: RoyaltyTerms = { owner: `0x${"00".repeat(20)}`, royaltyBps: 0 };

/** Makes batches of what waits in the outbox. A batch is stored, with its receipts taken, before anything of it leaves. */
export class BatchFormer {
  readonly #options: BatchFormerOptions;
  readonly #hasher: SettlementHasher;
  /** Receipts that had to stay in the source last time: those that share batches, and those that don't. */
  #heldBack = { shared: 0, individual: 0 };
  /** Whether the last batch was of one receipt that asked for it: others are next, if it is time for them. */
  #wasIndividual = false;
  /** When receipts began to wait, on the clock of performance.now(). */
  #waitingSinceMs: number | undefined;

  constructor(options: BatchFormerOptions) {
    this.#options = { ...options, maxReceipts: Math.min(options.maxReceipts, MAX_BATCH_RECEIPTS) };
    this.#hasher = new SettlementHasher(options.view.domain);
  }

  /**
   * @param maxAgeMs fewer receipts than fill a batch wait this long for more, by this process's clock: receipts may be dated by a chain's.
   * Those that asked for a batch of their own wait for nothing.
   * @returns the batch's id; undefined when there is nothing to batch now.
   */
  async form(maxAgeMs: number, signal: AbortSignal): Promise<Hex | undefined> {
    const { store, source, onStep } = this.#options;
    const receipts = await this.#next(maxAgeMs);
    if (receipts.length === 0) return undefined;
    const batch = await this.#build(receipts, signal);
    const requestIds = receipts.map(({ receipt }) => receipt.requestId);
    store.insert(batch, requestIds);
    if (!this.#wasIndividual) this.#waitingSinceMs = undefined;
    await onStep("stored", batch.batchId);
    source.markBatched(requestIds, batch.batchId);
    await onStep("marked", batch.batchId);
    return batch.batchId;
  }

  /** The receipts of the next batch. Both sorts take turns, so that neither waits for as long as the other goes on. */
  async #next(maxAgeMs: number): Promise<StoredReceipt[]> {
    const turns = this.#wasIndividual ? [false, true] : [true, false];
    for (const individual of turns) {
      const receipts = await (individual ? this.#nextIndividual() : this.#nextShared(maxAgeMs));
      if (receipts.length === 0) continue;
      this.#wasIndividual = individual;
      return receipts;
    }
    return [];
  }

  async #nextIndividual(): Promise<StoredReceipt[]> {
    const { individualFeeWei } = this.#options;
    const waiting = this.#fresh(this.#individual((fee) => fee >= individualFeeWei));
    if (waiting.length === 0) return [];
    const { settleable, heldBack } = await this.#screened(waiting);
    this.#heldBack.individual = heldBack.length;
    return settleable.slice(0, 1);
  }

  /** Receipts that asked for a batch of their own, by their fee. */
  #individual(counts: (feeWei: bigint) => boolean): StoredReceipt[] {
    const { store, source, maxReceipts } = this.#options;
    const limit = maxReceipts + this.#heldBack.individual + store.refusedCount();
    return source.individual(limit).filter(({ receipt }) => counts(receipt.fee));
  }

  async #nextShared(maxAgeMs: number): Promise<StoredReceipt[]> {
    const { store, source, maxReceipts, individualFeeWei } = this.#options;
    const limit = maxReceipts + this.#heldBack.shared + store.refusedCount();
    const cheap = this.#individual((fee) => fee < individualFeeWei);
    const waiting = this.#fresh([...store.returned(limit), ...cheap, ...source.unbatched(limit)]);
    if (waiting.length === 0) {
      this.#waitingSinceMs = undefined;
      return [];
    }
    const sinceMs = (this.#waitingSinceMs ??= performance.now());
    if (waiting.length < maxReceipts && performance.now() - sinceMs < maxAgeMs) return [];
    const { settleable, heldBack } = await this.#screened(waiting);
    this.#heldBack.shared = heldBack.length;
    if (settleable.length === 0) this.#waitingSinceMs = undefined;
    return fittingReceipts(settleable.slice(0, maxReceipts));
  }

  /** Those that are in no batch, those of abandoned batches first. */
  #fresh(offered: readonly StoredReceipt[]): StoredReceipt[] {
    const { store, source } = this.#options;
    const fresh: StoredReceipt[] = [];
    for (const signed of offered) {
      const { requestId } = signed.receipt;
      const batchId = store.batchOf(requestId);
      // Taken before a crash, and the source does not know yet
      if (batchId) source.markBatched([requestId], batchId);
      else if (store.refusalOf(requestId) === undefined) fresh.push(signed);
    }
    return [...new Map(fresh.map((signed) => [signed.receipt.requestId, signed])).values()];
  }

  /** What may go into a batch now, and what later. */
  async #screened(waiting: readonly StoredReceipt[]): Promise<ScreenedReceipts<StoredReceipt>> {
    const { operator, view, store, logger } = this.#options;
    const [chainTime, { terms }] = await Promise.all([view.time(), view.state()]);
    const [{ receiptDeadline }, models, signers] = await Promise.all([
      view.terms(terms),
      view.models(waiting.map(({ receipt }) => receipt.modelId)),
      view.signers(waiting.flatMap((signed) => this.#signerOf(signed) ?? [])),
    ]);
    const latest = later(chainTime, wallTime());
    const earliest = latest - receiptDeadline + earlier(DEADLINE_MARGIN_SECONDS, receiptDeadline / 4n);
    const facts = { operator, hasher: this.#hasher, signers, models, earliest, latest };
    const screened = screenReceipts(waiting, facts);
    for (const { receipt, reason } of screened.refused) {
      logger.error({ requestId: receipt.receipt.requestId, reason }, "receipt can not be settled");
      store.refuse(receipt.receipt.requestId, reason);
    }
    return screened;
  }

  async #build(receipts: readonly StoredReceipt[], signal: AbortSignal): Promise<NewBatch> {
    const { operator, view, tamper, tamperHeader } = this.#options;
    const { seen, setId } = await this.#usableSet(signal);
    const chosen = tamper ? tamper([...receipts]) : receipts;
    const models = new Map<Hex, RoyaltyTerms>(await view.models(chosen.map(({ receipt }) => receipt.modelId)));
    if (tamper)
      for (const { receipt } of chosen) models.set(receipt.modelId, models.get(receipt.modelId) ?? NO_ROYALTY);
    const draft = draftBatch({ domain: view.domain, operator, receipts: chosen, models });
    const honest = batchHeader(draft, { blobId: await walrusBlobId(draft.blob), setId, seen });
    const header = tamperHeader ? tamperHeader(honest) : honest;
    return {
      batchId: this.#hasher.batchDigest(header),
      header,
      royalties: draft.royalties,
      blob: draft.blob,
      servedAtMs: receipts.map(servedAtMs),
      storedAtMs: Date.now(),
    };
  }

  /** The verifier set to name, a new one when there is none or it is about to become too old, and the last batch known. */
  async #usableSet(signal: AbortSignal): Promise<{ setId: number; seen: number }> {
    const { view, submitter, logger } = this.#options;
    const now = later(await view.time(), wallTime());
    const current = await view.state();
    const until = await view.setUsableUntil(current.setId);
    if (until !== undefined && until >= now + SET_RENEWAL_SECONDS)
      return { setId: current.setId, seen: current.sequence };
    try {
      const call = view.settlement.snapshot.populateTransaction();
      await untilAborted(submitter.submit(call, { label: "snapshot of the verifier seats" }), signal);
    } catch (error) {
      // SetNotUsable: somebody else was faster, or the present one is younger than the shortest interval
      if (!(error instanceof ContractRevertError)) throw error;
      logger.debug({ err: error }, "no new verifier set");
    }
    const { setId, sequence } = await view.state();
    const usable = (await view.setUsableUntil(setId)) ?? 0n;
    if (usable < now)
      throw new NoVerifierSetError("Expected enough seated verifiers for a verifier set, found too few");
    return { setId, seen: sequence };
  }

  #signerOf({ receipt, signature }: SignedReceipt): Hex | undefined {
    return recoverAddress(this.#hasher.receiptDigest(receipt), signature);
  }
}

/** A chain's clock may be ahead. */
const servedAtMs = ({ storedAtMs, receipt }: StoredReceipt): number =>
  Math.min(storedAtMs ?? Number(receipt.servedAt) * 1_000, Date.now());

const later = (a: bigint, b: bigint): bigint => (a > b ? a : b);
const earlier = (a: bigint, b: bigint): bigint => (a < b ? a : b);
