import type { ContractTransaction } from "ethers";

import { SumTree, walkSumPath, type SumPath } from "../receipts/sumTree.ts";
import { committedProof, proofOf, type ReceiptTensors, type TensorProof } from "../receipts/tensors.ts";
import { toHex } from "../receipts/bytes.ts";
import type { BatchHeader, Hex, Receipt, SignedReceipt } from "../receipts/types.ts";
import type { ProofSettlement, ZkReferee } from "../../typechain-types/index.ts";
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
  | ({ method: "challengeHeaderTotal"; batch: BatchHeader; node: Hex; nodeTotal: bigint } & SumPath)
  | { method: "challengeMissingProof"; batch: BatchHeader; leaf: Leaf }
  | { method: "challengeProof"; batch: BatchHeader; leaf: Leaf; committed: Hex }
  /** The proof is of the model's output for this input, which is another than the receipt's. */
  | { method: "refute"; batch: BatchHeader; leaf: Leaf; inWords: readonly bigint[] };

/** A proof that refutes, made for the account that sends it. */
export interface Refutation {
  inWords: readonly bigint[];
  outWords: readonly bigint[];
  proof: TensorProof;
}

/** What a challenge's transaction needs besides the challenge. */
export interface ChallengeTools {
  settlement: ProofSettlement;
  /** Judges zk proofs. */
  referee: ZkReferee | undefined;
  /** Proves what the model answers; undefined where nothing is proven. */
  refutation: ((referee: Hex, challenge: Challenge & { method: "refute" }) => Promise<Refutation>) | undefined;
}

/** There is no referee on chain, or no prover here, for a challenge that needs it. */
export class ChallengeUnavailableError extends Error {
  override readonly name = "ChallengeUnavailableError";
  readonly code = "challenge_unavailable";
}

/** The transaction that makes a challenge; whoever sends it gets the reward. @throws ChallengeUnavailableError */
export function challengeTransaction(tools: ChallengeTools, challenge: Challenge): Promise<ContractTransaction> {
  const { settlement } = tools;
  const { batch } = challenge;
  switch (challenge.method) {
    case "challengeMissingProof":
    case "challengeProof":
    case "refute":
      return refereeTransaction(tools, challenge);
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

async function refereeTransaction(
  { referee, refutation }: ChallengeTools,
  challenge: Challenge & { method: "challengeMissingProof" | "challengeProof" | "refute" },
): Promise<ContractTransaction> {
  if (!referee) throw new ChallengeUnavailableError("Expected a referee for zk proofs on chain, found none");
  const { method, batch, leaf } = challenge;
  if (method === "challengeMissingProof") return referee.challengeMissingProof.populateTransaction(batch, leaf);
  if (method === "challengeProof") {
    return referee.challengeProof.populateTransaction(batch, leaf, challenge.committed);
  }
  if (!refutation) throw new ChallengeUnavailableError("Expected a prover to refute an output with, found none");
  const address = (await referee.getAddress()).toLowerCase() as Hex;
  const { inWords, outWords, proof } = await refutation(address, challenge);
  return referee.refute.populateTransaction(batch, leaf, [...inWords], [...outWords], contractProof(proof));
}

/** Arrays of their own, as ethers wants them. */
export function contractProof({ a, b, c }: TensorProof) {
  return {
    a: [...a] as [bigint, bigint],
    b: [...b] as [bigint, bigint, bigint, bigint],
    c: [...c] as [bigint, bigint],
  };
}

/** `fees << 32 | count`, as the header claims it. */
export const headerTotal = ({ fees, count }: BatchHeader): bigint => (fees << 32n) | BigInt(count);

/** Receipt `index` in the tree that the receipts really make. */
export function leafOf({ receipts, tree, positions }: OpenBatch, index: number): Leaf {
  return { ...signedLeaf(receipts[index]!), ...tree.path(positions[index]!) };
}

/** Proves that there is no proof beside receipt `index`, of mode ZKML, in the tree that its operator posted. */
export function missingProofChallenge(batch: OpenBatch, index: number, tree = batch.tree): Challenge {
  const leaf = { ...signedLeaf(batch.receipts[index]!), ...tree.path(batch.positions[index]!) };
  return { method: "challengeMissingProof", batch: batch.header, leaf };
}

/** Proves that what stands beside receipt `index` does not prove it. */
export function proofChallenge(batch: OpenBatch, index: number): Challenge {
  const signed = batch.receipts[index]!;
  const [proof, tensors] = [proofOf(signed), signed.tensors];
  if (!proof || !tensors) return missingProofChallenge(batch, index);
  const committed = toHex(committedProof(proof, tensors));
  return { method: "challengeProof", batch: batch.header, leaf: leafOf(batch, index), committed };
}

/** Proves that the model of receipt `index` answers otherwise. */
export function refuteChallenge(batch: OpenBatch, index: number, { inWords }: ReceiptTensors): Challenge {
  return { method: "refute", batch: batch.header, leaf: leafOf(batch, index), inWords };
}

/** Proves something about receipt `index` itself: its signature, signer or time. */
export function receiptChallenge(batch: OpenBatch, index: number): Challenge {
  return {
    method: "challengeReceipt",
    batch: batch.header,
    leaf: leafOf(batch, index),
    // nothing but the header counts the only leaf of a tree
    claimedTotal:
      batch.tree.levels.length === 1
        ? headerTotal(batch.header)
        : batch.tree.levels[0]![batch.positions[index]!]!.total,
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
  if (batch.tree.levels.length === 1) return receiptChallenge(batch, 0);
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

/** Node `index` of `level` (0: leaves and proofs) counted as `claimedTotal` by its parent; everything else in the tree adds up. */
export interface TotalLie {
  level: number;
  index: number;
  claimedTotal: bigint;
}

/** Proves a lie in the tree. */
export function totalLieChallenge(batch: OpenBatch, lie: TotalLie): Challenge {
  const { header, tree, positions } = batch;
  const { level, index, claimedTotal } = lie;
  if (level === 0) {
    const receipt = positions.indexOf(index);
    // a proof that is counted is none in the contract's eyes
    if (receipt < 0) return missingProofChallenge(batch, positions.indexOf(index - 1), countedAs(tree, lie));
    return { method: "challengeReceipt", batch: header, leaf: leafOf(batch, receipt), claimedTotal };
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

/** The tree as its operator built it, with one of the lowest nodes counted wrong. */
function countedAs(tree: SumTree, { index, claimedTotal }: TotalLie): SumTree {
  return new SumTree(tree.levels[0]!.map((node, i) => (i === index ? { ...node, total: claimedTotal } : node)));
}

/** Whether a tree with this lie has the header's root. */
export function lieExplains({ header, tree }: OpenBatch, { level, index, claimedTotal }: TotalLie): boolean {
  const { hash } = tree.levels[level]![index]!;
  return walkSumPath({ hash, total: claimedTotal }, tree.path(index, level))?.hash === header.root;
}

function signedLeaf({ receipt, signature }: SignedReceipt): Omit<Leaf, keyof SumPath> {
  return { receipt, sig: { r: signature.slice(0, 66) as Hex, vs: `0x${signature.slice(66)}` } };
}
