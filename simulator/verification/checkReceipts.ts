import type { Hex } from "../receipts/types.ts";
import { packRoyalty, royaltiesHash, royaltiesOf } from "../settlement/royalties.ts";
import type { ModelTerms } from "../settlement/screenReceipts.ts";
import { duplicateChallenge, receiptChallenge } from "./challenge.ts";
import type { Fault } from "./Fault.ts";
import type { OpenBatch } from "./openBatch.ts";

/** Checks that every receipt was served when the header says. @returns the first fault. */
export function checkTimes(batch: OpenBatch): Fault[] {
  const { servedFrom, servedTo } = batch.header;
  const leaf = batch.receipts.findIndex(({ receipt: { servedAt } }) => servedAt < servedFrom || servedAt > servedTo);
  if (leaf < 0) return [];
  const message = `Expected a time in [${servedFrom}, ${servedTo}], found ${batch.receipts[leaf]!.receipt.servedAt}`;
  return [{ kind: "served-at", message, leaf, challenge: receiptChallenge(batch, leaf) }];
}

/** Checks that no request is in the batch twice. @returns the first fault. */
export function checkRepeats(batch: OpenBatch): Fault[] {
  const seenAt = new Map<Hex, number>();
  for (const [leaf, { receipt }] of batch.receipts.entries()) {
    const earlier = seenAt.get(receipt.requestId);
    if (earlier === undefined) {
      seenAt.set(receipt.requestId, leaf);
      continue;
    }
    const message = `Expected request ${receipt.requestId} once, found it as receipt ${earlier} too`;
    return [{ kind: "duplicate", message, leaf, challenge: duplicateChallenge(batch, leaf, batch, earlier) }];
  }
  return [];
}

/**
 * Checks models, modes, prices and royalties. The contract knows nothing of these, so nothing here can be proven to it.
 * @param models terms of every model the receipts name; those not registered are missing.
 * @returns the first fault of each kind.
 */
export function checkModels(batch: OpenBatch, models: ReadonlyMap<Hex, ModelTerms>): Fault[] {
  const faults: Fault[] = [];
  const first = (kind: Fault["kind"], leaf: number, message: string): void => {
    if (!faults.some((fault) => fault.kind === kind)) faults.push({ kind, leaf, message });
  };
  for (const [leaf, { receipt }] of batch.receipts.entries()) {
    const { modelId, mode, fee } = receipt;
    const terms = models.get(modelId);
    if (!terms) first("model", leaf, `Expected a registered model, found ${modelId}`);
    else if (((terms.modes >> mode) & 1) === 0) first("mode", leaf, `Model ${modelId} is not offered in mode ${mode}`);
    else if (fee < terms.price) first("price", leaf, `Expected a fee of at least ${terms.price} wei, found ${fee}`);
  }
  if (faults.some(({ kind }) => kind === "model")) return faults;
  const expected = royaltiesHash(royaltiesOf(batch.receipts, models).map(packRoyalty));
  // the list is needed to vote on chain, so the blob's has to be the header's
  if (batch.header.royaltiesHash !== expected || royaltiesHash(batch.royalties) !== expected) {
    faults.push({ kind: "royalties", message: `Expected royalties that hash to ${expected}, found others` });
  }
  return faults;
}
