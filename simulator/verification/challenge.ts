import type { ContractTransaction } from "ethers";

import { walkSumPath, type SumPath } from "../receipts/sumTree.ts";
import type { BatchHeader, Hex, Receipt, SignedReceipt } from "../receipts/types.ts";
import type { ProofSettlement } from "../../typechain-types/index.ts";
import type { OpenBatch } from "./openBatch.ts";

/** A receipt with its place in a batch's tree, as the contract's `Leaf`. */
export interface Leaf extends SumPath {
  receipt: Receipt;
  sig: { r: Hex; vs: Hex };
}

/** What a verifier sends to prove a posted batch wrong: the contract's function and its arguments. */
export type Challenge =
  | { method: "challengeReceipt"; batch: BatchHeader; leaf: Leaf; claimedTotal: bigint }
  | { method: "challengeDuplicate"; batch: BatchHeader; leaf: Leaf; earlierBatch: BatchHeader; earlierLeaf: Leaf }
  | ({
      method: "challengeNodeTotal";
      batch: BatchHeader;
      left: Hex;
      leftTotal: bigint;
      rightNode: Hex;
      rightTotal: bigint;
      claimedTotal: bigint;
    } & SumPath)
  | ({ method: "challengeHeaderTotal"; batch: BatchHeader; node: Hex; nodeTotal: bigint } & SumPath);

/** The transaction that makes a challenge; whoever sends it gets the reward. */
export function challengeTransaction(settlement: ProofSettlement, challenge: Challenge): Promise<ContractTransaction> {
  const { batch } = challenge;
  switch (challenge.method) {
    case "challengeReceipt":
      return settlement.challengeReceipt.populateTransaction(batch, challenge.leaf, challenge.claimedTotal);
    case "challengeDuplicate":
      return settlement.challengeDuplicate.populateTransaction(
        batch,
        challenge.leaf,
        challenge.earlierBatch,
        challenge.earlierLeaf,
      );
    case "challengeNodeTotal":
      return settlement.challengeNodeTotal.populateTransaction(
        batch,
        challenge.left,
        challenge.leftTotal,
        challenge.rightNode,
        challenge.rightTotal,
        challenge.claimedTotal,
        challenge.path,
        challenge.right,
      );
    case "challengeHeaderTotal":
      return settlement.challengeHeaderTotal.populateTransaction(
        batch,
        challenge.node,
        challenge.nodeTotal,
        challenge.path,
        challenge.right,
      );
  }
}

/** `fees << 32 | count`, as the header claims it. */
export const headerTotal = ({ fees, count }: BatchHeader): bigint => (fees << 32n) | BigInt(count);

/** Receipt `index` in the tree that the receipts really make. */
export function leafOf({ receipts, tree }: OpenBatch, index: number): Leaf {
  return { ...signedLeaf(receipts[index]!), ...tree.path(index) };
}

/** Proves something about receipt `index` itself: its signature, signer or time. */
export function receiptChallenge(batch: OpenBatch, index: number): Challenge {
  return {
    method: "challengeReceipt",
    batch: batch.header,
    leaf: leafOf(batch, index),
    // nothing but the header counts the only leaf of a tree
    claimedTotal: batch.receipts.length === 1 ? headerTotal(batch.header) : batch.tree.levels[0]![index]!.total,
  };
}

/** Proves that a request settled in `earlier` (which may be the same batch, in another place) settles again in `batch`. */
export function duplicateChallenge(
  batch: OpenBatch,
  index: number,
  earlier: OpenBatch,
  earlierIndex: number,
): Challenge {
  return {
    method: "challengeDuplicate",
    batch: batch.header,
    leaf: leafOf(batch, index),
    earlierBatch: earlier.header,
    earlierLeaf: leafOf(earlier, earlierIndex),
  };
}

/** Proves that the header counts another total than the tree, whose root is right. */
export function headerTotalChallenge(batch: OpenBatch): Challenge {
  if (batch.receipts.length === 1) return receiptChallenge(batch, 0);
  // a child of the root: the shortest path that still has a parent to commit to the totals
  const level = batch.tree.levels.length - 2;
  const { hash, total } = batch.tree.levels[level]![0]!;
  return {
    method: "challengeHeaderTotal",
    batch: batch.header,
    node: hash,
    nodeTotal: total,
    ...batch.tree.path(0, level),
  };
}

/** Node `index` of `level` (0: the leaves) counted as `claimedTotal` by its parent; everything else in the tree adds up. */
export interface TotalLie {
  level: number;
  index: number;
  claimedTotal: bigint;
}

/** Proves a lie in the tree. */
export function totalLieChallenge(batch: OpenBatch, { level, index, claimedTotal }: TotalLie): Challenge {
  const { header, tree } = batch;
  if (level === 0) {
    return { method: "challengeReceipt", batch: header, leaf: leafOf(batch, index), claimedTotal };
  }
  const [left, right] = tree.levels[level - 1]!.slice(2 * index, 2 * index + 2);
  return {
    method: "challengeNodeTotal",
    batch: header,
    left: left!.hash,
    leftTotal: left!.total,
    rightNode: right!.hash,
    rightTotal: right!.total,
    claimedTotal,
    ...tree.path(index, level),
  };
}

/** Whether a tree with this lie has the header's root. */
export function lieExplains({ header, tree }: OpenBatch, { level, index, claimedTotal }: TotalLie): boolean {
  const { hash } = tree.levels[level]![index]!;
  return walkSumPath({ hash, total: claimedTotal }, tree.path(index, level))?.hash === header.root;
}

function signedLeaf({ receipt, signature }: SignedReceipt): Omit<Leaf, keyof SumPath> {
  return { receipt, sig: { r: signature.slice(0, 66) as Hex, vs: `0x${signature.slice(66)}` } };
}
