import type { Hex } from "../receipts/types.ts";
import { BatchStatus } from "../settlement/SettlementView.ts";
import type { SettlementHasher } from "../receipts/eip712.ts";
import type { BatchIndex, RequestUse } from "./BatchIndex.ts";
import { duplicateChallenge } from "./challenge.ts";
import type { Fault } from "./Fault.ts";
import { openBatch, type OpenBatch } from "./openBatch.ts";
import type { VerifierView } from "./VerifierView.ts";

/** A request of a batch in another batch of its operator. */
export interface PriorUse extends RequestUse {
  /** Index of the receipt in the batch that is looked at. */
  ownLeaf: number;
}

/** Other batches that share requests with `batch`, the first shared request of each. */
export function sharedRequests(index: BatchIndex, batch: OpenBatch): PriorUse[] {
  const requestIds = batch.receipts.map(({ receipt }) => receipt.requestId);
  const firstOfBatch = new Map<Hex, PriorUse>();
  for (const use of index.findUses(batch.header.operator, requestIds, batch.id)) {
    if (firstOfBatch.has(use.batchId)) continue;
    firstOfBatch.set(use.batchId, { ...use, ownLeaf: requestIds.indexOf(use.requestId) });
  }
  return [...firstOfBatch.values()];
}

/**
 * The first of `uses` in a batch that the contract still honours and that came before sequence number `before`. The chain is asked: what was
 * indexed may have been rejected, or reorganised, since.
 */
export async function firstLiveUse(
  view: VerifierView,
  uses: readonly PriorUse[],
  before = Infinity,
): Promise<PriorUse | undefined> {
  for (const use of uses) {
    if (use.sequence === undefined || use.sequence >= before) continue;
    const { status, sequence } = await view.record(use.batchId);
    if (status === BatchStatus.None || status === BatchStatus.Rejected) continue;
    if (sequence < before) return use;
  }
  return undefined;
}

/** The fault of a posted batch that settles a request again. */
export function duplicateFault(index: BatchIndex, hasher: SettlementHasher, batch: OpenBatch, use: PriorUse): Fault {
  const fault: Fault = {
    kind: "duplicate",
    leaf: use.ownLeaf,
    message: `Expected request ${use.requestId} once, found it in batch ${use.batchId} too`,
  };
  const contents = index.contentsOf(use.batchId);
  const earlier = contents && openBatch(hasher, contents.header, contents.blob);
  // with a lie in either tree there is no path by which the contract would see the receipt
  if (!earlier || !isHonestTree(earlier) || !isHonestTree(batch)) return fault;
  return { ...fault, challenge: duplicateChallenge(batch, use.ownLeaf, earlier, use.leaf) };
}

const isHonestTree = ({ header, tree }: OpenBatch): boolean => tree.root.hash === header.root;
