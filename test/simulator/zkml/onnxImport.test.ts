import { expect } from "chai";
import { InferenceSession, Tensor } from "onnxruntime-node";

import { SeededRandom } from "../../../simulator/models/SeededRandom.ts";
import { evaluateNetwork } from "../../../simulator/zkml/onnx/evaluateNetwork.ts";
import { lowerGraph } from "../../../simulator/zkml/onnx/lowerGraph.ts";
import { readOnnx } from "../../../simulator/zkml/onnx/readOnnx.ts";
import { OnnxImportError } from "../../../simulator/zkml/onnx/OnnxImportError.ts";
import { type ConstantTensor, type GraphNode, onnxFile } from "../../support/onnxFile.ts";
import { perceptron, pictureClassifier, randomTensor } from "../../support/onnxModels.ts";

const lower = (onnx: Uint8Array) => lowerGraph(readOnnx(onnx));

describe("ONNX import", () => {
  interface Case {
    input: (number | string)[];
    output: (number | string)[];
    constants?: Record<string, ConstantTensor>;
    nodes: GraphNode[];
  }
  const random = new SeededRandom(7);
  const tensor = (...dims: number[]) => randomTensor(random, dims, 4);
  const integers = (...values: number[]): ConstantTensor => ({ dims: [values.length], values, integers: true });
  /** A node of a chain: its first input is the result before it. */
  const chain = (
    ...nodes: [operator: string, constants?: string[], attributes?: GraphNode["attributes"]][]
  ): GraphNode[] =>
    nodes.map(([operator, constants = [], attributes = {}], i) => ({
      operator,
      inputs: [i === 0 ? "x" : `y${i - 1}`, ...constants],
      output: i === nodes.length - 1 ? "y" : `y${i}`,
      attributes,
    }));

  const cases: Record<string, Case> = {
    "Gemm with transB, alpha and beta": {
      input: ["N", 5],
      output: ["N", 3],
      constants: { w: tensor(3, 5), b: tensor(1, 3) },
      nodes: chain(["Gemm", ["w", "b"], { transB: 1, alpha: { float: 0.5 }, beta: { float: -2 } }]),
    },
    "Gemm without bias": {
      input: [1, 4],
      output: [1, 2],
      constants: { w: tensor(4, 2) },
      nodes: chain(["Gemm", ["w"]]),
    },
    "MatMul of a vector without batch": {
      input: [4],
      output: [3],
      constants: { w: tensor(4, 3) },
      nodes: chain(["MatMul", ["w"]]),
    },
    "MatMul on the last of three dimensions, Add broadcast, Flatten": {
      input: ["N", 2, 3],
      output: ["N", 8],
      constants: { w: tensor(3, 4), b: tensor(2, 1) },
      nodes: chain(["MatMul", ["w"]], ["Add", ["b"]], ["Flatten"]),
    },
    "Identity, Dropout, Relu, Sigmoid and Tanh": {
      input: ["N", 4],
      output: ["N", 4],
      constants: { v: tensor(4, 4), w: tensor(4, 4) },
      nodes: chain(["Identity"], ["Dropout"], ["Tanh"], ["MatMul", ["v"]], ["Sigmoid"], ["MatMul", ["w"]], ["Relu"]),
    },
    "Conv with groups, dilation, uneven pads and strides": {
      input: [1, 4, 6, 5],
      output: [1, 6, 4, 3],
      constants: { w: tensor(6, 2, 2, 3), b: tensor(6) },
      nodes: chain([
        "Conv",
        ["w", "b"],
        { group: 2, kernel_shape: [2, 3], dilations: [2, 1], pads: [1, 0, 2, 2], strides: [2, 2] },
      ]),
    },
    "Conv over one dimension": {
      input: ["N", 2, 9],
      output: ["N", 3, 4],
      constants: { w: tensor(3, 2, 3) },
      nodes: chain(["Conv", ["w"], { kernel_shape: [3], strides: [2] }]),
    },
    "AveragePool that leaves padding out": {
      input: [1, 2, 5, 5],
      output: [1, 2, 3, 3],
      nodes: chain(["AveragePool", [], { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] }]),
    },
    "AveragePool that counts padding": {
      input: [1, 2, 5, 5],
      output: [1, 2, 3, 3],
      nodes: chain([
        "AveragePool",
        [],
        { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1], count_include_pad: 1 },
      ]),
    },
    "GlobalAveragePool and Reshape": {
      input: [1, 3, 4, 4],
      output: [1, 3],
      constants: { shape: integers(0, -1) },
      nodes: chain(["GlobalAveragePool"], ["Reshape", ["shape"]]),
    },
  };

  for (const [what, { input, output, constants, nodes }] of Object.entries(cases)) {
    it(`computes what onnxruntime does: ${what}`, async () => {
      const file = onnxFile({
        input: { name: "x", dims: input },
        output: { name: "y", dims: output },
        ...(constants && { constants }),
        nodes,
      });
      const network = lower(file);
      const session = await InferenceSession.create(file, { logSeverityLevel: 3 });
      const dims = input.map((dim) => (typeof dim === "string" ? 1 : dim));
      for (let run = 0; run < 20; run++) {
        const x = Float32Array.from({ length: network.inputs }, () => random.normal());
        const { y } = await session.run({ x: new Tensor("float32", x, dims) });
        const expected = [...(y?.data as Float32Array)];
        const found = [...evaluateNetwork(network, x)];
        expect(found.length).to.equal(expected.length);
        found.forEach((value, i) => expect(Math.abs(value - (expected[i] as number))).to.be.below(1e-4));
      }
      await session.release();
    });
  }

  it("folds what lies between two activations into one layer", () => {
    const { layers } = lower(pictureClassifier());
    expect(layers.map(({ weights, activation }) => [weights.length, activation])).to.deep.equal([
      [27, "relu"],
      [4, "none"],
    ]);
  });

  const graph = (
    nodes: GraphNode[],
    dims: (number | string)[] = ["N", 4],
    constants: Record<string, ConstantTensor> = {},
  ) =>
    onnxFile({
      input: { name: "x", dims },
      output: { name: "y", dims: ["N", 4] },
      constants: { w: tensor(4, 4), ...constants },
      nodes,
    });

  const refusals: Record<string, { file: Uint8Array; says: string }> = {
    "an operator there is no circuit for": {
      file: graph([{ operator: "Softmax", inputs: ["x"], output: "y", name: "head" }]),
      says: 'Softmax node "head": the operator is not supported; supported are Gemm, MatMul',
    },
    "an operator that is a property of every object": {
      file: graph([{ operator: "constructor", inputs: ["x"], output: "y" }]),
      says: 'constructor node "y": the operator is not supported',
    },
    "an operator of another domain": {
      file: graph([{ operator: "Gemm", inputs: ["x", "w"], output: "y", domain: "com.microsoft" }]),
      says: "domain com.microsoft",
    },
    "weights that depend on the input": {
      file: graph([{ operator: "MatMul", inputs: ["w", "x"], output: "y", name: "attention" }]),
      says: 'MatMul node "attention": Expected input 0 to depend on the model\'s input',
    },
    "a residual connection": {
      file: graph([
        { operator: "Relu", inputs: ["x"], output: "r" },
        { operator: "Add", inputs: ["x", "r"], output: "y", name: "skip" },
      ]),
      says: 'Add node "skip": Cannot add tensors with a different number of activations',
    },
    "activations side by side": {
      file: graph([
        { operator: "Relu", inputs: ["x"], output: "r" },
        { operator: "Tanh", inputs: ["x"], output: "t" },
        { operator: "Add", inputs: ["t", "r"], output: "y" },
      ]),
      says: 'Tanh node "t": activations side by side',
    },
    "a cycle": {
      file: graph([{ operator: "Relu", inputs: ["y"], output: "y" }]),
      says: 'Relu node "y": input "y" is computed by no earlier node',
    },
    "a fixed batch": { file: graph(chain(["Relu"]), [3, 4]), says: "Expected a batch of 1 or a free one" },
    "a free dimension that is no batch": { file: graph(chain(["Relu"]), [1, "T"]), says: "Expected fixed dimensions" },
    "an input that is too wide": { file: graph(chain(["Relu"]), ["N", 100_000]), says: "too wide" },
    "matrices that don't fit": {
      file: graph(chain(["MatMul", ["v"]]), ["N", 4], { v: tensor(5, 4) }),
      says: 'MatMul node "y": Cannot multiply 1×4 by 5×4',
    },
    "a reshape to other sizes": {
      file: graph(chain(["Reshape", ["s"]]), ["N", 4], { s: integers(2, 3) }),
      says: "Cannot reshape 1×4 to [2, 3]",
    },
    "a weight that is not finite": {
      file: graph(chain(["MatMul", ["v"]]), ["N", 4], { v: { dims: [4, 1], values: [1, NaN, 1, 1] } }),
      says: 'Tensor "v" has a value that is not finite',
    },
    "a tensor that claims to be huge": {
      file: graph(chain(["MatMul", ["v"]]), ["N", 4], { v: { dims: [2 ** 30, 2 ** 30], values: [1] } }),
      says: 'Tensor "v" is too large',
    },
    "an output that nothing computes": {
      file: graph([{ operator: "Relu", inputs: ["x"], output: "z" }]),
      says: 'Output "y"',
    },
    "no ONNX file": { file: Buffer.from("#!/bin/sh\necho hello\n"), says: "ONNX file" },
    "an empty file": { file: new Uint8Array(), says: "Expected an ONNX file with one graph" },
  };

  for (const [what, { file, says }] of Object.entries(refusals)) {
    it(`refuses ${what}`, () => {
      expect(() => lower(file))
        .to.throw(says)
        .with.property("code", "unsupported_onnx");
    });
  }

  it("answers damaged files with its own error, or reads them", () => {
    const fuzz = new SeededRandom(99);
    const originals = [pictureClassifier(), perceptron([4, 6, 3], "Tanh")];
    let refused = 0;
    for (let round = 0; round < 1_500; round++) {
      const bytes = Uint8Array.from(originals[round % 2] as Uint8Array);
      for (let change = fuzz.uint32() % 4; change >= 0; change--) bytes[fuzz.uint32() % bytes.length] = fuzz.uint32();
      const cut = fuzz.uint32() % 8 === 0 ? bytes.subarray(0, fuzz.uint32() % bytes.length) : bytes;
      try {
        lower(cut);
      } catch (error) {
        refused++;
        if (!(error instanceof OnnxImportError)) throw error;
      }
    }
    expect(refused).to.be.within(100, 1_499);
  });
});
