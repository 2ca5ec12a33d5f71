import type { Activation, Network } from "./lowerGraph.ts";

const FUNCTIONS: Readonly<Record<Activation, (x: number) => number>> = {
  none: (x) => x,
  relu: (x) => Math.max(x, 0),
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  tanh: Math.tanh,
};

/** Runs a network in floating point: what its quantised form is measured against. */
export function evaluateNetwork({ layers }: Network, input: ArrayLike<number>): Float64Array {
  return layers.reduce((values, { weights, bias, activation }) => {
    const apply = FUNCTIONS[activation];
    return Float64Array.from(weights, (row, j) =>
      apply(row.reduce((sum, weight, i) => sum + weight * (values[i] as number), bias[j] as number)),
    );
  }, Float64Array.from(input));
}
