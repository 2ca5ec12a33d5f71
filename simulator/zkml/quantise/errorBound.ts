import type { ModelVector } from "../modelVector.ts";
import type { Shape } from "../shape.ts";
import type { ReluLayer } from "./expandActivations.ts";
import { biasFactor, HALF_UNIT, weightFactor } from "./quantiseLayers.ts";

/** Least and largest value of an input, in the model's own units. */
export type Range = readonly [min: number, max: number];

/** What each value of a layer can be: of the network in floating point. */
interface Bounds {
  min: Float64Array;
  max: Float64Array;
}

/** What a layer's outputs can be before its ReLU, by interval arithmetic. */
export function propagate({ weights, bias }: ReluLayer, input: Bounds): Bounds {
  const reach = (low: Float64Array, high: Float64Array) =>
    bias.map((value, j) =>
      (weights[j] as Float64Array).reduce(
        (sum, weight, i) => sum + weight * ((weight > 0 ? high[i] : low[i]) as number),
        value,
      ),
    );
  return { min: reach(input.max, input.min), max: reach(input.min, input.max) };
}

export const relu = ({ min, max }: Bounds): Bounds => ({
  min: min.map((value) => Math.max(value, 0)),
  max: max.map((value) => Math.max(value, 0)),
});

export const boundsOf = (ranges: readonly Range[]): Bounds => ({
  min: Float64Array.from(ranges, ([min]) => min),
  max: Float64Array.from(ranges, ([, max]) => max),
});

/**
 * How far the quantised model's outputs can be from the model's, for any input in the ranges: the errors of inputs, weights, biases, shifts
 * and approximated activations, each at its worst and all adding up. A real error is far smaller.
 */
export function errorBound(
  shape: Shape,
  layers: readonly ReluLayer[],
  quantised: { vector: ModelVector; inputScales: readonly number[]; scales: readonly number[] },
  ranges: readonly Range[],
): number {
  const { vector, inputScales, scales } = quantised;
  let bounds = boundsOf(ranges);
  // an input is rounded to the nearest
  let errors = Float64Array.from(inputScales, (scale) => 2 ** -(scale + 1));
  layers.forEach((layer, index) => {
    const plan = shape.layers[index] as Shape["layers"][number];
    const scale = scales[index] as number;
    const largest = bounds.max.map((max, i) => Math.max(Math.abs(max), Math.abs(bounds.min[i] as number)));
    const next = layer.bias.map((bias, j) => {
      const stored = ((vector[plan.biasesAt + j] as number) - HALF_UNIT) / biasFactor(scale);
      let error = Math.abs(stored - bias) + 2 ** -(scale + 1) + (layer.error[j] as number);
      (layer.weights[j] as Float64Array).forEach((weight, i) => {
        const before = index === 0 ? (inputScales[i] as number) : (scales[index - 1] as number);
        const used = (vector[plan.weightsAt + j * plan.inputs + i] as number) / weightFactor(scale, before);
        error += Math.abs(used) * (errors[i] as number) + Math.abs(used - weight) * (largest[i] as number);
      });
      return error;
    });
    errors = next;
    bounds = relu(propagate(layer, bounds));
  });
  return Math.max(...errors);
}
