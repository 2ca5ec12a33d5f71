import type { SettlementHasher } from "../receipts/eip712.ts";
import type { BatchHeader, Hex } from "../receipts/types.ts";
import { InvalidBatchBlobError } from "../settlement/batchBlob.ts";
import type { ModelTerms } from "../settlement/screenReceipts.ts";
import { checkModels, checkRepeats, checkTimes } from "./checkReceipts.ts";
import { checkSigners, type SignerLookup } from "./checkSigners.ts";
import { checkTensors } from "./checkTensors.ts";
import { checkTotals } from "./checkTotals.ts";
import type { Fault } from "./Fault.ts";
import { openBatch, type OpenBatch } from "./openBatch.ts";
import type { ZkModels } from "./ZkModels.ts";

/** What a check needs to know of the chain. */
export interface BatchViews {
  operatorOf: SignerLookup;
  /** Those not registered are missing. */
  models(modelIds: Iterable<Hex>): Promise<ReadonlyMap<Hex, ModelTerms>>;
  /** Without, no batch with receipts of mode ZKML is taken for right. */
  readonly zk?: ZkModels | undefined;
}

export interface BatchReport {
  /** The header with its receipts; undefined when the blob is none of the operator's batches. */
  batch: OpenBatch | undefined;
  /**
   * Whether these are the receipts under the header's root, honestly counted or not. Without, somebody may yet show other receipts under that
   * root.
   */
  covered: boolean;
  /** The first fault of each kind; none when the batch is right as far as it alone shows. */
  faults: Fault[];
}

/**
 * Checks a batch by itself: the blob against the header, and every receipt against the registries. Requests that settled in other batches are
 * another matter, see `BatchIndex`.
 * @throws only what `views` throw.
 */
export async function checkBatch(
  hasher: SettlementHasher,
  views: BatchViews,
  header: BatchHeader,
  blob: Uint8Array,
): Promise<BatchReport> {
  let batch: OpenBatch;
  try {
    batch = openBatch(hasher, header, blob);
  } catch (error) {
    if (!(error instanceof InvalidBatchBlobError)) throw error;
    return { batch: undefined, covered: false, faults: [{ kind: "blob", message: error.message }] };
  }
  const totals = await checkTotals(batch);
  const covered = totals.every(({ kind }) => kind !== "root");
  const isHonestTree = batch.tree.root.hash === header.root;
  const faults = [
    ...checkTimes(batch),
    ...checkRepeats(batch),
    ...(await checkSigners(batch, hasher, views.operatorOf)),
    ...checkModels(batch, await views.models(batch.receipts.map(({ receipt }) => receipt.modelId))),
    ...(await checkTensors(batch, hasher.domain, views.zk)),
    // only the tree's own lie leads to a root that is not the receipts'
  ].map((fault) => (isHonestTree ? fault : withoutChallenge(fault)));
  return { batch, covered, faults: [...totals, ...faults] };
}

function withoutChallenge({ challenge: _, ...fault }: Fault): Fault {
  return fault;
}
