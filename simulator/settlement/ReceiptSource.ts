import type { TensorReceipt } from "../receipts/tensors.ts";
import type { Hex } from "../receipts/types.ts";

export interface StoredReceipt extends TensorReceipt {
  /** When the answer became durable, Unix milliseconds: finer than `servedAt`, for reports. */
  storedAtMs?: number | undefined;
}

/** Where a batch is, once it is on chain. */
export interface BatchPlace {
  batchId: Hex;
  /** posted: not final yet. rejected: proven wrong, so that none of its receipts is settled by it. */
  state: "posted" | "final" | "rejected";
  /** Walrus blob that holds it. */
  blobId: Hex;
  /** That posted it; undefined when it is not known, as of one that an earlier run posted long ago. */
  transaction: Hex | undefined;
}

/** The receipt outbox of an inference node, as its batch settler sees it. */
export interface ReceiptSource {
  /** Receipts for batches that no batch has taken yet, oldest first. */
  unbatched(limit: number): readonly StoredReceipt[];
  /** The same of those whose clients asked for a batch of their own. */
  individual(limit: number): readonly StoredReceipt[];
  /** Durable when it returns. May come again for the same receipts, with the same batch or, when that one could not be posted, another. */
  markBatched(requestIds: readonly Hex[], batchId: Hex): void;
  /** Durable when it returns. Comes again when there is more to say of the batch. */
  markPlaced(place: BatchPlace): void;
}
