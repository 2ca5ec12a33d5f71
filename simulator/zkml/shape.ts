import { BIAS_MAX, INPUT_LANES, INPUT_MAX, INPUT_MIN, OUTPUT_LANES, WEIGHT_MAX, WEIGHT_SCALE } from "./fixedPoint.ts";
import { ZkRangeError } from "./ZkError.ts";

/** Integers from `min` to `max`, both reached. */
export interface Interval {
  min: bigint;
  max: bigint;
}

/** A dense layer as the circuit computes it, with bounds that hold for every model and input in range. */
export interface LayerPlan {
  inputs: number;
  outputs: number;
  /** The last layer is linear and saturates; the others are ReLU or identity, by a flag of the model. */
  last: boolean;
  /** Where its weights ([output][input], row by row) and biases lie in the model vector, and the flag of a hidden layer. */
  weightsAt: number;
  biasesAt: number;
  flagAt: number | undefined;
  /** What its inputs can be. */
  input: Interval;
  /** What a sum of products and bias can be. */
  sum: Interval;
  /** Bits of the sum's magnitude: −2^sumBits ≤ sum < 2^sumBits. */
  sumBits: number;
}

/** A network shape: one circuit and one verification key serve every model of it. */
export interface Shape {
  readonly name: string;
  /** Widths from input to output. */
  readonly dims: readonly number[];
  readonly layers: readonly LayerPlan[];
  readonly inputs: number;
  readonly outputs: number;
  readonly inputWords: number;
  readonly outputWords: number;
  /** Output words, context and input words: what differs from proof to proof. */
  readonly requestSignals: number;
  /** Entries of a model vector: weights and biases layer by layer, then the hidden layers' flags. */
  readonly modelLength: number;
}

const MAX_LAYERS = 8;
const MAX_WIDTH = 512;
/** Of a sum: shifted, it is exact in a double, and it is far from the field's 254 bits. */
const MAX_SUM_BITS = 64;

/**
 * Plans a shape. Bit widths follow from the extremes of weights, biases and inputs, not from any model, so no model of the shape can overflow.
 *
 * @throws ZkRangeError when the dimensions are none.
 */
export function defineShape(name: string, dims: readonly number[]): Shape {
  const valid = dims.every((width) => Number.isInteger(width) && width >= 1 && width <= MAX_WIDTH);
  if (!valid || dims.length < 2 || dims.length > MAX_LAYERS + 1) {
    throw new ZkRangeError(
      `Expected 2 to ${MAX_LAYERS + 1} widths between 1 and ${MAX_WIDTH}, found ${dims.join("-") || "none"}`,
    );
  }
  const layers = planLayers(dims);
  const { biasesAt, outputs } = layers.at(-1) as LayerPlan;
  const inputs = dims[0] as number;
  const inputWords = Math.ceil(inputs / INPUT_LANES);
  const outputWords = Math.ceil(outputs / OUTPUT_LANES);
  return {
    name,
    dims: [...dims],
    layers,
    inputs,
    outputs,
    inputWords,
    outputWords,
    requestSignals: outputWords + 1 + inputWords,
    modelLength: biasesAt + outputs + layers.length - 1,
  };
}

function planLayers(dims: readonly number[]): LayerPlan[] {
  const layers: LayerPlan[] = [];
  let input: Interval = { min: BigInt(INPUT_MIN), max: BigInt(INPUT_MAX) };
  let at = 0;
  const depth = dims.length - 1;
  for (let index = 0; index < depth; index++) {
    const [inputs, outputs] = [dims[index] as number, dims[index + 1] as number];
    const last = index === depth - 1;
    const sum = extremeSum(inputs, input);
    const biasesAt = at + inputs * outputs;
    // sum is symmetric, so its maximum decides
    const sumBits = sum.max.toString(2).length;
    if (sumBits > MAX_SUM_BITS) {
      throw new ZkRangeError(
        `Expected sums of at most ${MAX_SUM_BITS} bits, but those of layer ${index} of ${dims.join("-")} may have ${sumBits}`,
      );
    }
    layers.push({ inputs, outputs, last, weightsAt: at, biasesAt, flagAt: undefined, input, sum, sumBits });
    at = biasesAt + outputs;
    input = { min: sum.min >> BigInt(WEIGHT_SCALE), max: sum.max >> BigInt(WEIGHT_SCALE) };
  }
  return layers.map((layer, index) => (layer.last ? layer : { ...layer, flagAt: at + index }));
}

/** Every weight as large as it may be, with the sign that makes its product count the same way. */
function extremeSum(fanIn: number, input: Interval): Interval {
  const magnitude = -input.min > input.max ? -input.min : input.max;
  const max = BigInt(fanIn) * BigInt(WEIGHT_MAX) * magnitude + BigInt(BIAS_MAX);
  return { min: -max, max };
}

export type ShapeName = "S" | "M" | "L";

/** The shapes with a verifier on chain, smallest first. Their numbers there are the registry's. */
export const SHAPES: Readonly<Record<ShapeName, Shape>> = {
  S: defineShape("S", [16, 32, 32, 16]),
  M: defineShape("M", [32, 64, 64, 32, 16]),
  L: defineShape("L", [64, 128, 128, 64]),
};
