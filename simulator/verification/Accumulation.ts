import type { ContractTransaction } from "ethers";

import { toHex } from "../receipts/bytes.ts";
import type { Hex } from "../receipts/types.ts";
import { CHUNK_ENTRIES, hashChain } from "../zkml/hashChain.ts";
import { BASE_BYTES, type ShapeKey } from "../zkml/keys/ShapeKey.ts";
import { encodeModelVector, ENTRY_BYTES } from "../zkml/modelVector.ts";
import type { IZkVersions } from "../../typechain-types/index.ts";
import type { PublishedWeights } from "./CommitmentIndex.ts";

/** Up to 12.6 million gas of the 16.7 that a transaction may have, and 104 kB of the 128 that nodes take. */
export const CHUNKS_PER_STEP = 12;

/** How far the contract is with a challenger's recomputation. */
export interface Progress {
  entries: number;
  weightsHash: Hex;
  basesHash: Hex;
}

/** A model's commitment recomputed on chain, in steps. */
export class Accumulation {
  readonly total: number;
  readonly #modelId: Hex;
  readonly #weights: PublishedWeights;
  readonly #entries: Uint8Array;
  readonly #bases: Uint8Array;
  readonly #entriesPerStep: number;

  /** @param chunksPerStep chunks of 128 entries in a transaction. */
  constructor(modelId: Hex, key: ShapeKey, weights: PublishedWeights, chunksPerStep = CHUNKS_PER_STEP) {
    this.#modelId = modelId;
    this.#weights = weights;
    this.#entries = encodeModelVector(weights.vector);
    this.#bases = key.modelBases;
    this.#entriesPerStep = chunksPerStep * CHUNK_ENTRIES;
    this.total = weights.vector.length;
  }

  get steps(): number {
    return Math.ceil(this.total / this.#entriesPerStep);
  }

  /** Where to go on: after what the contract has, or from the start when it has something else. */
  resumeAt({ entries, weightsHash, basesHash }: Progress): number {
    const done =
      hashChain(this.#entries.subarray(0, entries * ENTRY_BYTES), ENTRY_BYTES) === weightsHash &&
      hashChain(this.#bases.subarray(0, entries * BASE_BYTES), BASE_BYTES) === basesHash;
    return done ? entries : 0;
  }

  /** The step that begins with entry `from`. */
  transaction(registry: IZkVersions, from: number): Promise<ContractTransaction> {
    const end = Math.min(from + this.#entriesPerStep, this.total);
    return registry.accumulateZk.populateTransaction(
      this.#modelId,
      this.#weights.manifest,
      from,
      toHex(this.#entries.subarray(from * ENTRY_BYTES, end * ENTRY_BYTES)),
      toHex(this.#bases.subarray(from * BASE_BYTES, end * BASE_BYTES)),
    );
  }
}
