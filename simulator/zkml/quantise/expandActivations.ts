import type { Network } from "../onnx/lowerGraph.ts";
import { type Piecewise, piecewise } from "./piecewise.ts";

/** ReLU(weights · x + bias), or without ReLU in the last layer: what the circuit's layers compute. */
export interface ReluLayer {
  weights: readonly Float64Array[];
  bias: Float64Array;
  /** How far each output, before its ReLU, may be off because sigmoids before it are approximated. */
  error: Float64Array;
}

/** Widths of the network after expansion, from input to output. */
export function expandedDims({ inputs, layers }: Network, knots: number): number[] {
  const widths = layers.map(({ bias, activation }) => (isSmooth(activation) ? bias.length * knots : bias.length));
  return [inputs, ...widths];
}

/** Writes each sigmoid and tanh as a layer of ReLUs, one per knot, whose sum folds into the next layer. */
export function expandActivations({ layers }: Network, knots: number): ReluLayer[] {
  let before: Piecewise | undefined;
  return layers.map(({ weights, bias, activation }) => {
    const folded = before
      ? foldPiecewise(weights, bias, before)
      : { weights, bias, error: new Float64Array(bias.length) };
    before = isSmooth(activation) ? piecewise(activation, knots) : undefined;
    return before ? repeatForKnots(folded, before) : folded;
  });
}

export const isSmooth = (activation: string): activation is "sigmoid" | "tanh" =>
  activation === "sigmoid" || activation === "tanh";

function foldPiecewise(weights: readonly Float64Array[], bias: Float64Array, curve: Piecewise): ReluLayer {
  return {
    weights: weights.map((row) =>
      Float64Array.from([...row].flatMap((weight) => curve.changes.map((change) => weight * change))),
    ),
    bias: bias.map((value, j) => value + curve.start * sum(weights[j] as Float64Array, (weight) => weight)),
    error: bias.map((_, j) => curve.error * sum(weights[j] as Float64Array, Math.abs)),
  };
}

function repeatForKnots({ weights, bias, error }: ReluLayer, { knots }: Piecewise): ReluLayer {
  return {
    weights: weights.flatMap((row) => knots.map(() => row)),
    bias: Float64Array.from([...bias].flatMap((value) => knots.map((knot) => value - knot))),
    // every unit of a knot is off by the same amount, and the curve is no steeper than its function: the slope is at most 1
    error: Float64Array.from([...error].flatMap((value) => knots.map(() => value))),
  };
}

const sum = (values: Float64Array, of: (value: number) => number) =>
  values.reduce((total, value) => total + of(value), 0);
