import { OUTPUT_MAX, OUTPUT_MIN, WEIGHT_SCALE } from "./fixedPoint.ts";
import { checkModelVector, type ModelVector } from "./modelVector.ts";
import { checkInputs } from "./packing.ts";
import type { LayerPlan, Shape } from "./shape.ts";

const SCALE = 2 ** WEIGHT_SCALE;
/** Sums above this lose bits in a double, so activations are split in two parts of this many bits and more. */
const EXACT = BigInt(Number.MAX_SAFE_INTEGER);
const LIMB = 2 ** 24;

/**
 * Runs a quantised model, with exactly the integers of the circuit: nodes answer with it, verifiers check with it.
 *
 * @param inputs One integer per input of the shape.
 * @returns One saturated integer per output of the shape.
 * @throws ZkRangeError when vector or inputs are out of range.
 */
export function runModel(shape: Shape, vector: ModelVector, inputs: ArrayLike<number>): Int32Array {
  checkModelVector(shape, vector);
  checkInputs(shape, inputs);
  let activations: Float64Array = Float64Array.from(inputs);
  for (const layer of shape.layers) activations = runLayer(layer, vector, activations);
  return Int32Array.from(activations);
}

function runLayer(layer: LayerPlan, vector: ModelVector, input: Float64Array): Float64Array {
  const shifted = layer.sum.max <= EXACT ? shiftedSums(layer, vector, input) : shiftedLongSums(layer, vector, input);
  if (layer.last) return shifted.map((value) => Math.min(Math.max(value, OUTPUT_MIN), OUTPUT_MAX));
  const relu = vector[layer.flagAt as number] === 1;
  return relu ? shifted.map((value) => (value < 0 ? 0 : value)) : shifted;
}

function shiftedSums({ inputs, outputs, weightsAt, biasesAt }: LayerPlan, vector: ModelVector, input: Float64Array) {
  const result = new Float64Array(outputs);
  for (let j = 0, w = weightsAt; j < outputs; j++) {
    let sum = vector[biasesAt + j] as number;
    for (let i = 0; i < inputs; i++, w++) sum += (vector[w] as number) * (input[i] as number);
    result[j] = Math.floor(sum / SCALE);
  }
  return result;
}

/** The same for sums of up to 2^77: low and high parts of the activations are summed apart, each exactly. */
function shiftedLongSums(
  { inputs, outputs, weightsAt, biasesAt }: LayerPlan,
  vector: ModelVector,
  input: Float64Array,
) {
  const high = input.map((value) => Math.floor(value / LIMB));
  const low = input.map((value, i) => value - (high[i] as number) * LIMB);
  const result = new Float64Array(outputs);
  for (let j = 0, w = weightsAt; j < outputs; j++) {
    let highSum = 0;
    let lowSum = vector[biasesAt + j] as number;
    for (let i = 0; i < inputs; i++, w++) {
      highSum += (vector[w] as number) * (high[i] as number);
      lowSum += (vector[w] as number) * (low[i] as number);
    }
    // LIMB is a multiple of SCALE, so only the low part rounds
    result[j] = highSum * (LIMB / SCALE) + Math.floor(lowSum / SCALE);
  }
  return result;
}
