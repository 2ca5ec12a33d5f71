import type { Hex } from "../../receipts/types.ts";
import { keccak256 } from "../../receipts/keccak.ts";
import { INPUT_MAX, INPUT_MIN } from "../fixedPoint.ts";
import type { ZkManifest } from "../manifest.ts";
import { type ModelVector, weightsHash } from "../modelVector.ts";
import type { Shape } from "../shape.ts";
import { ZkRangeError } from "../ZkError.ts";

/** A quantised model: integers of the circuit, and what they stand for. */
export interface ZkModel {
  shape: Shape;
  vector: ModelVector;
  /** Elements of the ONNX model's input and output; the shape's further lanes are padding. */
  inputs: number;
  outputs: number;
  /** Input i stands for x_i / 2^inputScales[i]. */
  inputScales: readonly number[];
  /** An output stands for y / 2^outputScale. */
  outputScale: number;
}

/** What tensors are turned into integers, and back, by. */
export type TensorLayout = Omit<ZkModel, "vector">;

/**
 * The circuit's inputs for a model's inputs, padded with zeros.
 *
 * @throws ZkRangeError when there are others than the model takes, or one is beyond its scale's range.
 */
export function quantiseInputs({ shape, inputs, inputScales }: TensorLayout, values: ArrayLike<number>): number[] {
  if (values.length !== inputs) throw new ZkRangeError(`Expected ${inputs} inputs, found ${values.length}`);
  const quantised = new Array<number>(shape.inputs).fill(0);
  for (let i = 0; i < inputs; i++) {
    const scale = 2 ** (inputScales[i] as number);
    const integer = Math.round((values[i] as number) * scale);
    if (!(integer >= INPUT_MIN && integer <= INPUT_MAX)) {
      throw new ZkRangeError(
        `Expected input ${i} between ${INPUT_MIN / scale} and ${INPUT_MAX / scale}, found ${values[i]}: the model was calibrated for less`,
      );
    }
    // −0 is no integer of the circuit
    quantised[i] = integer === 0 ? 0 : integer;
  }
  return quantised;
}

/** The model's outputs for the circuit's. */
export const dequantiseOutputs = ({ outputs, outputScale }: TensorLayout, values: ArrayLike<number>): number[] =>
  Array.from({ length: outputs }, (_, i) => (values[i] as number) / 2 ** outputScale);

/** What the registry commits to. `shapeNumber` is the shape's there. */
export function manifestOf(model: ZkModel, onnx: Uint8Array, shapeNumber: number): ZkManifest {
  const onnxHash: Hex = keccak256(onnx);
  const inputScale = Math.max(...model.inputScales);
  const { inputs, outputs, outputScale } = model;
  return {
    onnxHash,
    weightsHash: weightsHash(model.vector),
    shape: shapeNumber,
    inputs,
    outputs,
    inputScale,
    outputScale,
  };
}
