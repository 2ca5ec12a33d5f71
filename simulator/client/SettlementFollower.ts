import type { Logger } from "pino";
import type { Chain } from "../chain/connectChain.ts";
import { EventFollower } from "../chain/EventFollower.ts";
import { on } from "../chain/eventSource.ts";
import { SumTree } from "../receipts/sumTree.ts";
import { signedReceiptToJson, type BatchHeader, type Hex, type SignedReceipt } from "../receipts/types.ts";
import { decodeBatchBlob } from "../settlement/batchBlob.ts";
import { BatchStatus } from "../settlement/SettlementView.ts";
import type { BlobStore } from "../storage/BlobStore.ts";
import { headerOfEvent } from "../verification/headerOfEvent.ts";
import { ProofSettlement__factory, type ProofSettlement } from "../../typechain-types/index.ts";
import { SettlementTimeoutError } from "./ClientError.ts";

/** Where a receipt ended. */
export interface SettledReceipt {
  batchId: Hex;
  header: BatchHeader;
  /** Position among the batch's receipts. */
  index: number;
  /** attested: verifiers with two thirds of the stake approved. unchallenged: nobody objected in time. */
  status: "attested" | "unchallenged";
  /** Transaction that made the batch final. */
  transaction: Hex;
}

export interface SettlementFollowerOptions {
  chain: Chain;
  /** ProofSettlement. */
  settlement: Hex;
  blobs: BlobStore;
  /** Block from which batches matter: the deployment's, or a recent one. */
  fromBlock: number;
  logger: Logger;
}

interface KnownBatch {
  id: Hex;
  header: BatchHeader;
  /** Transaction and status of a final batch. */
  final?: { transaction: Hex; status: SettledReceipt["status"] };
  /** Receipt text → index, once the blob is read and fits the header. */
  contents?: Map<string, number>;
}

interface Waiter {
  receipt: SignedReceipt;
  operator: Hex;
  resolve: (settled: SettledReceipt) => void;
}

/** Blobs that could not be read are asked for again after this long. */
const RETRY_MS = 500;
/** Contents kept in memory; those of older batches are read again when somebody asks. */
const MAX_CONTENTS = 32;

/** Follows batches on chain, and finds receipts in their blobs for those who wait. It reads only the blobs it needs. */
export class SettlementFollower {
  readonly #options: SettlementFollowerOptions;
  readonly #settlement: ProofSettlement;
  readonly #batches = new Map<Hex, KnownBatch>();
  readonly #waiters = new Set<Waiter>();
  readonly #follower: EventFollower;
  #looking: Promise<void> = Promise.resolve();
  #retry: NodeJS.Timeout | undefined;

  constructor(options: SettlementFollowerOptions) {
    const { chain, settlement, fromBlock, logger } = options;
    this.#options = options;
    this.#settlement = ProofSettlement__factory.connect(settlement, { provider: chain.provider });
    this.#follower = new EventFollower({
      chain,
      fromBlock,
      logger,
      sources: [
        on(this.#settlement, "BatchSubmitted", ({ args, removed }) => {
          const id = args.batchId as Hex;
          if (removed) this.#batches.delete(id);
          else this.#batches.set(id, { id, header: headerOfEvent(args.batch) });
        }),
        on(this.#settlement, "BatchFinalised", ({ args, removed, transactionHash }) => {
          const batch = this.#batches.get(args.batchId as Hex);
          if (batch === undefined) return;
          if (removed) {
            delete batch.final;
            return;
          }
          const status = Number(args.status) === BatchStatus.Attested ? "attested" : "unchallenged";
          batch.final = { transaction: transactionHash as Hex, status };
          this.#look();
        }),
        on(this.#settlement, "BatchProvenWrong", ({ args, removed }) => {
          // its good receipts come again in another batch
          if (!removed) this.#batches.delete(args.batchId as Hex);
        }),
      ],
    });
  }

  start(): Promise<void> {
    return this.#follower.start();
  }

  async stop(): Promise<void> {
    clearTimeout(this.#retry);
    await this.#follower.stop();
    await this.#looking;
  }

  /**
   * Waits until a receipt is in a final batch.
   * @param operator whose receipt it is.
   * @throws SettlementTimeoutError
   */
  async settled(receipt: SignedReceipt, operator: Hex, timeoutMs: number): Promise<SettledReceipt> {
    const { promise, resolve, reject } = Promise.withResolvers<SettledReceipt>();
    const waiter: Waiter = { receipt, operator, resolve };
    const { requestId } = receipt.receipt;
    const timer = setTimeout(
      () => reject(new SettlementTimeoutError(`Request ${requestId} was not settled within ${timeoutMs} ms`)),
      timeoutMs,
    );
    this.#waiters.add(waiter);
    this.#look();
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#waiters.delete(waiter);
    }
  }

  /** One look at a time: several waiters want the same blobs. */
  #look(): void {
    this.#looking = this.#looking.then(async () => {
      for (const waiter of [...this.#waiters]) await this.#find(waiter);
    });
  }

  async #find(waiter: Waiter): Promise<void> {
    const { receipt, operator } = waiter;
    const { servedAt } = receipt.receipt;
    for (const batch of this.#batches.values()) {
      const { id, header, final } = batch;
      if (final === undefined || header.operator !== operator) continue;
      if (servedAt < header.servedFrom || servedAt > header.servedTo) continue;
      const index = (await this.#contents(batch))?.get(textOf(receipt));
      if (index === undefined) continue;
      this.#waiters.delete(waiter);
      waiter.resolve({ batchId: id, header, index, ...final });
      return;
    }
  }

  /** undefined while the blob cannot be had. */
  async #contents(batch: KnownBatch): Promise<Map<string, number> | undefined> {
    if (batch.contents !== undefined) return batch.contents;
    try {
      batch.contents = await this.#read(batch.header);
    } catch (error) {
      this.#options.logger.debug({ batch: batch.id, err: error }, "the batch's blob cannot be read");
      clearTimeout(this.#retry);
      this.#retry = setTimeout(() => this.#look(), RETRY_MS);
      this.#retry.unref();
      return undefined;
    }
    const held = [...this.#batches.values()].filter(({ contents }) => contents !== undefined);
    for (const { id } of held.slice(0, -MAX_CONTENTS)) delete this.#batches.get(id)?.contents;
    return batch.contents;
  }

  /** The store checks the bytes against the blob id; here they are checked against the root that the chain accepted. */
  async #read(header: BatchHeader): Promise<Map<string, number>> {
    const { receipts } = decodeBatchBlob(await this.#options.blobs.get(header.blobId));
    const { root } = SumTree.ofReceipts(receipts);
    if (root.hash !== header.root) throw new Error("The blob's receipts have another root than the batch");
    return new Map(receipts.map((receipt, index) => [textOf(receipt), index]));
  }
}

const textOf = (receipt: SignedReceipt): string => JSON.stringify(Object.entries(signedReceiptToJson(receipt)).sort());
