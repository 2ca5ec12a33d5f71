import {
  INPUT_BITS,
  INPUT_LANES,
  INPUT_MAX,
  INPUT_MIN,
  OUTPUT_BITS,
  OUTPUT_LANES,
  OUTPUT_MAX,
  OUTPUT_MIN,
} from "./fixedPoint.ts";
import type { Shape } from "./shape.ts";
import { ZkRangeError } from "./ZkError.ts";

/** How a tensor's elements lie in words: element i of a word, plus half the lane's range, at bit `bits` · i. */
interface Lanes {
  what: "input" | "output";
  bits: number;
  perWord: number;
  min: number;
  max: number;
}

export const INPUT_PACKING: Lanes = {
  what: "input",
  bits: INPUT_BITS,
  perWord: INPUT_LANES,
  min: INPUT_MIN,
  max: INPUT_MAX,
};

export const OUTPUT_PACKING: Lanes = {
  what: "output",
  bits: OUTPUT_BITS,
  perWord: OUTPUT_LANES,
  min: OUTPUT_MIN,
  max: OUTPUT_MAX,
};

/**
 * An input tensor as words of 16 lanes of 15 bits.
 *
 * @throws ZkRangeError unless there is one element per input of the shape, each −2^14 ≤ x < 2^14.
 */
export const packInputs = (shape: Shape, values: ArrayLike<number>): bigint[] =>
  pack(INPUT_PACKING, shape.inputs, values);

/** An output tensor as words of 8 lanes of 31 bits. */
export const packOutputs = (shape: Shape, values: ArrayLike<number>): bigint[] =>
  pack(OUTPUT_PACKING, shape.outputs, values);

/** @throws ZkRangeError when the words are not those of any input tensor of the shape. */
export const unpackInputs = (shape: Shape, words: readonly bigint[]): Int32Array =>
  unpack(INPUT_PACKING, shape.inputs, words);

/** @throws ZkRangeError when the words are not those of any output tensor of the shape. */
export const unpackOutputs = (shape: Shape, words: readonly bigint[]): Int32Array =>
  unpack(OUTPUT_PACKING, shape.outputs, words);

/** @throws ZkRangeError unless the values are an input tensor of the shape. */
export function checkInputs(shape: Shape, values: ArrayLike<number>): void {
  checkElements(INPUT_PACKING, shape.inputs, values);
}

function checkElements({ what, min, max }: Lanes, length: number, values: ArrayLike<number>): void {
  if (values.length !== length) throw new ZkRangeError(`Expected ${length} ${what} elements, found ${values.length}`);
  for (let i = 0; i < length; i++) {
    const value = values[i] as number;
    if (!Number.isInteger(value) || value < min || value > max) {
      throw new ZkRangeError(`Expected ${what} element ${i} to be an integer from ${min} to ${max}, found ${value}`);
    }
  }
}

function pack(lanes: Lanes, length: number, values: ArrayLike<number>): bigint[] {
  checkElements(lanes, length, values);
  const words: bigint[] = [];
  for (let start = 0; start < length; start += lanes.perWord) {
    let word = 0n;
    for (let i = Math.min(start + lanes.perWord, length) - 1; i >= start; i--) {
      word = (word << BigInt(lanes.bits)) | BigInt((values[i] as number) - lanes.min);
    }
    words.push(word);
  }
  return words;
}

function unpack(lanes: Lanes, length: number, words: readonly bigint[]): Int32Array {
  const { what, bits, perWord, min } = lanes;
  const count = Math.ceil(length / perWord);
  if (words.length !== count) throw new ZkRangeError(`Expected ${count} ${what} words, found ${words.length}`);
  const values = new Int32Array(length);
  words.forEach((word, index) => {
    const used = Math.min(perWord, length - index * perWord);
    if (word < 0n || word >> BigInt(used * bits) !== 0n) {
      throw new ZkRangeError(`Expected ${what} word ${index} to hold ${used} lanes of ${bits} bits, found ${word}`);
    }
    for (let i = 0; i < used; i++) {
      values[index * perWord + i] = Number((word >> BigInt(i * bits)) & ((1n << BigInt(bits)) - 1n)) + min;
    }
  });
  return values;
}
