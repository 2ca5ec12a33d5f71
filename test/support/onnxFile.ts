import protobuf from "protobufjs";

/** What of onnx.proto tests write. */
const SCHEMA = `
  syntax = "proto3";
  message ModelProto { int64 ir_version = 1; GraphProto graph = 7; repeated OperatorSetIdProto opset_import = 8; }
  message OperatorSetIdProto { string domain = 1; int64 version = 2; }
  message GraphProto {
    repeated NodeProto node = 1; string name = 2; repeated TensorProto initializer = 5;
    repeated ValueInfoProto input = 11; repeated ValueInfoProto output = 12;
  }
  message NodeProto {
    repeated string input = 1; repeated string output = 2; string name = 3; string op_type = 4; repeated AttributeProto attribute = 5; string domain = 7;
  }
  message AttributeProto { string name = 1; float f = 2; int64 i = 3; bytes s = 4; TensorProto t = 5; repeated int64 ints = 8; int32 type = 20; }
  message TensorProto { repeated int64 dims = 1; int32 data_type = 2; repeated float float_data = 4; repeated int64 int64_data = 7; string name = 8; bytes raw_data = 9; }
  message ValueInfoProto { string name = 1; TypeProto type = 2; }
  message TypeProto { Tensor tensor_type = 1; message Tensor { int32 elem_type = 1; TensorShapeProto shape = 2; } }
  message TensorShapeProto { repeated Dimension dim = 1; message Dimension { oneof value { int64 dim_value = 1; string dim_param = 2; } } }
`;

const FLOAT = 1;
const INT64 = 7;

export type AttributeValue = number | number[] | { float: number } | { text: string } | ConstantTensor;

export interface ConstantTensor {
  dims: number[];
  values: readonly number[];
  /** int64 in typed fields instead of floats in raw bytes. */
  integers?: boolean;
}

export interface GraphNode {
  operator: string;
  inputs: string[];
  output: string;
  name?: string;
  attributes?: Record<string, AttributeValue>;
  domain?: string;
}

export interface GraphDescription {
  /** A dimension that is a text is free. */
  input: { name: string; dims: (number | string)[] };
  output: { name: string; dims: (number | string)[] };
  constants?: Record<string, ConstantTensor>;
  nodes: GraphNode[];
}

/** An ONNX file, opset 13. */
export function onnxFile({ input, output, constants = {}, nodes }: GraphDescription): Uint8Array {
  const model = protobuf.parse(SCHEMA).root.lookupType("ModelProto");
  const graph = {
    name: "test",
    node: nodes.map(({ operator, inputs, output: result, name, attributes = {}, domain = "" }) => ({
      input: inputs,
      output: [result],
      name: name ?? result,
      opType: operator,
      domain,
      attribute: Object.entries(attributes).map(([key, value]) => ({ name: key, ...attribute(value) })),
    })),
    initializer: Object.entries(constants).map(([name, constant]) => ({ name, ...tensor(constant) })),
    input: [value(input)],
    output: [value(output)],
  };
  return model.encode(model.fromObject({ irVersion: 8, opsetImport: [{ domain: "", version: 13 }], graph })).finish();
}

function attribute(value: AttributeValue): object {
  if (typeof value === "number") return { i: value, type: 2 };
  if (Array.isArray(value)) return { ints: value, type: 7 };
  if ("float" in value) return { f: value.float, type: 1 };
  if ("text" in value) return { s: Buffer.from(value.text), type: 3 };
  return { t: tensor(value), type: 4 };
}

function tensor({ dims, values, integers = false }: ConstantTensor): object {
  if (integers) return { dims, dataType: INT64, int64Data: [...values] };
  return { dims, dataType: FLOAT, rawData: new Uint8Array(Float32Array.from(values).buffer) };
}

function value({ name, dims }: { name: string; dims: (number | string)[] }): object {
  const dim = dims.map((size) => (typeof size === "string" ? { dimParam: size } : { dimValue: size }));
  return { name, type: { tensorType: { elemType: FLOAT, shape: { dim } } } };
}
