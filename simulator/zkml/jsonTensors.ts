import { ModelInputError } from "../models/ModelError.ts";
import { packInputs, packOutputs } from "./packing.ts";
import { quantiseInputs, type TensorLayout } from "./quantise/ZkModel.ts";
import { ZkRangeError } from "./ZkError.ts";

/**
 * The elements of a request's `inputs` as the circuit takes them: the nearest integer to x · 2^scale.
 * @param inputs one tensor, whatever its name: nested arrays, or `{data, dims}`.
 * @throws ModelInputError when it has another number of elements, or one that the scale has no integer for.
 */
export function quantiseRequest(layout: TensorLayout, inputs: unknown): number[] {
  const values = onlyTensor(inputs, layout.inputs, (message) => new ModelInputError(message));
  try {
    return quantiseInputs(layout, values);
  } catch (error) {
    if (!(error instanceof ZkRangeError)) throw error;
    throw new ModelInputError(error.message, { cause: error });
  }
}

/** The words of a request's `inputs`. @throws ModelInputError */
export const requestWords = (layout: TensorLayout, inputs: unknown): bigint[] =>
  packInputs(layout.shape, quantiseRequest(layout, inputs));

/**
 * The words of an answer's `outputs`, by which its client compares them with the receipt.
 * @throws ZkRangeError for values that no integer of the circuit stands for.
 */
export function answerWords({ shape, outputs: length, outputScale }: TensorLayout, outputs: unknown): bigint[] {
  const values = onlyTensor(outputs, length, (message) => new ZkRangeError(message));
  const elements = new Array<number>(shape.outputs).fill(0);
  values.forEach((value, i) => (elements[i] = value * 2 ** outputScale));
  return packOutputs(shape, elements);
}

function onlyTensor(tensors: unknown, length: number, failure: (message: string) => Error): number[] {
  const entries = isRecord(tensors) ? Object.entries(tensors) : [];
  const [first] = entries;
  if (first === undefined || entries.length > 1) throw failure(`expected one tensor, found ${entries.length}`);
  const [name, tensor] = first;
  const values = isRecord(tensor) && Array.isArray(tensor["data"]) ? (tensor["data"] as unknown[]) : flat(tensor);
  if (values.length !== length) throw failure(`"${name}": expected ${length} elements, found ${values.length}`);
  return values.map((value, i) => {
    if (typeof value === "number" && Number.isFinite(value)) return value;
    throw failure(`"${name}", element ${i}: expected a finite number, found ${JSON.stringify(value)}`);
  });
}

const flat = (tensor: unknown): unknown[] => (Array.isArray(tensor) ? tensor.flat(Infinity) : [tensor]);

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
