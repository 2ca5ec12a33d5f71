import type { DatabaseSync } from "node:sqlite";

import type { Logger } from "pino";

import type { Chain } from "../chain/connectChain.ts";
import { on, type EventSource } from "../chain/eventSource.ts";
import type { TransactionSubmitter } from "../chain/TransactionSubmitter.ts";
import type { Signer } from "../receipts/secp256k1.ts";
import type { Hex } from "../receipts/types.ts";
import type { ModelCheckOptions } from "../zkml/checkModel.ts";
import type { BlobStore } from "../storage/BlobStore.ts";
import { ZkDirectory } from "../zkml/ZkDirectory.ts";
import type { BlobReader } from "./BlobReader.ts";
import { CommitmentDesk, type CommitmentVoteRequest } from "./CommitmentDesk.ts";
import { CommitmentIndex } from "./CommitmentIndex.ts";
import { CommitmentWatch } from "./CommitmentWatch.ts";
import { ModelChecks } from "./ModelChecks.ts";
import type { Tell } from "./VerifierEvents.ts";
import type { VerifierView } from "./VerifierView.ts";
import { VoteRefusedError, type Vote } from "./VoteDesk.ts";

/** How a verifier checks models that are registered for mode ZKML. */
export interface CommitmentOptions extends Pick<ModelCheckOptions, "keyOf" | "fold"> {
  /** Chunks of 128 weights that a transaction of a challenge takes. Default 12, some 12.6 million gas. */
  chunksPerStep?: number;
}

export interface CommitmentVerifierOptions extends CommitmentOptions {
  chain: Chain;
  /** The ModelRegistry. */
  models: Hex;
  /** Closed by its owner. */
  database: DatabaseSync;
  view: VerifierView;
  reader: BlobReader;
  voter: Signer;
  submitter: TransactionSubmitter;
  logger: Logger;
  tell: Tell;
  staggerMs: number;
  retryMs: number;
}

/** A verifier's work on models: votes for commitments that are right, and proofs against wrong ones. */
export class CommitmentVerifier {
  /** What it has to be told of. */
  readonly sources: readonly EventSource[];
  readonly #options: CommitmentVerifierOptions;
  readonly #index: CommitmentIndex;
  readonly #desk: CommitmentDesk;
  readonly #watch: CommitmentWatch;

  constructor(options: CommitmentVerifierOptions) {
    const { chain, models, database, reader } = options;
    const blobs: Pick<BlobStore, "get"> = { get: (id) => reader.read(id) };
    const directory = new ZkDirectory(chain.provider, models, blobs);
    const checks = new ModelChecks({ ...options, directory, blobs });
    const index = (this.#index = new CommitmentIndex(database));
    const shared = { ...options, index, directory, checks };
    this.#options = options;
    this.#desk = new CommitmentDesk({ ...shared, domain: { chainId: chain.chainId, verifyingContract: models } });
    this.#watch = new CommitmentWatch(shared);
    this.sources = this.#createSources(directory);
  }

  /** What it knows. */
  get counts(): ReturnType<CommitmentIndex["counts"]> {
    return this.#index.counts();
  }

  get isIdle(): boolean {
    return this.#watch.isIdle;
  }

  start(): void {
    this.#watch.start();
  }

  async stop(): Promise<void> {
    await Promise.all([this.#watch.stop(), this.#desk.idle()]);
  }

  /** @throws VoteRefusedError */
  async vote(request: CommitmentVoteRequest): Promise<Vote> {
    const { logger, tell } = this.#options;
    try {
      const vote = await this.#desk.vote(request);
      logger.info({ ...request, seat: vote.seat }, "voted for a commitment");
      tell("commitmentVoted", { ...request, seat: vote.seat });
      return vote;
    } catch (error) {
      if (error instanceof VoteRefusedError) {
        const { code, message } = error;
        logger.info({ ...request, code, message }, "refused a vote for a commitment");
        tell("commitmentRefused", { modelId: request.modelId, code, message });
      }
      throw error;
    }
  }

  #createSources({ models }: ZkDirectory): EventSource[] {
    const changed = ({ args }: { args: { modelId: string } }) => this.#watch.changed(args.modelId as Hex);
    return [
      on(models, "ZkRegistered", changed),
      on(models, "ZkAttested", changed),
      on(models, "ZkProvenWrong", (event) => {
        changed(event);
        const { modelId, challenger, reward, slashed } = event.args;
        if (event.removed) return;
        this.#options.tell("commitmentProvenWrong", {
          modelId: modelId as Hex,
          challenger: challenger.toLowerCase() as Hex,
          rewardWei: reward,
          slashedWei: slashed,
        });
      }),
    ];
  }
}
