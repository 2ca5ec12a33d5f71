import type { Hex, SignedReceipt } from "../receipts/types.ts";

export interface StoredReceipt extends SignedReceipt {
  /** When the answer became durable, Unix milliseconds: finer than `servedAt`, for reports. */
  storedAtMs?: number | undefined;
}

/** The receipt outbox of an inference node, as its batch settler sees it. */
export interface ReceiptSource {
  /** Receipts that no batch has taken yet, oldest first. */
  unbatched(limit: number): readonly StoredReceipt[];
  /** Durable when it returns. May come again for the same receipts, with the same batch or, when that one could not be posted, another. */
  markBatched(requestIds: readonly Hex[], batchId: Hex): void;
}
