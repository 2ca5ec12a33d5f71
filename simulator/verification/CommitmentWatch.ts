import type { TransactionReceipt } from "ethers";
import type { Logger } from "pino";

import { ContractRevertError } from "../chain/ContractRevertError.ts";
import { delay } from "../chain/delay.ts";
import type { TransactionSubmitter } from "../chain/TransactionSubmitter.ts";
import type { Signer } from "../receipts/secp256k1.ts";
import type { Hex } from "../receipts/types.ts";
import { chainKey, type ModelCheckOptions } from "../zkml/checkModel.ts";
import { type ZkDirectory, ZkModelError, ZkStatus } from "../zkml/ZkDirectory.ts";
import { Accumulation } from "./Accumulation.ts";
import { BlobUnavailableError } from "./BlobReader.ts";
import type { CommitmentIndex, CommitmentJob } from "./CommitmentIndex.ts";
import { type ModelChecks, verdictOn } from "./ModelChecks.ts";
import { turnOf } from "./stagger.ts";
import type { Tell } from "./VerifierEvents.ts";
import type { VerifierView } from "./VerifierView.ts";

export interface CommitmentWatchOptions {
  index: CommitmentIndex;
  view: VerifierView;
  directory: ZkDirectory;
  checks: ModelChecks;
  keyOf: ModelCheckOptions["keyOf"];
  voter: Signer;
  submitter: TransactionSubmitter;
  logger: Logger;
  tell: Tell;
  /** Between the turns of two verifiers, for each step of a challenge. */
  staggerMs: number;
  /** Before the second try of something that failed; doubles up to ten minutes. */
  retryMs: number;
  /** Chunks of 128 weights in a transaction. */
  chunksPerStep?: number;
}

const LONGEST_RETRY_MS = 600_000;
const LONGEST_WAIT_MS = 60_000;

/**
 * Looks at every model that is registered for mode ZKML, attested or not, and proves wrong commitments wrong. What is to be done is in the
 * index, and how far a challenge is stands on chain, so a restart goes on where the last run ended.
 */
export class CommitmentWatch {
  readonly #options: CommitmentWatchOptions;
  #wake = new AbortController();
  #running: AbortController | undefined;
  #loop: Promise<void> = Promise.resolve();

  constructor(options: CommitmentWatchOptions) {
    this.#options = options;
  }

  /** Whether nothing remains to be done about any model. */
  get isIdle(): boolean {
    return this.#options.index.counts().openModels === 0;
  }

  start(): void {
    this.#running = new AbortController();
    this.#loop = this.#run(this.#running.signal);
  }

  /** Waits for what is under way, not for the end of a challenge. */
  async stop(): Promise<void> {
    this.#running?.abort();
    await this.#loop;
  }

  /** A model was registered, attested, withdrawn or proven wrong, or that was reorganised away. */
  changed(modelId: Hex): void {
    this.#options.index.wake(modelId, Date.now());
    this.#wake.abort();
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { index } = this.#options;
    while (!signal.aborted) {
      this.#wake = new AbortController();
      const job = index.due(Date.now());
      if (job) {
        await this.#process(job, signal).catch((error: unknown) => this.#retry(job, error));
        continue;
      }
      const waitMs = (index.nextDueMs() ?? Infinity) - Date.now();
      await delay(Math.max(0, Math.min(waitMs, LONGEST_WAIT_MS)), AbortSignal.any([this.#wake.signal, signal]));
    }
  }

  #retry(job: CommitmentJob, error: unknown): void {
    const { index, logger, tell, retryMs } = this.#options;
    const { modelId, attempts } = job;
    index.postpone(job, Date.now() + Math.min(retryMs * 2 ** attempts, LONGEST_RETRY_MS));
    if (error instanceof BlobUnavailableError) {
      logger.debug({ modelId, err: error }, "blob of a registered model cannot be read");
      tell("modelUnreadable", { modelId, attempts: attempts + 1 });
    } else {
      logger.warn({ modelId, err: error }, "registered model has to wait");
    }
  }

  async #process(job: CommitmentJob, signal: AbortSignal): Promise<void> {
    const { index, directory } = this.#options;
    if (!isOpen((await directory.registration(job.modelId)).status)) return index.finish(job);
    if (job.verdict === undefined) return this.#judge(job);
    await this.#challenge(job, signal);
  }

  async #judge(job: CommitmentJob): Promise<void> {
    const { index, checks, logger, tell } = this.#options;
    const { modelId } = job;
    let report;
    try {
      report = await checks.check(modelId);
    } catch (error) {
      if (error instanceof ZkModelError) return index.finish(job);
      throw error;
    }
    const verdict = verdictOn(report);
    const { faults, weights } = report;
    logger.info({ modelId, verdict, faults }, "judged a model");
    tell("modelJudged", { modelId, verdict, faults });
    if (verdict !== "wrong" || !weights) return index.finish(job);
    index.keepWeights(modelId, weights);
    const { steps } = new Accumulation(modelId, weights.key.key, weights, this.#options.chunksPerStep);
    index.judge(job, verdict, Date.now() + (await this.#turn(modelId)) * this.#options.staggerMs * (steps + 1));
  }

  /** Takes the next steps of a challenge until it is through, somebody else's is, or this verifier stops. */
  async #challenge(job: CommitmentJob, signal: AbortSignal): Promise<void> {
    const { index, directory, submitter, keyOf } = this.#options;
    const { modelId } = job;
    const weights = index.weightsOf(modelId);
    // what proves it is not there: look afresh
    if (!weights) return this.changed(modelId);
    const { key } = await chainKey(directory, weights.manifest.shape, keyOf);
    const accumulation = new Accumulation(modelId, key, weights, this.#options.chunksPerStep);
    const progress = await directory.versions.zkChallenge(modelId, submitter.address);
    let from = accumulation.resumeAt({
      // by its place: `entries` is a method of every array
      entries: Number(progress[4]),
      weightsHash: progress.weightsHash as Hex,
      basesHash: progress.basesHash as Hex,
    });
    while (!signal.aborted) {
      if (!isOpen((await directory.registration(modelId)).status)) return index.finish(job);
      const receipt = await this.#step(job, accumulation, from);
      if (!receipt) return index.finish(job);
      const done = this.#read(receipt);
      if (done === "proven") return index.finish(job);
      from = done;
    }
  }

  /** @returns undefined when the contract takes no challenge any more, or sees nothing wrong. */
  async #step(job: CommitmentJob, accumulation: Accumulation, from: number): Promise<TransactionReceipt | undefined> {
    const { directory, submitter, logger } = this.#options;
    const { modelId } = job;
    try {
      const transaction = await accumulation.transaction(directory.versions, from);
      return await submitter.submit(transaction, { label: `accumulateZk ${modelId.slice(0, 10)} from ${from}` });
    } catch (error) {
      if (!(error instanceof ContractRevertError)) throw error;
      // somebody else was faster
      if (error.errorName === "WrongZkStatus") return undefined;
      if (error.errorName !== "CommitmentHolds") throw error;
      logger.error({ err: error, modelId }, "the contract finds a commitment right that was judged wrong");
      return undefined;
    }
  }

  /** How far a step has come, and tells of it. */
  #read(receipt: TransactionReceipt): number | "proven" {
    const { directory, logger, tell } = this.#options;
    let entries = 0;
    let isProven = false;
    for (const log of receipt.logs) {
      const event = directory.versions.interface.parseLog(log);
      if (event?.name === "ZkAccumulated") {
        const modelId = event.args.modelId as Hex;
        entries = Number(event.args.getValue("entries"));
        tell("accumulated", { modelId, entries, transactionHash: receipt.hash as Hex, gasUsed: receipt.gasUsed });
      }
      if (event?.name === "ZkProvenWrong") {
        const modelId = event.args.modelId as Hex;
        isProven = true;
        logger.info({ modelId, transaction: receipt.hash }, "proved a commitment wrong");
      }
    }
    return isProven ? "proven" : entries;
  }

  async #turn(modelId: Hex): Promise<number> {
    const { view, voter } = this.#options;
    const { setId } = await view.currentSet();
    if (setId === 0) return 0;
    const { signers, stakes } = await view.verifierSet(setId);
    const seats = signers.flatMap((_, seat) => (stakes[seat] ? [seat] : []));
    return turnOf(modelId, seats, signers.indexOf(voter.address));
  }
}

const isOpen = (status: ZkStatus): boolean => status !== ZkStatus.none && status !== ZkStatus.wrong;
