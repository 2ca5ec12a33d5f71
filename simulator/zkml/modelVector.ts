import type { Hex } from "../receipts/types.ts";
import { BIAS_MAX, WEIGHT_MAX } from "./fixedPoint.ts";
import { hashChain } from "./hashChain.ts";
import type { Shape } from "./shape.ts";
import { ZkRangeError } from "./ZkError.ts";

/**
 * A quantised model of a shape: layer by layer its weights ([output][input], row by row) and biases, then the hidden layers' flags
 * (1 ReLU, 0 identity). These are the public signals whose part of the verifier's sum is the model's commitment.
 */
export type ModelVector = Int32Array;

export const ENTRY_BYTES = 4;

/** @throws ZkRangeError naming the first entry that a model of the shape cannot have. */
export function checkModelVector(shape: Shape, vector: ModelVector): void {
  if (vector.length !== shape.modelLength) {
    throw new ZkRangeError(
      `Expected ${shape.modelLength} entries for shape ${shape.name} (${shape.dims.join("-")}), found ${vector.length}`,
    );
  }
  shape.layers.forEach(({ weightsAt, biasesAt, outputs, flagAt }, layer) => {
    checkEntries(vector, weightsAt, biasesAt, -WEIGHT_MAX, WEIGHT_MAX, `a weight of layer ${layer}`);
    checkEntries(vector, biasesAt, biasesAt + outputs, -BIAS_MAX, BIAS_MAX, `a bias of layer ${layer}`);
    if (flagAt !== undefined) checkEntries(vector, flagAt, flagAt + 1, 0, 1, `the flag of layer ${layer}`);
  });
}

function checkEntries(vector: ModelVector, start: number, end: number, min: number, max: number, what: string): void {
  for (let i = start; i < end; i++) {
    const entry = vector[i] as number;
    if (entry < min || entry > max) {
      throw new ZkRangeError(`Expected entry ${i} (${what}) between ${min} and ${max}, found ${entry}`);
    }
  }
}

/** Entries as int32, big-endian. */
export function encodeModelVector(vector: ModelVector): Uint8Array {
  const bytes = new Uint8Array(vector.length * ENTRY_BYTES);
  const view = new DataView(bytes.buffer);
  vector.forEach((entry, i) => view.setInt32(i * ENTRY_BYTES, entry));
  return bytes;
}

export function decodeModelVector(bytes: Uint8Array): ModelVector {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Int32Array.from({ length: bytes.length / ENTRY_BYTES }, (_, i) => view.getInt32(i * ENTRY_BYTES));
}

/** What a manifest commits to: the chain over the encoded entries. */
export const weightsHash = (vector: ModelVector): Hex => hashChain(encodeModelVector(vector), ENTRY_BYTES);
