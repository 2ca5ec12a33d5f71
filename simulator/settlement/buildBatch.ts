import { SumTree } from "../receipts/sumTree.ts";
import type { TensorReceipt } from "../receipts/tensors.ts";
import type { BatchHeader, Hex, SettlementDomain } from "../receipts/types.ts";
import { encodeBatchBlob, inBatchOrder } from "./batchBlob.ts";
import { packRoyalty, royaltiesHash, royaltiesOf, type RoyaltyTerms } from "./royalties.ts";

export interface BatchInput {
  domain: SettlementDomain;
  operator: Hex;
  /** At least one. */
  receipts: readonly TensorReceipt[];
  /** Terms of every model that a receipt names. */
  models: ReadonlyMap<Hex, RoyaltyTerms>;
}

/** A batch before it has a blob id, a verifier set and a place in time. */
export interface BatchDraft {
  operator: Hex;
  /** In the order of the tree's leaves: see `inBatchOrder`. */
  receipts: readonly TensorReceipt[];
  /** Packed words. */
  royalties: readonly bigint[];
  tree: SumTree;
  blob: Uint8Array;
}

/** What a header says about its receipts; the same for whoever computes it. */
export type BatchFacts = Pick<BatchHeader, "root" | "count" | "fees" | "servedFrom" | "servedTo">;

/** @throws EncodingError, UnknownModelError */
export function draftBatch({ domain, operator, receipts, models }: BatchInput): BatchDraft {
  const ordered = inBatchOrder(receipts);
  const royalties = royaltiesOf(ordered, models).map(packRoyalty);
  return {
    operator,
    receipts: ordered,
    royalties,
    tree: SumTree.ofReceipts(ordered),
    blob: encodeBatchBlob({ domain, operator, receipts: ordered, royalties }),
  };
}

/** @param place the blob's id, the verifier set that shall judge, and the last batch that voters have to search for duplicates. */
export function batchHeader(draft: BatchDraft, place: Pick<BatchHeader, "blobId" | "setId" | "seen">): BatchHeader {
  return {
    ...batchFacts(draft.receipts, draft.tree),
    operator: draft.operator,
    royaltiesHash: royaltiesHash(draft.royalties),
    ...place,
  };
}

/** @throws EncodingError without receipts, or when their fees exceed a uint96: the tree cannot hold that. */
export function batchFacts(receipts: readonly TensorReceipt[], tree = SumTree.ofReceipts(receipts)): BatchFacts {
  const { hash, total } = tree.root;
  const times = receipts.map(({ receipt }) => receipt.servedAt);
  return {
    root: hash,
    count: receipts.length,
    fees: total >> 32n,
    servedFrom: times.reduce((a, b) => (a < b ? a : b)),
    servedTo: times.reduce((a, b) => (a > b ? a : b)),
  };
}
