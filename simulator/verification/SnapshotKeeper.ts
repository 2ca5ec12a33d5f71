import type { Logger } from "pino";

import { ContractRevertError } from "../chain/ContractRevertError.ts";
import { delay } from "../chain/delay.ts";
import type { TransactionSubmitter } from "../chain/TransactionSubmitter.ts";
import { keccak256 } from "../receipts/keccak.ts";
import type { Signer } from "../receipts/secp256k1.ts";
import type { Hex } from "../receipts/types.ts";
import { turnOf } from "./stagger.ts";
import type { Tell } from "./VerifierEvents.ts";
import type { VerifierView } from "./VerifierView.ts";

export interface SnapshotKeeperOptions {
  view: VerifierView;
  voter: Signer;
  submitter: TransactionSubmitter;
  logger: Logger;
  tell: Tell;
  staggerMs: number;
  /** Between two looks. */
  intervalMs: number;
}

/** The contract takes batches for a set one day old; so there are four hours to renew it. */
const RENEW_AFTER_SECONDS = 20n * 3_600n;
/** VerifierSets.SNAPSHOT_INTERVAL, seconds. */
const SNAPSHOT_INTERVAL_SECONDS = 600n;

/** Keeps the verifier set fresh, and the voter in it as long as it holds a seat with enough stake. */
export class SnapshotKeeper {
  readonly #options: SnapshotKeeperOptions;
  #seatsBefore = 0;
  #running: AbortController | undefined;
  #loop: Promise<void> = Promise.resolve();

  constructor(options: SnapshotKeeperOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running = new AbortController();
    this.#loop = this.#run(this.#running.signal);
  }

  async stop(): Promise<void> {
    this.#running?.abort();
    await this.#loop;
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.#look(signal);
      } catch (error) {
        if (!signal.aborted) this.#options.logger.warn({ err: error }, "the verifier set could not be looked at");
      }
      await delay(this.#options.intervalMs, signal);
    }
  }

  async #look(signal: AbortSignal): Promise<void> {
    const { view, voter, staggerMs } = this.#options;
    const seats = await view.seats();
    const seat = seats.findIndex(({ signer, vacatedAt }) => signer === voter.address && vacatedAt === 0n);
    if (seat < 0 || !(await view.isStaked(seats[seat]!))) return;
    const setId = await this.#outdatedSet();
    // The first set should not be the first comer alone: wait until nobody has come since the last look.
    const isFillingUp = setId === 0 && seats.length !== this.#seatsBefore;
    this.#seatsBefore = seats.length;
    if (setId === undefined || isFillingUp) return;
    const taken = seats.flatMap(({ vacatedAt }, index) => (vacatedAt === 0n ? [index] : []));
    const occasion: Hex = keccak256(`snapshot after ${setId}`);
    await delay(turnOf(occasion, taken, seat) * staggerMs, signal);
    if (!signal.aborted && (await this.#outdatedSet()) === setId) await this.#snapshot();
  }

  /** The current set, when it is to be replaced and may be. */
  async #outdatedSet(): Promise<number | undefined> {
    const { view, voter } = this.#options;
    const [{ setId, takenAt, lastSnapshot }, now] = await Promise.all([view.currentSet(), view.nextBlockTime()]);
    if (setId === 0) return setId;
    if (now < lastSnapshot + SNAPSHOT_INTERVAL_SECONDS) return undefined;
    const { signers } = await view.verifierSet(setId);
    return now > takenAt + RENEW_AFTER_SECONDS || !signers.includes(voter.address) ? setId : undefined;
  }

  async #snapshot(): Promise<void> {
    const { view, submitter, logger, tell } = this.#options;
    try {
      const receipt = await submitter.submit(view.settlement.snapshot.populateTransaction(), {
        label: "snapshot of the verifier seats",
      });
      logger.info({ transaction: receipt.hash }, "took a snapshot of the verifier seats");
      tell("snapshotted", { transactionHash: receipt.hash as Hex, gasUsed: receipt.gasUsed });
    } catch (error) {
      // SetNotUsable: somebody else was faster. TooFewSeats: more verifiers have to come first.
      if (!(error instanceof ContractRevertError)) throw error;
      logger.debug({ err: error }, "no new verifier set");
    }
  }
}
