import { benchNetwork } from "../../../../scripts/bench/zkml/networks.ts";
import { keccak256 } from "../../../../simulator/receipts/keccak.ts";
import { weightsHash } from "../../../../simulator/zkml/modelVector.ts";
import { SHAPES } from "../../../../simulator/zkml/shape.ts";
import type { PublishedModel } from "../../../../simulator/zkml/ZkDirectory.ts";
import { randomModel } from "../../../support/zk.ts";
import { MODEL_ID } from "../nodeFixture.ts";

const { onnx } = benchNetwork("S");
const vector = randomModel(SHAPES.S);

/** A zk model of shape S, inputs `x` [N, 16], outputs `y` [N, 16]. Its integers are not those of its ONNX file, which is only asked for names here. */
export const ZK_MODEL: PublishedModel = {
  modelId: MODEL_ID,
  shape: SHAPES.S,
  vector,
  onnx,
  inputs: 16,
  outputs: 16,
  inputScales: Array<number>(16).fill(10),
  outputScale: 10,
  manifest: {
    onnxHash: keccak256(onnx),
    weightsHash: weightsHash(vector),
    shape: 1,
    inputs: 16,
    outputs: 16,
    inputScale: 10,
    outputScale: 10,
  },
};

/** In the range of the model's inputs. */
export const ZK_INPUTS = { x: [Array.from({ length: 16 }, (_, i) => (i - 8) / 4)] };
