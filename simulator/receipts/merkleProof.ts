import { createHash } from "node:crypto";
import { z } from "zod";

/** That a digest is one of those whose tree's root was signed. */
export interface MerkleProof {
  /** Hexadecimal without 0x. */
  root: string;
  /** Of the digest among the leaves, from 0. */
  index: number;
  /** Leaves of the tree. */
  count: number;
  /** Siblings from the leaf up, hexadecimal without 0x; a node without one goes up as it is. */
  path: string[];
}

const hash = z.string().regex(/^[0-9a-f]{64}$/, "expected 32 bytes of hexadecimal without 0x");
const MAX_LEAVES = 1 << 20;

export const merkleProofSchema = z
  .strictObject({
    root: hash,
    index: z.int().min(0),
    count: z.int().min(1).max(MAX_LEAVES),
    path: z.array(hash).max(20),
  })
  .refine(({ index, count }) => index < count, "expected the index to be below the count");

/** @param digest 32 bytes. */
export const merkleLeaf = (digest: Uint8Array): Buffer => tagged(0, digest);
export const merkleNode = (left: Uint8Array, right: Uint8Array): Buffer => tagged(1, left, right);

/** The root that a proof leads a digest to; undefined when its path is too long or too short for its tree. */
export function merkleRoot(digest: Uint8Array, { index, count, path }: MerkleProof): Buffer | undefined {
  let node = merkleLeaf(digest);
  let next = 0;
  for (let at = index, width = count; width > 1; at >>= 1, width = (width + 1) >> 1) {
    if ((at ^ 1) >= width) continue;
    const sibling = path[next++];
    if (sibling === undefined) return undefined;
    const other = Buffer.from(sibling, "hex");
    node = at % 2 === 0 ? merkleNode(node, other) : merkleNode(other, node);
  }
  return next === path.length ? node : undefined;
}

/** Leaves and nodes are hashed apart, so that none can be taken for the other. */
function tagged(tag: 0 | 1, ...parts: readonly Uint8Array[]): Buffer {
  const sha = createHash("sha256").update(Buffer.of(tag));
  for (const part of parts) sha.update(part);
  return sha.digest();
}
