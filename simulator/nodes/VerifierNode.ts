import { EventEmitter } from "node:events";

import type { FastifyInstance } from "fastify";
import type { Logger } from "pino";

import { LOCAL_CHAIN_ID, type Chain } from "../chain/connectChain.ts";
import { delay } from "../chain/delay.ts";
import { EventFollower } from "../chain/EventFollower.ts";
import { on } from "../chain/eventSource.ts";
import { SqliteFollowerStore } from "../chain/FollowerStore.ts";
import type { TransactionSubmitter } from "../chain/TransactionSubmitter.ts";
import { SettlementHasher } from "../receipts/eip712.ts";
import type { Signer } from "../receipts/secp256k1.ts";
import type { BatchHeader, Hex } from "../receipts/types.ts";
import type { BlobStore } from "../storage/BlobStore.ts";
import { BatchIndex } from "../verification/BatchIndex.ts";
import { BatchWatch } from "../verification/BatchWatch.ts";
import { BlobReader } from "../verification/BlobReader.ts";
import type { CommitmentVoteRequest } from "../verification/CommitmentDesk.ts";
import {
  CommitmentVerifier,
  type CommitmentOptions,
  type CommitmentVerifierOptions,
} from "../verification/CommitmentVerifier.ts";
import { createVerifierServer } from "../verification/createVerifierServer.ts";
import type { Refuter } from "../verification/Refuter.ts";
import { SnapshotKeeper } from "../verification/SnapshotKeeper.ts";
import type { VerifierEvents } from "../verification/VerifierEvents.ts";
import { VerifierView } from "../verification/VerifierView.ts";
import { VoteDesk, VoteRefusedError, type Vote } from "../verification/VoteDesk.ts";
import { headerOfEvent } from "../verification/headerOfEvent.ts";
import type { ZkModels } from "../verification/ZkModels.ts";

export interface VerifierNodeOptions {
  chain: Chain;
  contracts: { settlement: Hex; models: Hex; nodes: Hex };
  /** First block of interest: the address book's `startBlock`. */
  fromBlock: number;
  /** The key of the seat. */
  voter: Signer;
  /** Pays for votes on chain, challenges and snapshots, and gets the rewards; started and stopped by its owner. */
  submitter: TransactionSubmitter;
  blobs: BlobStore;
  /** SQLite file of this verifier alone. */
  databaseFile: string;
  logger: Logger;
  /** Without, it votes for no batch with receipts of mode ZKML. */
  zk?: ZkModels;
  /** Proves the right output where a zk model's is wrong. */
  refuter?: Refuter;
  /** Without, it votes for no commitment of a zk model, and challenges none. */
  commitments?: CommitmentOptions;
  /** Default 127.0.0.1. */
  host?: string;
  /** Default 0: any free port. */
  port?: number;
  /** Between the turns of two verifiers. Default 250 ms on chain 31337, 4 s elsewhere. */
  staggerMs?: number;
  /** Before the second try of something that failed. Default 1 s. */
  retryMs?: number;
  /** How long a vote request waits for batches that were just posted. Default 5 s. */
  searchTimeoutMs?: number;
  /** Tries to read a blob for a vote, or at one look at a posted batch. Default 3, with 200 ms and doubling between them. */
  blobAttempts?: number;
  /** How often the verifier set is looked at; 0: never. Default 15 s. */
  snapshotIntervalMs?: number;
}

interface Parts {
  index: BatchIndex;
  follower: EventFollower;
  watch: BatchWatch;
  desk: VoteDesk;
  commitments: CommitmentVerifier | undefined;
  keeper: SnapshotKeeper | undefined;
  server: FastifyInstance;
}

/**
 * A verifier: votes for batches when it is asked over HTTP, follows the chain and checks every batch posted there, proves wrong ones wrong, does
 * the same for commitments of zk models, and keeps the verifier set fresh. Emits `VerifierEvents`. May be killed at any moment: votes are stored before they leave, and what is to be
 * done about posted batches is stored until it is done.
 */
export class VerifierNode extends EventEmitter<VerifierEvents> {
  readonly #options: Omit<VerifierNodeOptions, keyof typeof DEFAULTS> & typeof DEFAULTS & { staggerMs: number };
  readonly #view: VerifierView;
  readonly #hasher: SettlementHasher;
  #parts: Parts | undefined;
  #url: string | undefined;
  /** The follower has given up: another chain, or a reorganisation too deep. */
  #hasLostTheChain = false;

  constructor(options: VerifierNodeOptions) {
    super();
    const staggerMs = options.chain.chainId === LOCAL_CHAIN_ID ? 250 : 4_000;
    const logger = options.logger.child({ actor: "verifier", voter: options.voter.address });
    this.#options = { staggerMs, ...DEFAULTS, ...options, logger };
    this.#view = new VerifierView({ chain: options.chain, zk: options.zk, ...options.contracts });
    this.#hasher = new SettlementHasher(this.#view.domain);
  }

  /** Base URL. @throws Error before start() has finished. */
  get url(): string {
    if (!this.#url) throw new Error("The verifier is not running: await start() first");
    return this.#url;
  }

  /** The key that votes, lower case. */
  get voter(): Hex {
    return this.#options.voter.address;
  }

  /** What it knows, for reports. @throws Error when it is not running. */
  get counts(): ReturnType<BatchIndex["counts"]> & Partial<CommitmentVerifier["counts"]> {
    const { index, commitments } = this.#running;
    return { ...index.counts(), ...commitments?.counts };
  }

  async start(): Promise<void> {
    if (this.#parts) return;
    this.#hasLostTheChain = false;
    const parts = (this.#parts = this.#createParts());
    await parts.follower.start();
    parts.watch.start();
    parts.commitments?.start();
    parts.keeper?.start();
    const { host, port } = this.#options;
    this.#url = await parts.server.listen({ host, port });
    this.#options.logger.info({ url: this.#url }, "verifier is up");
  }

  async stop(): Promise<void> {
    const parts = this.#parts;
    this.#parts = undefined;
    this.#url = undefined;
    if (!parts) return;
    await parts.server.close();
    await Promise.all([parts.follower.stop(), parts.keeper?.stop()]);
    await Promise.all([parts.watch.stop(), parts.commitments?.stop()]);
    await parts.desk.idle();
    parts.index.close();
  }

  /** Decides on a header as POST /votes does. @throws VoteRefusedError */
  async vote(header: BatchHeader): Promise<Vote> {
    const batchId = this.#hasher.batchDigest(header);
    const { logger } = this.#options;
    try {
      const vote = await this.#running.desk.vote(header);
      logger.info({ batchId, seat: vote.seat }, "voted for a batch");
      this.emit("voted", { batchId, header, seat: vote.seat });
      return vote;
    } catch (error) {
      if (error instanceof VoteRefusedError) {
        const { code, message, faults } = error;
        logger.info({ batchId, code, message }, "refused a vote");
        this.emit("refused", { batchId, code, message, faults });
      }
      throw error;
    }
  }

  /** Decides on a model's commitment as POST /zk/votes does. @throws VoteRefusedError */
  async voteOnCommitment(request: CommitmentVoteRequest): Promise<Vote> {
    const { commitments } = this.#running;
    if (!commitments) throw new VoteRefusedError("key_unavailable", "This verifier checks no zk models");
    return commitments.vote(request);
  }

  /** Whether nothing remains to be done about any batch or model it knows. */
  get isIdle(): boolean {
    const { watch, commitments } = this.#running;
    return watch.isIdle && (commitments?.isIdle ?? true);
  }

  /** Resolves when everything on chain up to `block` has been followed; batches in it may still be looked at. */
  reached(block: number): Promise<void> {
    return this.#running.follower.reached(block);
  }

  get #running(): Parts {
    if (!this.#parts) throw new Error("The verifier is not running: await start() first");
    return this.#parts;
  }

  #createParts(): Parts {
    const { chain, databaseFile, blobs, blobAttempts, searchTimeoutMs, snapshotIntervalMs, logger } = this.#options;
    const index = new BatchIndex(databaseFile);
    const shared = {
      ...this.#options,
      index,
      view: this.#view,
      hasher: this.#hasher,
      reader: new BlobReader({ blobs, attempts: blobAttempts }),
      tell: (name: keyof VerifierEvents, ...args: unknown[]) => void this.emit(name, ...(args as never)),
    };
    const watch = new BatchWatch(shared);
    const commitments = this.#createCommitmentVerifier(index, shared);
    const follower = this.#createFollower(index, watch, commitments);
    const searched = async (operator: Hex, sequence: number) => {
      const head = await chain.provider.getBlockNumber();
      const late = new AbortController();
      const followed = follower.reached(head).catch(() => undefined);
      await Promise.race([followed, delay(searchTimeoutMs, late.signal)]);
      late.abort();
      await watch.searched(operator, sequence, searchTimeoutMs);
    };
    return {
      index,
      follower,
      watch,
      desk: new VoteDesk({ ...shared, searched }),
      commitments,
      keeper: snapshotIntervalMs > 0 ? new SnapshotKeeper({ ...shared, intervalMs: snapshotIntervalMs }) : undefined,
      server: createVerifierServer({
        vote: (header) => this.vote(header),
        voteOnCommitment: (request) => this.voteOnCommitment(request),
        health: () => this.#health(),
        logger,
      }),
    };
  }

  #createCommitmentVerifier(
    { database }: BatchIndex,
    shared: Pick<CommitmentVerifierOptions, "view" | "reader" | "tell">,
  ): CommitmentVerifier | undefined {
    const { commitments, contracts } = this.#options;
    return (
      commitments &&
      new CommitmentVerifier({ ...this.#options, ...commitments, ...shared, models: contracts.models, database })
    );
  }

  #createFollower(index: BatchIndex, watch: BatchWatch, commitments: CommitmentVerifier | undefined): EventFollower {
    const { chain, fromBlock, logger } = this.#options;
    const { settlement } = this.#view;
    return new EventFollower({
      chain,
      fromBlock,
      logger,
      store: new SqliteFollowerStore(index.database, "batches"),
      onFatal: () => (this.#hasLostTheChain = true),
      sources: [
        on(settlement, "BatchSubmitted", ({ args, removed }) => {
          const batchId = args.batchId as Hex;
          if (removed) index.removePosted(batchId);
          else watch.posted(batchId, headerOfEvent(args.batch), Number(args.sequence));
        }),
        on(settlement, "BatchProvenWrong", ({ args, removed }) => {
          const batchId = args.batchId as Hex;
          watch.changed(batchId);
          if (removed) return;
          const challenger = args.challenger.toLowerCase() as Hex;
          this.emit("provenWrong", { batchId, challenger, slashedWei: args.slashed });
        }),
        ...(commitments?.sources ?? []),
      ],
    });
  }

  #health(): object {
    const { follower, index } = this.#running;
    return {
      status: this.#hasLostTheChain ? "chain_lost" : "ok",
      voter: this.voter,
      block: follower.processedBlock,
      sequence: index.lastSequence,
      ...this.counts,
    };
  }
}

const DEFAULTS = {
  host: "127.0.0.1",
  port: 0,
  retryMs: 1_000,
  searchTimeoutMs: 5_000,
  blobAttempts: 3,
  snapshotIntervalMs: 15_000,
};
