import { type Affine, type AffineAlgebra, elementsOf, type Taps } from "./Affine.ts";
import { OnnxImportError } from "./OnnxImportError.ts";
import type { OnnxNode, OnnxTensor } from "./readOnnx.ts";
import { windowsOf } from "./windows.ts";

/** What a node's input is while a graph is lowered. */
export type Operand = { value: Affine } | { constant: OnnxTensor };

export interface OperatorCall {
  node: OnnxNode;
  algebra: AffineAlgebra;
  /** Absent for an optional input that is left out. */
  operands: readonly (Operand | undefined)[];
}

type Operator = (call: OperatorCall) => Affine;

/** Operators that are affine in their one input that is not constant. */
export const AFFINE_OPERATORS: ReadonlyMap<string, Operator> = new Map<string, Operator>([
  ["Gemm", gemm],
  ["MatMul", (call) => multiply(call.algebra, valueAt(call, 0), constantAt(call, 1))],
  ["Add", add],
  ["Conv", conv],
  ["AveragePool", (call) => average(call, call.node.attributes.get("kernel_shape")?.integers ?? [])],
  ["GlobalAveragePool", (call) => average(call, valueAt(call, 0).dims.slice(2))],
  ["Flatten", flatten],
  ["Reshape", reshape],
  ["Identity", (call) => valueAt(call, 0)],
  ["Dropout", dropout],
]);

const integer = (node: OnnxNode, name: string, fallback: number) => node.attributes.get(name)?.integer ?? fallback;
const float = (node: OnnxNode, name: string, fallback: number) => node.attributes.get(name)?.float ?? fallback;

function valueAt({ operands }: OperatorCall, index: number): Affine {
  const operand = operands[index];
  if (!operand || !("value" in operand))
    throw new OnnxImportError(`Expected input ${index} to depend on the model's input`);
  return operand.value;
}

function constantAt({ operands }: OperatorCall, index: number): OnnxTensor {
  const operand = operands[index];
  if (!operand || !("constant" in operand)) throw new OnnxImportError(`Expected input ${index} to be constant`);
  return operand.constant;
}

function gemm(call: OperatorCall): Affine {
  const { node, algebra, operands } = call;
  const value = valueAt(call, 0);
  const weights = constantAt(call, 1);
  if (integer(node, "transA", 0)) throw new OnnxImportError("transA 1 is not supported");
  const transposed = integer(node, "transB", 0) !== 0;
  const alpha = float(node, "alpha", 1);
  const scaled = { ...weights, values: weights.values.map((weight) => weight * alpha) };
  const product = multiply(algebra, value, transposed ? transpose(scaled) : scaled);
  if (!operands[2]) return product;
  const beta = float(node, "beta", 1);
  const broadcast = broadcastTo(constantAt(call, 2), product.dims);
  return algebra.addConstant(product, (element) => beta * broadcast(element));
}

/** […, n] times [n, m]. */
function multiply(algebra: AffineAlgebra, value: Affine, weights: OnnxTensor): Affine {
  const [rows, columns] = weights.dims;
  if (weights.dims.length !== 2 || rows === undefined || columns === undefined || rows !== value.dims.at(-1)) {
    throw new OnnxImportError(`Cannot multiply ${value.dims.join("×")} by ${weights.dims.join("×")}`);
  }
  return algebra.combine(value, [...value.dims.slice(0, -1), columns], (element) => {
    const [row, column] = [Math.floor(element / columns), element % columns];
    return Array.from(
      { length: rows },
      (_, i) => [row * rows + i, weights.values[i * columns + column] as number] as const,
    );
  });
}

function transpose({ name, dims, values }: OnnxTensor): OnnxTensor {
  const [rows = 0, columns = 0] = dims;
  if (dims.length !== 2) throw new OnnxImportError(`Expected a matrix, found a tensor of ${dims.join("×")}`);
  const turned = values.map((_, i) => values[(i % rows) * columns + Math.floor(i / rows)] as number);
  return { name, dims: [columns, rows], values: turned };
}

function add(call: OperatorCall): Affine {
  const [left, right] = call.operands;
  if (!left || !right) throw new OnnxImportError("Expected two inputs");
  if ("value" in left && "value" in right) {
    if (left.value.dims.join() !== right.value.dims.join()) {
      throw new OnnxImportError(`Cannot add ${right.value.dims.join("×")} to ${left.value.dims.join("×")}`);
    }
    if (left.value.stage !== right.value.stage) {
      throw new OnnxImportError(
        "Cannot add tensors with a different number of activations before them (a residual connection)",
      );
    }
    return call.algebra.add(left.value, right.value);
  }
  const index = "value" in left ? 0 : 1;
  const value = valueAt(call, index);
  return call.algebra.addConstant(value, broadcastTo(constantAt(call, 1 - index), value.dims));
}

/** The constant's value for each element of a tensor with these dimensions, as numpy broadcasts. */
function broadcastTo({ dims, values }: OnnxTensor, target: readonly number[]): (element: number) => number {
  const missing = target.length - dims.length;
  const fits = missing >= 0 && dims.every((dim, axis) => dim === 1 || dim === target[axis + missing]);
  if (!fits) throw new OnnxImportError(`Cannot add a constant of ${dims.join("×")} to ${target.join("×")}`);
  return (element) => {
    let [rest, position, unit] = [element, 0, 1];
    for (let axis = target.length - 1; axis >= missing; axis--) {
      const [size, own] = [target[axis] as number, dims[axis - missing] as number];
      if (own !== 1) position += (rest % size) * unit;
      unit *= own;
      rest = Math.floor(rest / size);
    }
    return values[position] as number;
  };
}

function conv(call: OperatorCall): Affine {
  const { node, algebra, operands } = call;
  const value = valueAt(call, 0);
  const weights = constantAt(call, 1);
  const [batch = 0, channels = 0, ...input] = value.dims;
  const [filters = 0, perGroup = 0, ...kernel] = weights.dims;
  const groups = integer(node, "group", 1);
  if (groups < 1 || channels !== perGroup * groups || filters % groups !== 0 || filters === 0) {
    throw new OnnxImportError(
      `Weights of ${weights.dims.join("×")} in ${groups} groups don't fit ${value.dims.join("×")}`,
    );
  }
  const windows = windowsOf(node, kernel, input);
  const [places, cells, area] = [windows.output, kernel, input].map(elementsOf) as [number, number, number];
  const convolved = algebra.combine(value, [batch, filters, ...windows.output], (element) => {
    const [filter, place] = [Math.floor(element / places), element % places];
    const firstChannel = Math.floor(filter / (filters / groups)) * perGroup;
    const taps: [number, number][] = [];
    for (let channel = 0; channel < perGroup; channel++) {
      for (let cell = 0; cell < cells; cell++) {
        const position = windows.under(place, cell);
        const weight = weights.values[(filter * perGroup + channel) * cells + cell] as number;
        if (position !== undefined) taps.push([(firstChannel + channel) * area + position, weight]);
      }
    }
    return taps;
  });
  if (!operands[2]) return convolved;
  const { values: bias } = constantAt(call, 2);
  if (bias.length !== filters) throw new OnnxImportError(`Expected ${filters} biases, found ${bias.length}`);
  return algebra.addConstant(convolved, (element) => bias[Math.floor(element / places)] as number);
}

function average(call: OperatorCall, kernel: readonly number[]): Affine {
  const value = valueAt(call, 0);
  const [batch = 0, channels = 0, ...input] = value.dims;
  if (input.length === 0) throw new OnnxImportError(`Cannot pool a tensor of ${value.dims.join("×")}`);
  const windows = windowsOf(call.node, kernel, input);
  const [places, cells, area] = [windows.output, kernel, input].map(elementsOf) as [number, number, number];
  const countPadding = integer(call.node, "count_include_pad", 0) !== 0;
  return call.algebra.combine(value, [batch, channels, ...windows.output], (element): Taps => {
    const [channel, place] = [Math.floor(element / places), element % places];
    const under = Array.from({ length: cells }, (_, cell) => windows.under(place, cell)).filter(
      (position) => position !== undefined,
    );
    const weight = 1 / (countPadding ? cells : Math.max(under.length, 1));
    return under.map((position) => [channel * area + position, weight] as const);
  });
}

function flatten(call: OperatorCall): Affine {
  const value = valueAt(call, 0);
  const axis = integer(call.node, "axis", 1);
  const split = axis < 0 ? value.dims.length + axis : axis;
  if (split < 0 || split > value.dims.length)
    throw new OnnxImportError(`Axis ${axis} is not of ${value.dims.join("×")}`);
  return { ...value, dims: [elementsOf(value.dims.slice(0, split)), elementsOf(value.dims.slice(split))] };
}

function reshape(call: OperatorCall): Affine {
  const value = valueAt(call, 0);
  const target = constantAt(call, 1).values;
  const copied = target.map((dim, axis) => (dim === 0 ? (value.dims[axis] ?? 0) : dim));
  const known = elementsOf(copied.filter((dim) => dim !== -1));
  const dims = copied.map((dim) => (dim === -1 ? rows(value) / known : dim));
  if (dims.length > 8 || dims.some((dim) => !Number.isInteger(dim) || dim < 1) || elementsOf(dims) !== rows(value)) {
    throw new OnnxImportError(
      `Cannot reshape ${value.dims.join("×")} to [${target.slice(0, 9).join(", ")}] with a batch of 1`,
    );
  }
  return { ...value, dims };
}

const rows = (value: Affine): number => value.rows.length;

function dropout(call: OperatorCall): Affine {
  if (call.operands[2] && constantAt(call, 2).values[0])
    throw new OnnxImportError("training_mode is on: export the model for inference");
  return valueAt(call, 0);
}
