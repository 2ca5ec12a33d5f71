import type { Network } from "../onnx/lowerGraph.ts";
import type { Shape } from "../shape.ts";
import { expandedDims, isSmooth } from "./expandActivations.ts";
import { QuantisationError } from "./QuantisationError.ts";

/** ReLUs that stand for one sigmoid or tanh. More are more exact; fewer leave room. */
const KNOTS = [32, 24, 16, 12, 8];

export interface Fit {
  shape: Shape;
  /** Per sigmoid or tanh. */
  knots: number;
}

/**
 * The first of the shapes that has room for the network.
 *
 * @throws QuantisationError that says what would fit.
 */
export function fitShape(network: Network, shapes: readonly Shape[]): Fit {
  const choices = network.layers.some(({ activation }) => isSmooth(activation)) ? KNOTS : KNOTS.slice(-1);
  for (const shape of shapes) {
    const knots = choices.find((count) => fits(expandedDims(network, count), shape));
    if (knots !== undefined) return { shape, knots };
  }
  const needed = expandedDims(network, KNOTS.at(-1) as number).join("-");
  const available = shapes.map(({ name, dims }) => `${name} ${dims.join("-")}`).join(", ");
  throw new QuantisationError(
    `A network of ${needed} fits no shape (${available}): each layer must be at most as wide as the shape's, and layers after the ` +
      "network's last one as wide as its output. Sigmoid and Tanh count as a layer of 8 units each",
  );
}

/** Layer by layer; the network's output passes through what layers are left. */
function fits(dims: readonly number[], shape: Shape): boolean {
  const output = dims.at(-1) as number;
  return dims.length <= shape.dims.length && shape.dims.every((width, i) => (dims[i] ?? output) <= width);
}
