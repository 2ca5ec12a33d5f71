import { SeededRandom } from "../../../simulator/models/SeededRandom.ts";
import { encodeOnnx } from "../../training/encodeOnnx.ts";
import { Mlp } from "../../training/Mlp.ts";

/** The networks that are proved, by the shape that they fill: dense layers, ReLU between them. */
export const NETWORKS = {
  S: [16, 32, 32, 16],
  M: [32, 64, 64, 32, 16],
  L: [64, 128, 128, 64],
} as const;

export type NetworkName = keyof typeof NETWORKS;
export const NETWORK_NAMES = Object.keys(NETWORKS) as NetworkName[];

export interface BenchNetwork {
  onnx: Uint8Array;
  /** In −1 to 1. */
  input: number[];
}

/** A network of He-uniform weights and an input for it; the same each time. */
export function benchNetwork(name: NetworkName): BenchNetwork {
  const widths = NETWORKS[name];
  const random = new SeededRandom(20_26);
  const onnx = encodeOnnx(Mlp.initialise(widths, random), {
    name: `bench-${name}`,
    version: 1,
    description: "",
    input: { name: "x", description: "" },
    output: { name: "y", description: "" },
    metadata: {},
    lastActivation: "Identity",
  });
  return { onnx, input: Array.from({ length: widths[0] }, () => random.uniform(-1, 1)) };
}
