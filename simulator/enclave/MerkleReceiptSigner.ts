import { merkleLeaf, merkleNode, type MerkleProof } from "../receipts/merkleProof.ts";

/** A digest signed together with others. */
export interface MerkleSignature {
  /** Of the root. */
  signature: Buffer;
  proof: MerkleProof;
}

interface Waiting {
  digest: Uint8Array;
  resolve: (signed: MerkleSignature) => void;
  reject: (error: unknown) => void;
}

/**
 * Signs many digests by one RSA signature, over the root of their Merkle tree: whatever comes while a signature is being made is in the next.
 * A digest that comes alone is signed at once.
 */
export class MerkleReceiptSigner {
  readonly #sign: (root: Uint8Array) => Promise<Buffer>;
  #waiting: Waiting[] = [];
  #signing = false;
  /** Signatures made so far. */
  signatures = 0;

  /** @param sign the enclave's `signTeeMessage`. */
  constructor(sign: (root: Uint8Array) => Promise<Buffer>) {
    this.#sign = sign;
  }

  /** @param digest 32 bytes. */
  sign(digest: Uint8Array): Promise<MerkleSignature> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ digest, resolve, reject });
      if (this.#signing) return;
      this.#signing = true;
      setImmediate(() => void this.#work());
    });
  }

  async #work(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      const levels = levelsOf(batch.map(({ digest }) => merkleLeaf(digest)));
      const root = levels.at(-1)![0]!;
      this.signatures++;
      try {
        const signature = await this.#sign(root);
        batch.forEach(({ resolve }, index) => resolve({ signature, proof: proofOf(levels, index) }));
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    this.#signing = false;
  }
}

/** From the leaves to the root. A node without a sibling goes up as it is. */
function levelsOf(leaves: Buffer[]): Buffer[][] {
  const levels = [leaves];
  for (let level = leaves; level.length > 1;) {
    const above: Buffer[] = [];
    for (let i = 0; i < level.length; i += 2) {
      const [left, right] = [level[i]!, level[i + 1]];
      above.push(right === undefined ? left : merkleNode(left, right));
    }
    levels.push(above);
    level = above;
  }
  return levels;
}

function proofOf(levels: readonly Buffer[][], index: number): MerkleProof {
  const path: string[] = [];
  let at = index;
  for (const level of levels.slice(0, -1)) {
    const sibling = level[at ^ 1];
    if (sibling !== undefined) path.push(sibling.toString("hex"));
    at >>= 1;
  }
  return { root: levels.at(-1)![0]!.toString("hex"), index, count: levels[0]!.length, path };
}
