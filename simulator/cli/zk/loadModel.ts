import { readFile } from "node:fs/promises";

import { z } from "zod";

import { MAX_MODEL_BLOB_BYTES, decodeModelBlob, encodeModelBlob, type ZkModelBlob } from "../../zkml/modelBlob.ts";
import { importModel, type QuantisationReport } from "../../zkml/quantise/importModel.ts";
import { manifestOf, type ZkModel } from "../../zkml/quantise/ZkModel.ts";
import { checkModelVector } from "../../zkml/modelVector.ts";
import { type Shape, SHAPES } from "../../zkml/shape.ts";
import { ZkFormatError } from "../../zkml/ZkError.ts";

/** A model with the ONNX file it was made of, and how exact it is when it was quantised just now. */
export interface LoadedModel {
  model: ZkModel;
  onnx: Uint8Array;
  report?: QuantisationReport;
}

const numbersSchema = z.array(z.number()).min(1);
const samplesSchema = z.array(numbersSchema).min(1);

/** Lists of numbers of any depth, as JSON writes tensors. */
const flattened = (value: unknown): unknown => (Array.isArray(value) ? (value as unknown[]).flat(Infinity) : value);

async function readJson(file: string): Promise<unknown> {
  const text = await readFile(file, "utf8").catch((error: unknown) => {
    throw new Error(`Cannot read ${file}: ${(error as Error).message}`, { cause: error });
  });
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new Error(`Expected JSON in ${file}: ${(error as Error).message}`, { cause: error });
  }
}

/** One input: a list of numbers, however nested. */
export async function readInput(file: string): Promise<number[]> {
  const parsed = numbersSchema.safeParse(flattened(await readJson(file)));
  if (!parsed.success) throw new Error(`Expected ${file} to hold one input, a list of numbers such as [0.5, 1]`);
  return parsed.data;
}

/** Sample inputs: a list of inputs. */
export async function readSamples(file: string): Promise<number[][]> {
  const json = await readJson(file);
  const parsed = samplesSchema.safeParse(Array.isArray(json) ? json.map(flattened) : json);
  if (!parsed.success) {
    throw new Error(`Expected ${file} to hold sample inputs, a list of lists of numbers such as [[0.5, 1], [0, 2]]`);
  }
  return parsed.data;
}

/** Quantises an ONNX file by sample inputs. */
export async function importFile(file: string, samples: readonly number[][], shape?: Shape): Promise<LoadedModel> {
  const onnx = await readBytes(file);
  return { ...importModel(onnx, { samples, ...(shape && { shapes: [shape] }) }), onnx };
}

/** The model of a blob. Its shape is told by its number of entries, since shapes have numbers on chains only. */
export function modelOfBlob(bytes: Uint8Array): LoadedModel {
  const { manifest, vector, inputScales, onnx } = decodeModelBlob(bytes);
  const shape = Object.values(SHAPES).find(({ modelLength }) => modelLength === vector.length);
  if (!shape) throw new ZkFormatError(`Expected a model of shape S, M or L, found one of ${vector.length} entries`);
  checkModelVector(shape, vector);
  const { inputs, outputs, outputScale } = manifest;
  return { model: { shape, vector, inputs, outputs, inputScales, outputScale }, onnx };
}

/** A model file as `zk import` wrote it. */
export const readModelFile = async (file: string): Promise<LoadedModel> => modelOfBlob(await readBytes(file));

export const isOnnxFile = (file: string): boolean => file.toLowerCase().endsWith(".onnx");

/** The blob of a model for a registry in which its shape has this number. */
export const blobOf = ({ model, onnx }: LoadedModel, shapeNumber: number): ZkModelBlob => ({
  manifest: manifestOf(model, onnx, shapeNumber),
  vector: model.vector,
  inputScales: model.inputScales,
  onnx,
});

/** Before a model is on a chain its shape counts as it would in a registry with S, M and L. */
export const localBlob = (loaded: LoadedModel): Uint8Array =>
  encodeModelBlob(blobOf(loaded, Object.keys(SHAPES).indexOf(loaded.model.shape.name) + 1));

async function readBytes(file: string): Promise<Uint8Array> {
  const bytes = await readFile(file).catch((error: unknown) => {
    throw new Error(`Cannot read the model ${file}: ${(error as Error).message}`, { cause: error });
  });
  if (bytes.length > MAX_MODEL_BLOB_BYTES) {
    throw new Error(`Expected a model of at most ${MAX_MODEL_BLOB_BYTES} bytes, found ${bytes.length} in ${file}`);
  }
  return bytes;
}

/** What quantising did to a model, for people. */
export function describeImport({ model, report }: LoadedModel): string[] {
  const { shape, inputs, outputs, outputScale } = model;
  const lines = [
    `shape ${shape.name} (${shape.dims.join("-")}): ${inputs} inputs, ${outputs} outputs at scale 2^${outputScale}`,
  ];
  if (!report) return lines;
  const { maxError, meanError, errorBound, activations } = report;
  const error = (value: number) => value.toPrecision(3);
  lines.push(
    `error on the samples: at most ${error(maxError)}, ${error(meanError)} on average; within their ranges never above ${error(errorBound)}`,
  );
  if (activations) {
    lines.push(
      `each sigmoid or tanh is ${activations.knots} ReLUs, off by at most ${error(activations.approximation)}`,
    );
  }
  return lines;
}
