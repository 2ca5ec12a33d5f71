import { type Affine, AffineAlgebra } from "./Affine.ts";
import { OnnxImportError } from "./OnnxImportError.ts";
import { AFFINE_OPERATORS, type Operand } from "./operators.ts";
import type { OnnxGraph, OnnxNode, OnnxValue } from "./readOnnx.ts";

export type Activation = "relu" | "sigmoid" | "tanh" | "none";

/** activation(weights · x + bias) */
export interface NetworkLayer {
  /** One row per output. */
  weights: readonly Float64Array[];
  bias: Float64Array;
  activation: Activation;
}

/** A model as dense layers in floating point: what its operators come to. Only the last layer has no activation. */
export interface Network {
  inputName: string;
  outputName: string;
  inputs: number;
  outputs: number;
  layers: readonly NetworkLayer[];
}

const ACTIVATIONS: ReadonlyMap<string, Activation> = new Map([
  ["Relu", "relu"],
  ["Sigmoid", "sigmoid"],
  ["Tanh", "tanh"],
]);
const SUPPORTED = [...AFFINE_OPERATORS.keys(), ...ACTIVATIONS.keys(), "Constant"];

/**
 * Lowers a graph with one input and one output to dense layers.
 *
 * @throws OnnxImportError naming the operator and node that cannot be lowered.
 */
export function lowerGraph(graph: OnnxGraph): Network {
  const [input, output] = [single(graph.inputs, "input"), single(graph.outputs, "output")];
  const algebra = new AffineAlgebra();
  const values = new Map<string, Operand>();
  for (const [name, constant] of graph.constants) values.set(name, { constant });
  const first = algebra.stage(0, inputDims(input));
  values.set(input.name, { value: first });

  const layers: NetworkLayer[] = [];
  /** An activation is a new stage, which only what was computed from the one before it may enter. */
  const activate = (value: Affine, activation: Activation): Affine => {
    if (value.stage !== layers.length) {
      throw new OnnxImportError("activations side by side are not supported: the graph must be a sequence of layers");
    }
    layers.push({ weights: value.rows, bias: value.bias, activation });
    return algebra.stage(layers.length, value.dims);
  };
  for (const node of graph.nodes) {
    const [name] = node.outputs;
    if (name === undefined) throw new OnnxImportError(`${describe(node)} has no output`);
    values.set(name, lowerNode(node, values, algebra, activate));
  }

  const result = values.get(output.name);
  if (!result || !("value" in result)) {
    throw new OnnxImportError(`Output "${output.name}" doesn't depend on the model's input`);
  }
  if (result.value.stage !== layers.length) {
    throw new OnnxImportError(`Output "${output.name}" is taken from before the last activation`);
  }
  layers.push({ weights: result.value.rows, bias: result.value.bias, activation: "none" });
  return {
    inputName: input.name,
    outputName: output.name,
    inputs: first.rows.length,
    outputs: result.value.rows.length,
    layers,
  };
}

function lowerNode(
  node: OnnxNode,
  values: ReadonlyMap<string, Operand>,
  algebra: AffineAlgebra,
  activate: (value: Affine, activation: Activation) => Affine,
): Operand {
  try {
    if (node.operator === "Constant") {
      const constant = node.attributes.get("value")?.tensor;
      if (!constant) throw new OnnxImportError("only constants with a tensor value are supported");
      return { constant };
    }
    const operands = node.inputs.map((name) => (name === "" ? undefined : known(values, name)));
    const activation = ACTIVATIONS.get(node.operator);
    if (activation) {
      const [operand] = operands;
      if (!operand || !("value" in operand)) throw new OnnxImportError("expected an input that depends on the model's");
      return { value: activate(operand.value, activation) };
    }
    const operator = AFFINE_OPERATORS.get(node.operator);
    if (!operator) throw new OnnxImportError(`the operator is not supported; supported are ${SUPPORTED.join(", ")}`);
    return { value: operator({ node, algebra, operands }) };
  } catch (error) {
    if (!(error instanceof OnnxImportError)) throw error;
    throw new OnnxImportError(`${describe(node)}: ${error.message}`, { cause: error });
  }
}

function known(values: ReadonlyMap<string, Operand>, name: string): Operand {
  const operand = values.get(name);
  if (!operand) throw new OnnxImportError(`input "${name}" is computed by no earlier node`);
  return operand;
}

const describe = ({ operator, name, outputs }: OnnxNode) => `${operator} node "${name || outputs[0] || ""}"`;

function single(values: readonly OnnxValue[], what: "input" | "output"): OnnxValue {
  const [value] = values;
  if (!value || values.length !== 1) {
    throw new OnnxImportError(
      `Expected a model with one ${what}, found ${values.map(({ name }) => `"${name}"`).join(", ") || "none"}`,
    );
  }
  return value;
}

/** The input's dimensions for one sample: a first dimension of 1, or a free one, is the batch. */
function inputDims({ name, dims }: OnnxValue): number[] {
  const [first, ...rest] = dims;
  const described = `input "${name}" of ${dims.map((dim) => dim ?? "?").join("×") || "no dimensions"}`;
  if (dims.length === 0 || rest.some((dim) => dim === undefined || dim < 1)) {
    throw new OnnxImportError(`Expected fixed dimensions after the batch, found ${described}`);
  }
  const fixed = rest as number[];
  if (dims.length === 1) {
    if (first === undefined || first < 1) throw new OnnxImportError(`Expected a fixed length, found ${described}`);
    return [first];
  }
  // exporters write a free dimension as a name, or as 0 or −1
  if (first !== undefined && first > 1)
    throw new OnnxImportError(`Expected a batch of 1 or a free one, found ${described}`);
  return [1, ...fixed];
}
