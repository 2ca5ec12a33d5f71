import { SeededRandom } from "../../simulator/models/SeededRandom.ts";
import { type ConstantTensor, type GraphDescription, type GraphNode, onnxFile } from "./onnxFile.ts";

/** A tensor of random weights as training leaves them: normal, and smaller the more of them are summed. */
export function randomTensor(random: SeededRandom, dims: number[], fanIn: number): ConstantTensor {
  const length = dims.reduce((product, dim) => product * dim, 1);
  const values = Array.from({ length }, () => Math.fround(random.normal() / Math.sqrt(fanIn)));
  return { dims, values };
}

/** A perceptron with random weights: Gemm and the activation layer by layer, and a last Gemm. `gain` multiplies its weights. */
export function perceptron(
  widths: readonly number[],
  activation: "Relu" | "Sigmoid" | "Tanh",
  seed = 1,
  gain = 1,
): Uint8Array {
  const random = new SeededRandom(seed);
  const constants: Record<string, ConstantTensor> = {};
  const nodes: GraphNode[] = [];
  let current = "x";
  widths.slice(1).forEach((width, i) => {
    const before = widths[i] as number;
    constants[`w${i}`] = randomTensor(random, [width, before], before / gain ** 2);
    constants[`b${i}`] = randomTensor(random, [width], 4);
    nodes.push({ operator: "Gemm", inputs: [current, `w${i}`, `b${i}`], output: `sum${i}`, attributes: { transB: 1 } });
    current = `sum${i}`;
    if (i === widths.length - 2) return;
    nodes.push({ operator: activation, inputs: [current], output: `act${i}` });
    current = `act${i}`;
  });
  const [first = 0] = widths;
  return onnxFile({
    input: { name: "x", dims: ["N", first] },
    output: { name: current, dims: ["N", widths.at(-1) ?? 0] },
    constants,
    nodes,
  });
}

/** A classifier of 6×6 pictures: strided convolution, ReLU, average pooling, dense layer, four classes. */
export function pictureClassifier(seed = 1): Uint8Array {
  const random = new SeededRandom(seed);
  const description: GraphDescription = {
    input: { name: "picture", dims: [1, 1, 6, 6] },
    output: { name: "classes", dims: [1, 4] },
    constants: {
      filters: randomTensor(random, [3, 1, 3, 3], 9),
      filterBias: randomTensor(random, [3], 4),
      pooledShape: { dims: [2], values: [-1, 12], integers: true },
      dense: randomTensor(random, [12, 4], 12),
      denseBias: randomTensor(random, [4], 4),
    },
    nodes: [
      {
        operator: "Conv",
        inputs: ["picture", "filters", "filterBias"],
        output: "convolved",
        attributes: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] },
      },
      { operator: "Relu", inputs: ["convolved"], output: "active" },
      {
        operator: "AveragePool",
        inputs: ["active"],
        output: "pooled",
        attributes: { kernel_shape: [2, 2], strides: [1, 1] },
      },
      { operator: "Reshape", inputs: ["pooled", "pooledShape"], output: "flat" },
      { operator: "MatMul", inputs: ["flat", "dense"], output: "product" },
      { operator: "Add", inputs: ["product", "denseBias"], output: "classes" },
    ],
  };
  return onnxFile(description);
}
