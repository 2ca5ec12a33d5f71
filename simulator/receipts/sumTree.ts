import { fromHex, putWord, toHex, EncodingError } from "./bytes.ts";
import { receiptStructHash } from "./eip712.ts";
import { keccak256 } from "./keccak.ts";
import { committedProof, proofOf, type TensorReceipt } from "./tensors.ts";
import type { Hex, SignedReceipt } from "./types.ts";

/** A node carries what is below it: `total = fees << 32 | count`, uint128. */
export interface SumNode {
  hash: Hex;
  total: bigint;
}

/** The siblings from a node up to the root. */
export interface SumPath {
  /** Per level 48 bytes: sibling hash (32) ‖ sibling total (16). */
  path: Hex;
  /** Bit i: our node is the right child at the i-th level that has a sibling. */
  right: bigint;
}

const UINT128 = 1n << 128n;

export const leafTotal = (fee: bigint): bigint => (fee << 32n) | 1n;

/** keccak256(0x00 ‖ receipt struct hash ‖ r ‖ vs) with the receipt's own fee and a count of one. */
export function sumLeaf({ receipt, signature }: SignedReceipt): SumNode {
  const preimage = Buffer.concat([Buffer.alloc(1), fromHex(receiptStructHash(receipt), 32), fromHex(signature, 64)]);
  return { hash: keccak256(preimage), total: leafTotal(receipt.fee) };
}

/** The lowest nodes of a batch's tree: each receipt's leaf, followed by its proof, which counts for nothing. */
export function batchNodes(receipts: readonly TensorReceipt[]): SumNode[] {
  return receipts.flatMap((signed) => {
    const proof = proofOf(signed);
    if (!proof || !signed.tensors) return [sumLeaf(signed)];
    return [sumLeaf(signed), { hash: keccak256(committedProof(proof, signed.tensors)), total: 0n }];
  });
}

/** Where the receipts' leaves are among `batchNodes`. */
export function leafPositions(receipts: readonly TensorReceipt[]): number[] {
  let next = 0;
  return receipts.map((signed) => {
    const position = next;
    next += proofOf(signed) ? 2 : 1;
    return position;
  });
}

// tag (1) ‖ left (32) ‖ right (32) ‖ left total (16) ‖ right total (16)
const innerPreimage = Buffer.alloc(97);
innerPreimage[0] = 1;

/** @throws EncodingError when the sum leaves uint128. */
function joinNodes(left: SumNode, right: SumNode): SumNode {
  const total = left.total + right.total;
  if (total >= UINT128) throw new EncodingError(`Expected totals below 2^128, found ${total}`);
  putWord(innerPreimage, 1, left.hash, 32);
  putWord(innerPreimage, 33, right.hash, 32);
  innerPreimage.write(totalHex(left.total) + totalHex(right.total), 65, "hex");
  return { hash: keccak256(innerPreimage), total };
}

const totalHex = (total: bigint): string => total.toString(16).padStart(32, "0");

/**
 * Merkle tree whose nodes also carry fee sum and receipt count, so that a wrong total is provable with one path
 * (contracts/settlement, SumTree). An odd node moves up unpaired; nothing is duplicated.
 */
export class SumTree {
  /** Lowest nodes first, the root's level last. */
  readonly levels: readonly (readonly SumNode[])[];

  /**
   * @param leaves at least one.
   * @param alter replaces nodes as they are built, to make the dishonest trees that fraud proofs are tested with.
   */
  constructor(leaves: readonly SumNode[], alter?: (level: number, index: number, node: SumNode) => SumNode) {
    if (leaves.length === 0) throw new EncodingError("Expected at least one leaf, found none");
    const levels = [leaves];
    for (let below = leaves; below.length > 1;) {
      const above: SumNode[] = [];
      for (let i = 0; i < below.length; i += 2) {
        const [left, right] = [below[i]!, below[i + 1]];
        const node = right ? joinNodes(left, right) : left;
        above.push(alter ? alter(levels.length, i / 2, node) : node);
      }
      levels.push(above);
      below = above;
    }
    this.levels = levels;
  }

  static ofReceipts(receipts: readonly TensorReceipt[]): SumTree {
    return new SumTree(batchNodes(receipts));
  }

  get root(): SumNode {
    return this.levels.at(-1)![0]!;
  }

  /** The path of node `index` of `level` (0: the lowest) to the root. A receipt's node is not its number: see `leafPositions`. */
  path(index: number, level = 0): SumPath {
    if (!this.levels[level]?.[index])
      throw new EncodingError(`Expected a node of the tree, found ${index} of level ${level}`);
    let path = "0x";
    let right = 0n;
    let recorded = 0n;
    for (const nodes of this.levels.slice(level, -1)) {
      const sibling = nodes[index ^ 1];
      if (sibling) {
        path += sibling.hash.slice(2) + totalHex(sibling.total);
        right |= BigInt(index & 1) << recorded;
        recorded++;
      }
      index >>= 1;
    }
    return { path: path as Hex, right };
  }
}

/** The root that `node` leads to, with its total; undefined where the contract reverts (surplus bits, odd length, overflow). */
export function walkSumPath(node: SumNode, { path, right }: SumPath): SumNode | undefined {
  const siblings = fromHex(path);
  const depth = siblings.length / 48;
  if (!Number.isInteger(depth) || right >> BigInt(depth) !== 0n) return undefined;
  for (let i = 0; i < depth; i++) {
    const at = i * 48;
    const sibling = {
      hash: toHex(siblings.subarray(at, at + 32)),
      total: BigInt(toHex(siblings.subarray(at + 32, at + 48))),
    };
    if (node.total + sibling.total >= UINT128) return undefined;
    node = (right >> BigInt(i)) & 1n ? joinNodes(sibling, node) : joinNodes(node, sibling);
  }
  return node;
}

/** Whether `node` is in the tree of `root`, and their totals agree. */
export function verifySumPath(node: SumNode, path: SumPath, root: SumNode): boolean {
  const walked = walkSumPath(node, path);
  return walked !== undefined && walked.hash === root.hash && walked.total === root.total;
}
