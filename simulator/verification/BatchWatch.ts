import type { TransactionReceipt } from "ethers";
import type { Logger } from "pino";

import { ContractRevertError } from "../chain/ContractRevertError.ts";
import { delay } from "../chain/delay.ts";
import type { TransactionSubmitter } from "../chain/TransactionSubmitter.ts";
import type { SettlementHasher } from "../receipts/eip712.ts";
import type { Signer } from "../receipts/secp256k1.ts";
import type { BatchHeader, Hex } from "../receipts/types.ts";
import { BatchStatus } from "../settlement/SettlementView.ts";
import type { BatchIndex, BatchJob, Verdict } from "./BatchIndex.ts";
import { BlobUnavailableError, type BlobReader } from "./BlobReader.ts";
import { ChallengeUnavailableError, challengeTransaction, type ChallengeTools } from "./challenge.ts";
import { checkBatch } from "./checkBatch.ts";
import { describeFault, isProvable, type Fault, type ProvableFault } from "./Fault.ts";
import type { OpenBatch } from "./openBatch.ts";
import { duplicateFault, firstLiveUse, sharedRequests } from "./priorUse.ts";
import type { Refuter } from "./Refuter.ts";
import { turnOf } from "./stagger.ts";
import type { PaidTransaction, Tell } from "./VerifierEvents.ts";
import type { PostedRecord, VerifierView } from "./VerifierView.ts";

export interface BatchWatchOptions {
  index: BatchIndex;
  view: VerifierView;
  hasher: SettlementHasher;
  reader: BlobReader;
  voter: Signer;
  submitter: TransactionSubmitter;
  logger: Logger;
  tell: Tell;
  /** Without, wrong outputs of zk models are not proven wrong on chain. */
  refuter?: Refuter | undefined;
  /** Between the turns of two verifiers. */
  staggerMs: number;
  /** Before the second try of something that failed; doubles up to a minute. */
  retryMs: number;
}

/** Batches looked at together. Most of the time goes into waiting for blobs. */
const MAX_CONCURRENT = 8;
const LONGEST_RETRY_MS = 60_000;
/** After some hours of trying. */
const TIRED_RETRY_MS = 600_000;
const TIRED_AFTER = 100;
/** A vote has to be on chain when the window closes, seconds. */
const WINDOW_MARGIN = 10n;

/** A look at a posted batch. */
interface Look {
  job: BatchJob;
  record: PostedRecord;
  batch: OpenBatch;
  faults: readonly Fault[];
  /** No block to come is older, unix seconds. */
  now: bigint;
}

/**
 * Looks at every batch on chain: reads its blob, checks it, votes for it when it is right and lacks votes, and proves it wrong when it is wrong.
 * What is to be done is in the index, so a restart goes on where the last run ended.
 */
export class BatchWatch {
  readonly #options: BatchWatchOptions;
  readonly #busy = new Map<Hex, Promise<void>>();
  readonly #readListeners = new Set<() => void>();
  #wake = new AbortController();
  #running: AbortController | undefined;
  #loop: Promise<void> = Promise.resolve();

  constructor(options: BatchWatchOptions) {
    this.#options = options;
  }

  /** Whether nothing remains to be done about any batch. */
  get isIdle(): boolean {
    return this.#busy.size === 0 && this.#options.index.counts().open === 0;
  }

  start(): void {
    this.#running = new AbortController();
    this.#loop = this.#run(this.#running.signal);
  }

  /** Waits for what is under way. */
  async stop(): Promise<void> {
    this.#running?.abort();
    this.#wake.abort();
    await this.#loop;
    await Promise.all(this.#busy.values());
  }

  posted(batchId: Hex, header: BatchHeader, sequence: number): void {
    this.#options.index.addPosted(batchId, header, sequence, Date.now());
    this.#tellRead();
    this.#wake.abort();
  }

  /** A batch was proven wrong, or that was reorganised away. */
  changed(batchId: Hex): void {
    this.#options.index.wake(batchId, Date.now());
    this.#wake.abort();
  }

  /** Waits until an operator's batches up to `sequence` have been read, or `timeoutMs` are over. */
  async searched(operator: Hex, sequence: number, timeoutMs: number): Promise<void> {
    const { index } = this.#options;
    const late = AbortSignal.timeout(timeoutMs);
    if (index.searchable(operator) < sequence) {
      index.hurry(operator, Date.now());
      this.#wake.abort();
    }
    while (index.searchable(operator) < sequence && !late.aborted) {
      await new Promise<void>((resolve) => {
        const done = () => {
          late.removeEventListener("abort", done);
          this.#readListeners.delete(done);
          resolve();
        };
        late.addEventListener("abort", done);
        this.#readListeners.add(done);
      });
    }
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { index } = this.#options;
    while (!signal.aborted) {
      this.#wake = new AbortController();
      const nowMs = Date.now();
      const due = index.due(nowMs, 2 * MAX_CONCURRENT).filter(({ batchId }) => !this.#busy.has(batchId));
      for (const job of due.slice(0, MAX_CONCURRENT - this.#busy.size)) this.#launch(job);
      const nextMs = index.nextDueMs(nowMs);
      const wait = AbortSignal.any([this.#wake.signal, signal]);
      // a timer of setTimeout holds 24 days at most
      await delay(nextMs === undefined ? LONGEST_RETRY_MS : Math.min(nextMs - nowMs, LONGEST_RETRY_MS), wait);
    }
  }

  #launch(job: BatchJob): void {
    const work = this.#process(job)
      .catch((error: unknown) => this.#retry(job, error))
      .finally(() => {
        this.#busy.delete(job.batchId);
        this.#wake.abort();
      });
    this.#busy.set(job.batchId, work);
  }

  #retry(job: BatchJob, error: unknown): void {
    const { index, logger, tell, retryMs } = this.#options;
    const { batchId, attempts, header } = job;
    const longestMs = attempts < TIRED_AFTER ? LONGEST_RETRY_MS : TIRED_RETRY_MS;
    index.postpone(job, Date.now() + Math.min(retryMs * 2 ** attempts, longestMs));
    if (error instanceof BlobUnavailableError) {
      logger.debug({ batchId, err: error }, "blob of a posted batch cannot be read");
      tell("unreadable", { batchId, blobId: header.blobId, attempts: attempts + 1 });
    } else {
      logger.warn({ batchId, err: error }, "posted batch has to wait");
    }
  }

  async #process(job: BatchJob): Promise<void> {
    const { index, view, tell, logger } = this.#options;
    const { batchId, sequence } = job;
    const record = await view.record(batchId);
    if (record.status === BatchStatus.Rejected) return index.markVoid(batchId);
    // the follower will tell when it was reorganised away
    if (record.status === BatchStatus.None) throw new Error(`Expected batch ${batchId} on chain, found none`);

    const { batch, faults } = await this.#inspect(job);
    const verdict = verdictOf(faults);
    if (verdict !== job.verdict) {
      logger.info({ batchId, sequence, verdict, faults: faults.map(describeFault) }, "judged a batch");
      tell("judged", { batchId, sequence, verdict, faults });
      index.judge(job, verdict, Date.now());
    }
    if (!batch || verdict === "unprovable") return index.finish(job);
    const look = { job, record, batch, faults, now: await view.nextBlockTime() };
    const act = verdict === "wrong" ? await this.#challenge(look) : await this.#attestation(look);
    if (!act) return index.finish(job);
    const turnMs = verdict === job.verdict ? 0 : await this.#turnMs(batch);
    if (turnMs > 0) return index.judge(job, verdict, Date.now() + turnMs);
    await act();
  }

  /** Reads and checks a batch, and keeps what is in it. */
  async #inspect(job: BatchJob): Promise<{ batch: OpenBatch | undefined; faults: Fault[] }> {
    const { index, view, hasher, reader } = this.#options;
    const { batchId, header, sequence, verdict } = job;
    const known = index.contentsOf(batchId)?.blob;
    const blob = known ?? (await reader.read(header.blobId));
    const { batch, covered, faults } = await checkBatch(hasher, view, header, blob);
    if (!batch || !covered) return { batch: undefined, faults };
    if (!known) {
      index.addContents(batchId, { blob, requestIds: batch.receipts.map(({ receipt }) => receipt.requestId) });
      this.#tellRead();
    }
    const uses = sharedRequests(index, batch);
    // When it is read late, what came after it may have been taken for right.
    const after = verdict ? [] : uses.filter((use) => (use.sequence ?? 0) > sequence);
    for (const use of after) index.reopen(use.batchId, Date.now());
    const prior = await firstLiveUse(view, uses, sequence);
    return { batch, faults: prior ? [...faults, duplicateFault(index, hasher, batch, prior)] : faults };
  }

  /** How a wrong batch is challenged; undefined when it is too late, or somebody else has. */
  async #challenge({ job, record, faults, now }: Look): Promise<(() => Promise<void>) | undefined> {
    const { accountability } = await this.#options.view.terms(record.terms);
    if (record.punished || now > record.postedAt + accountability) return undefined;
    return () => this.#prove(job, faults.filter(isProvable));
  }

  async #prove(job: BatchJob, faults: readonly ProvableFault[]): Promise<void> {
    const { index, submitter, tell, logger } = this.#options;
    const { batchId } = job;
    const tools = await this.#tools();
    let unavailable = 0;
    for (const { kind, challenge } of faults) {
      try {
        const label = `${challenge.method} ${batchId.slice(0, 10)}`;
        const transaction = await challengeTransaction(tools, challenge);
        const receipt = await submitter.submit(transaction, { label });
        logger.info({ batchId, fault: kind, transaction: receipt.hash }, "proved a batch wrong");
        tell("challenged", { batchId, fault: kind, method: challenge.method, ...paid(receipt) });
        return index.finish(job);
      } catch (error) {
        if (error instanceof ChallengeUnavailableError) {
          logger.warn({ err: error, batchId, fault: kind }, "a fault cannot be shown");
          unavailable++;
          continue;
        }
        if (!(error instanceof ContractRevertError)) throw error;
        // WrongStatus: somebody else was faster
        if (error.errorName === "WrongStatus" || error.errorName === "AccountabilityEnded") return index.finish(job);
        if (error.errorName !== "NoFault" && error.errorName !== "NotInBatch") throw error;
        logger.error({ err: error, batchId, fault: kind }, "the contract does not see a fault");
      }
    }
    if (unavailable === faults.length) return index.finish(job);
    // Both have looked at the same chain, unless it was being reorganised: look again later.
    throw new Error(`Expected the contract to see a fault in batch ${batchId}`);
  }

  async #tools(): Promise<ChallengeTools> {
    const { view, refuter, submitter } = this.#options;
    const challenger = submitter.address.toLowerCase() as Hex;
    return {
      settlement: view.settlement,
      referee: await view.referee(),
      refutation: refuter && ((referee, challenge) => refuter.prove(referee, challenger, challenge)),
    };
  }

  /** How a right batch is voted for; undefined when it needs no vote of ours. */
  async #attestation({ job, record, batch, now }: Look): Promise<(() => Promise<void>) | undefined> {
    const { index, view, voter } = this.#options;
    const { header } = batch;
    if (record.status !== BatchStatus.Pending) return undefined;
    const [set, { window }] = await Promise.all([view.verifierSet(header.setId), view.terms(record.terms)]);
    const seat = set.signers.indexOf(voter.address);
    const hasVoted = seat >= 0 && ((record.approvals >> BigInt(seat)) & 1n) === 1n;
    if (seat < 0 || hasVoted) return undefined;
    if (now + WINDOW_MARGIN > record.postedAt + window) return undefined;
    // A vote answers for duplicates in every batch up to `seen`, so all of them must have been read.
    if (header.seen > index.searchable(header.operator)) {
      throw new Error(`Expected to have read all batches of ${header.operator} up to ${header.seen}`);
    }
    return () => this.#attest(job, batch, seat);
  }

  async #attest(job: BatchJob, { id, header, receipts, royalties }: OpenBatch, seat: number): Promise<void> {
    const { index, view, voter, submitter, tell, logger } = this.#options;
    const signature = voter.sign(id);
    const { blob } = index.contentsOf(id)!;
    index.addVote(id, header, signature, { blob, requestIds: receipts.map(({ receipt }) => receipt.requestId) });
    const call = view.settlement.attest.populateTransaction(header, [...royalties], 1n << BigInt(seat), signature);
    try {
      const receipt = await submitter.submit(call, { label: `attest ${id.slice(0, 10)}` });
      logger.info({ batchId: id, seat, transaction: receipt.hash }, "attested a batch");
      tell("attested", { batchId: id, seat, ...paid(receipt) });
    } catch (error) {
      // Others had the quorum first
      const isLate = error instanceof ContractRevertError && ["WrongStatus", "WindowClosed"].includes(error.errorName);
      if (!isLate) throw error;
    }
    index.finish(job);
  }

  /** Until our turn; several verifiers would all pay for what one has to do. */
  async #turnMs({ id, header }: OpenBatch): Promise<number> {
    const { view, voter, staggerMs } = this.#options;
    const { signers, stakes } = await view.verifierSet(header.setId);
    const seats = signers.flatMap((_, seat) => (stakes[seat] ? [seat] : []));
    return turnOf(id, seats, signers.indexOf(voter.address)) * staggerMs;
  }

  #tellRead(): void {
    for (const listener of [...this.#readListeners]) listener();
  }
}

function verdictOf(faults: readonly Fault[]): Verdict {
  if (faults.length === 0) return "right";
  return faults.some(isProvable) ? "wrong" : "unprovable";
}

function paid({ hash, gasUsed }: TransactionReceipt): PaidTransaction {
  return { transactionHash: hash as Hex, gasUsed };
}
