import protobuf from "protobufjs";

import type { Mlp } from "./Mlp.ts";

/** The part of ONNX's protobuf schema that a small feed-forward network uses (field numbers: onnx.proto3, IR version 8). */
const SCHEMA = `
  syntax = "proto3";
  message ModelProto {
    int64 ir_version = 1; string producer_name = 2; string producer_version = 3; string domain = 4; int64 model_version = 5;
    string doc_string = 6; GraphProto graph = 7; repeated OperatorSetIdProto opset_import = 8; repeated StringStringEntryProto metadata_props = 14;
  }
  message OperatorSetIdProto { string domain = 1; int64 version = 2; }
  message StringStringEntryProto { string key = 1; string value = 2; }
  message GraphProto {
    repeated NodeProto node = 1; string name = 2; repeated TensorProto initializer = 5; string doc_string = 10;
    repeated ValueInfoProto input = 11; repeated ValueInfoProto output = 12;
  }
  message NodeProto { repeated string input = 1; repeated string output = 2; string name = 3; string op_type = 4; repeated AttributeProto attribute = 5; }
  message AttributeProto { string name = 1; int64 i = 3; int32 type = 20; }
  message TensorProto { repeated int64 dims = 1; int32 data_type = 2; string name = 8; bytes raw_data = 9; }
  message ValueInfoProto { string name = 1; TypeProto type = 2; string doc_string = 3; }
  message TypeProto { Tensor tensor_type = 1; message Tensor { int32 elem_type = 1; TensorShapeProto shape = 2; } }
  message TensorShapeProto { repeated Dimension dim = 1; message Dimension { oneof value { int64 dim_value = 1; string dim_param = 2; } } }
`;

const FLOAT = 1; // TensorProto.DataType
const INT = 2; // AttributeProto.AttributeType

export interface OnnxDescription {
  /** Name of the graph. */
  name: string;
  /** Version that the model itself carries. */
  version: number;
  description: string;
  input: { name: string; description: string };
  output: { name: string; description: string };
  metadata: Readonly<Record<string, string>>;
  /** What follows the last layer. Default "Sigmoid". */
  lastActivation?: "Sigmoid" | "Identity";
}

/**
 * Serialises a perceptron as ONNX, opset 13: `Gemm` and `Relu` for each hidden layer, `Gemm` and the last activation at the end.
 * Input is float32 [N, features], output float32 [N, outputs]. Equal arguments give equal bytes.
 */
export function encodeOnnx(network: Pick<Mlp, "layers">, about: OnnxDescription): Uint8Array {
  const layers = network.layers.map((layer, i) => {
    const last = i === network.layers.length - 1;
    const input = i === 0 ? about.input.name : `hidden${i}`;
    const sum = `sum${i + 1}`;
    return {
      nodes: [
        {
          input: [input, `weights${i + 1}`, `biases${i + 1}`],
          output: [sum],
          name: `dense${i + 1}`,
          opType: "Gemm",
          attribute: [{ name: "transB", i: 1, type: INT }],
        },
        {
          input: [sum],
          output: [last ? about.output.name : `hidden${i + 1}`],
          name: `activation${i + 1}`,
          opType: last ? (about.lastActivation ?? "Sigmoid") : "Relu",
        },
      ],
      tensors: [
        tensor(`weights${i + 1}`, [layer.outputs, layer.inputs], layer.weights),
        tensor(`biases${i + 1}`, [layer.outputs], layer.biases),
      ],
    };
  });
  const model = protobuf.parse(SCHEMA).root.lookupType("ModelProto");
  return model
    .encode(
      model.fromObject({
        irVersion: 8,
        producerName: "opengradient",
        domain: "opengradient",
        modelVersion: about.version,
        docString: about.description,
        opsetImport: [{ domain: "", version: 13 }],
        metadataProps: Object.entries(about.metadata).map(([key, value]) => ({ key, value })),
        graph: {
          name: about.name,
          node: layers.flatMap(({ nodes }) => nodes),
          initializer: layers.flatMap(({ tensors }) => tensors),
          input: [matrix(about.input, network.layers[0]?.inputs ?? 0)],
          output: [matrix(about.output, network.layers.at(-1)?.outputs ?? 0)],
        },
      }),
    )
    .finish();
}

function tensor(name: string, dims: number[], values: Float64Array): object {
  const rawData = new Uint8Array(values.length * 4);
  const view = new DataView(rawData.buffer);
  values.forEach((value, i) => view.setFloat32(i * 4, value, true)); // ONNX raw data is little-endian
  return { name, dims, dataType: FLOAT, rawData };
}

function matrix({ name, description }: OnnxDescription["input"], columns: number): object {
  const dim = [{ dimParam: "N" }, { dimValue: columns }];
  return { name, docString: description, type: { tensorType: { elemType: FLOAT, shape: { dim } } } };
}
