import { OUTPUT_BITS } from "../fixedPoint.ts";
import type { ModelVector } from "../modelVector.ts";
import type { Shape } from "../shape.ts";
import { boundsOf, propagate, type Range, relu } from "./errorBound.ts";
import type { ReluLayer } from "./expandActivations.ts";
import { QuantisationError } from "./QuantisationError.ts";
import { largestScale, quantiseLayers } from "./quantiseLayers.ts";

/** How far below its largest scale a layer is tried. */
const STEPS = 8;
const ROUNDS = 2;

export interface Scales {
  scales: number[];
  vector: ModelVector;
}

/**
 * A scale for each layer. A larger one rounds activations less, but leaves the next layer's weights fewer bits; so hidden layers are tried,
 * one by one, for the smallest measured error. The last layer takes the largest scale at which nothing in the ranges can saturate.
 *
 * @param measure The error of a model vector whose outputs have the given scale.
 */
export function chooseScales(
  shape: Shape,
  layers: readonly ReluLayer[],
  inputScales: readonly number[],
  ranges: readonly Range[],
  measure: (vector: ModelVector, outputScale: number) => number,
): Scales {
  const ceiling = outputCeiling(layers, ranges);
  /** The wanted scales, each no larger than fits after those before it. */
  const attempt = (wanted: readonly number[]) => {
    const scales: number[] = [];
    layers.forEach((layer, index) => {
      const before =
        index === 0 ? inputScales : new Array<number>(layer.weights[0]?.length ?? 0).fill(scales[index - 1] as number);
      const largest = Math.min(largestScale(layer, before), index === layers.length - 1 ? ceiling : Infinity);
      scales.push(Math.min(wanted[index] ?? Infinity, largest));
    });
    const outputScale = scales.at(-1) as number;
    if (outputScale < 0) {
      throw new QuantisationError(
        "The model's outputs are too large for 31 bits, or its weights too different in size",
      );
    }
    const vector = quantiseLayers(shape, layers, inputScales, scales);
    return { scales, vector, error: measure(vector, outputScale) };
  };
  let best = attempt([]);
  for (let round = 0; round < ROUNDS; round++) {
    for (let index = 0; index < layers.length - 1; index++) {
      const top = best.scales[index] as number;
      for (let scale = top + 2; scale >= top - STEPS; scale--) {
        const tried = attemptOrSkip(() => attempt(best.scales.with(index, scale).fill(Infinity, layers.length - 1)));
        if (tried && tried.error < best.error) best = tried;
      }
    }
  }
  return best;
}

function attemptOrSkip<T>(attempt: () => T): T | undefined {
  try {
    return attempt();
  } catch (error) {
    if (error instanceof QuantisationError) return undefined;
    throw error;
  }
}

/** Largest scale at which outputs, whatever the input in the ranges, take at most half of what they may. */
function outputCeiling(layers: readonly ReluLayer[], ranges: readonly Range[]): number {
  let bounds = boundsOf(ranges);
  layers.forEach((layer, index) => {
    bounds = propagate(layer, index === 0 ? bounds : relu(bounds));
  });
  const largest = Math.max(...bounds.max.map(Math.abs), ...bounds.min.map(Math.abs), Number.MIN_VALUE);
  return Math.min(Math.floor(OUTPUT_BITS - 2 - Math.log2(largest)), OUTPUT_BITS - 3);
}
