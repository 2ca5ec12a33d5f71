import { OnnxImportError } from "./OnnxImportError.ts";
import { bytesOf, type Field, floatsOf, integerOf, integersOf, protobufFields, textOf } from "./ProtobufReader.ts";

export interface OnnxTensor {
  name: string;
  dims: number[];
  values: number[];
}

export interface OnnxNode {
  name: string;
  operator: string;
  inputs: string[];
  outputs: string[];
  attributes: Map<string, OnnxAttribute>;
}

export interface OnnxAttribute {
  float?: number;
  integer?: number;
  integers?: number[];
  text?: string;
  tensor?: OnnxTensor;
}

/** A graph's input or output. A free dimension is undefined. */
export interface OnnxValue {
  name: string;
  dims: (number | undefined)[];
}

export interface OnnxGraph {
  nodes: OnnxNode[];
  constants: Map<string, OnnxTensor>;
  inputs: OnnxValue[];
  outputs: OnnxValue[];
}

export const MAX_ONNX_BYTES = 16 * 1024 * 1024;
const MAX_NODES = 1_000;
/** In all tensors; the largest shape has 33,000. */
const MAX_VALUES = 2 ** 21;

/** Message fields of onnx.proto. */
const MODEL_GRAPH = 7;
const GRAPH = { node: 1, initializer: 5, input: 11, output: 12, sparse: 15 };
const NODE = { input: 1, output: 2, name: 3, operator: 4, attribute: 5, domain: 7 };
const ATTRIBUTE = { name: 1, float: 2, integer: 3, text: 4, tensor: 5, integers: 8 };
const TENSOR = {
  dims: 1,
  type: 2,
  segment: 3,
  floats: 4,
  int32s: 5,
  int64s: 7,
  name: 8,
  raw: 9,
  doubles: 10,
  location: 14,
};
const VALUE = { name: 1, type: 2, tensorType: 1, shape: 2, dim: 1, dimValue: 1 };

/** Element types of onnx.proto that weights, shapes and flags come in, with the bytes each takes in raw data. */
const RAW_READERS: Readonly<Record<number, { bytes: number; read(view: DataView, at: number): number }>> = {
  1: { bytes: 4, read: (view, at) => view.getFloat32(at, true) },
  6: { bytes: 4, read: (view, at) => view.getInt32(at, true) },
  7: { bytes: 8, read: (view, at) => Number(view.getBigInt64(at, true)) },
  9: { bytes: 1, read: (view, at) => view.getUint8(at) },
  11: { bytes: 8, read: (view, at) => view.getFloat64(at, true) },
};

/**
 * Reads the parts of an ONNX model that the import needs.
 *
 * @throws OnnxImportError when the file is damaged, too large, or has tensors of another type.
 */
export function readOnnx(bytes: Uint8Array): OnnxGraph {
  if (bytes.length > MAX_ONNX_BYTES) {
    throw new OnnxImportError(`Expected an ONNX file of at most ${MAX_ONNX_BYTES} bytes, found ${bytes.length}`);
  }
  const graphs = [...protobufFields(bytes)].filter(({ number }) => number === MODEL_GRAPH);
  const [field] = graphs;
  if (!field || graphs.length !== 1) throw new OnnxImportError("Expected an ONNX file with one graph");

  const graph: OnnxGraph = { nodes: [], constants: new Map(), inputs: [], outputs: [] };
  const budget = { values: MAX_VALUES };
  for (const part of protobufFields(bytesOf(field))) {
    if (part.number === GRAPH.node) graph.nodes.push(readNode(bytesOf(part), budget));
    else if (part.number === GRAPH.initializer) addConstant(graph, readTensor(bytesOf(part), budget));
    else if (part.number === GRAPH.input) graph.inputs.push(readValue(bytesOf(part)));
    else if (part.number === GRAPH.output) graph.outputs.push(readValue(bytesOf(part)));
    else if (part.number === GRAPH.sparse)
      throw new OnnxImportError("Sparse initializers are not supported: store them dense");
    if (graph.nodes.length > MAX_NODES) throw new OnnxImportError(`Expected at most ${MAX_NODES} nodes`);
  }
  // older exporters list initializers among the inputs
  graph.inputs = graph.inputs.filter(({ name }) => !graph.constants.has(name));
  return graph;
}

function addConstant(graph: OnnxGraph, tensor: OnnxTensor): void {
  graph.constants.set(tensor.name, tensor);
}

interface Budget {
  values: number;
}

function readNode(bytes: Uint8Array, budget: Budget): OnnxNode {
  const node: OnnxNode = { name: "", operator: "", inputs: [], outputs: [], attributes: new Map() };
  for (const field of protobufFields(bytes)) {
    if (field.number === NODE.input) node.inputs.push(textOf(field));
    else if (field.number === NODE.output) node.outputs.push(textOf(field));
    else if (field.number === NODE.name) node.name = textOf(field);
    else if (field.number === NODE.operator) node.operator = textOf(field);
    else if (field.number === NODE.attribute) readAttribute(bytesOf(field), node.attributes, budget);
    else if (field.number === NODE.domain && !["", "ai.onnx"].includes(textOf(field))) {
      throw new OnnxImportError(`Operators of domain ${textOf(field)} are not supported`);
    }
  }
  return node;
}

function readAttribute(bytes: Uint8Array, attributes: Map<string, OnnxAttribute>, budget: Budget): void {
  let name = "";
  const attribute: OnnxAttribute = {};
  for (const field of protobufFields(bytes)) {
    if (field.number === ATTRIBUTE.name) name = textOf(field);
    else if (field.number === ATTRIBUTE.float) attribute.float = floatsOf(field)[0] ?? 0;
    else if (field.number === ATTRIBUTE.integer) attribute.integer = integerOf(field);
    else if (field.number === ATTRIBUTE.text) attribute.text = textOf(field);
    else if (field.number === ATTRIBUTE.tensor) attribute.tensor = readTensor(bytesOf(field), budget);
    else if (field.number === ATTRIBUTE.integers) (attribute.integers ??= []).push(...integersOf(field).slice(0, 64));
  }
  attributes.set(name, attribute);
}

function readTensor(bytes: Uint8Array, budget: Budget): OnnxTensor {
  const tensor: OnnxTensor = { name: "", dims: [], values: [] };
  const typed: Field[] = [];
  let type = 0;
  let raw: Uint8Array | undefined;
  for (const field of protobufFields(bytes)) {
    if (field.number === TENSOR.dims) tensor.dims.push(...integersOf(field));
    else if (field.number === TENSOR.type) type = integerOf(field);
    else if (field.number === TENSOR.name) tensor.name = textOf(field);
    else if (field.number === TENSOR.raw) raw = bytesOf(field);
    else if (field.number === TENSOR.location && integerOf(field) !== 0) {
      throw new OnnxImportError(`Tensor "${tensor.name}" is in another file: save the model as one file`);
    } else if ([TENSOR.floats, TENSOR.int32s, TENSOR.int64s, TENSOR.doubles].includes(field.number)) typed.push(field);
  }
  const count = tensor.dims.reduce((product, dim) => product * dim, 1);
  if (tensor.dims.length > 8 || tensor.dims.some((dim) => dim < 0) || count > budget.values) {
    throw new OnnxImportError(`Tensor "${tensor.name}" is too large: dimensions ${tensor.dims.slice(0, 9).join("×")}`);
  }
  budget.values -= count;
  tensor.values = raw ? rawValues(tensor.name, type, raw) : typed.flatMap(typedValues);
  if (tensor.values.length !== count) {
    throw new OnnxImportError(`Expected ${count} values in tensor "${tensor.name}", found ${tensor.values.length}`);
  }
  if (!tensor.values.every(Number.isFinite)) {
    throw new OnnxImportError(`Tensor "${tensor.name}" has a value that is not finite`);
  }
  return tensor;
}

function rawValues(name: string, type: number, raw: Uint8Array): number[] {
  const reader = RAW_READERS[type];
  if (!reader) {
    throw new OnnxImportError(
      `Tensor "${name}" has ONNX element type ${type}: expected float, double, int32, int64 or bool`,
    );
  }
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  return Array.from({ length: Math.floor(raw.length / reader.bytes) }, (_, i) => reader.read(view, i * reader.bytes));
}

function typedValues(field: Field): number[] {
  if (field.number === TENSOR.floats) return floatsOf(field);
  if (field.number !== TENSOR.doubles) return integersOf(field);
  const bytes = bytesOf(field);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: Math.floor(bytes.length / 8) }, (_, i) => view.getFloat64(8 * i, true));
}

function readValue(bytes: Uint8Array): OnnxValue {
  const value: OnnxValue = { name: "", dims: [] };
  for (const field of protobufFields(bytes)) {
    if (field.number === VALUE.name) value.name = textOf(field);
    if (field.number !== VALUE.type) continue;
    for (const type of inner(field, VALUE.tensorType)) {
      for (const shape of inner(type, VALUE.shape)) {
        for (const dim of inner(shape, VALUE.dim)) {
          const [size] = inner(dim, VALUE.dimValue);
          value.dims.push(size && integerOf(size));
        }
      }
    }
  }
  return value;
}

const inner = (field: Field, number: number): Field[] =>
  [...protobufFields(bytesOf(field))].filter((part) => part.number === number);
