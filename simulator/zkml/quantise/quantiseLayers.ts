import { BIAS_MAX, WEIGHT_MAX, WEIGHT_SCALE } from "../fixedPoint.ts";
import type { ModelVector } from "../modelVector.ts";
import type { LayerPlan, Shape } from "../shape.ts";
import type { ReluLayer } from "./expandActivations.ts";
import { QuantisationError } from "./QuantisationError.ts";

const UNIT = 2 ** WEIGHT_SCALE;
/** Added to a sum before the shift, so that it rounds to the nearest instead of down. */
export const HALF_UNIT = UNIT / 2;

/** Beyond this a scale gains nothing. */
const MAX_SCALE = 24;

/**
 * A layer's activation a stands for a / 2^scale. Its weights are stored times 2^(12 + scale − scale of its input), so that its sum,
 * shifted by 12, has its scale: weights beyond ±8 take a smaller scale than their input, which ReLU's homogeneity allows; weights far
 * below ±8 take a larger one, and keep more of their bits.
 */
export const weightFactor = (scale: number, inputScale: number): number => 2 ** (WEIGHT_SCALE + scale - inputScale);
export const biasFactor = (scale: number): number => 2 ** (WEIGHT_SCALE + scale);

/** The largest scale at which the layer's weights and biases fit. `inputScales` is per input of the layer. */
export function largestScale({ weights, bias }: ReluLayer, inputScales: readonly number[]): number {
  let scale = MAX_SCALE;
  const limit = (magnitude: number, max: number, unit: number) => {
    if (magnitude > 0) scale = Math.min(scale, Math.floor(Math.log2(max / magnitude)) - unit);
  };
  for (const row of weights) {
    row.forEach((weight, i) => limit(Math.abs(weight), WEIGHT_MAX, WEIGHT_SCALE - (inputScales[i] as number)));
  }
  for (const value of bias) limit(Math.abs(value), BIAS_MAX - HALF_UNIT, WEIGHT_SCALE);
  return scale;
}

/** The model vector of a network embedded in a shape: zeros around it, and after it layers that pass its output on. */
export function quantiseLayers(
  shape: Shape,
  layers: readonly ReluLayer[],
  inputScales: readonly number[],
  scales: readonly number[],
): ModelVector {
  const vector = new Int32Array(shape.modelLength);
  shape.layers.forEach((plan, index) => {
    const layer = layers[index];
    const scale = scales[index];
    if (!layer || scale === undefined) return passOn(vector, plan, (layers.at(-1) as ReluLayer).bias.length);
    const before = index === 0 ? inputScales : new Array<number>(plan.inputs).fill(scales[index - 1] as number);
    layer.weights.forEach((row, j) => {
      row.forEach((weight, i) => {
        const integer = Math.round(weight * weightFactor(scale, before[i] as number));
        vector[plan.weightsAt + j * plan.inputs + i] = within(integer, WEIGHT_MAX, "weight");
      });
      const bias = Math.round((layer.bias[j] as number) * biasFactor(scale)) + HALF_UNIT;
      vector[plan.biasesAt + j] = within(bias, BIAS_MAX, "bias");
    });
    if (plan.flagAt !== undefined) vector[plan.flagAt] = index < layers.length - 1 ? 1 : 0;
  });
  return vector;
}

/** 2^12 · x >> 12 is x, exactly. */
function passOn(vector: ModelVector, { inputs, weightsAt }: LayerPlan, outputs: number): void {
  for (let j = 0; j < outputs; j++) vector[weightsAt + j * inputs + j] = UNIT;
}

function within(value: number, max: number, what: string): number {
  if (!(Math.abs(value) <= max)) throw new QuantisationError(`A ${what} of ${value} is beyond ±${max}`);
  return value;
}
