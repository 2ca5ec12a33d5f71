import { INPUT_MAX } from "../fixedPoint.ts";
import { evaluateNetwork } from "../onnx/evaluateNetwork.ts";
import { lowerGraph, type Network } from "../onnx/lowerGraph.ts";
import { readOnnx } from "../onnx/readOnnx.ts";
import { runModel } from "../runModel.ts";
import { type Shape, SHAPES } from "../shape.ts";
import { chooseScales } from "./chooseScales.ts";
import { errorBound, type Range } from "./errorBound.ts";
import { expandActivations, isSmooth } from "./expandActivations.ts";
import { fitShape } from "./fitShape.ts";
import { piecewise } from "./piecewise.ts";
import { QuantisationError } from "./QuantisationError.ts";
import { dequantiseOutputs, quantiseInputs, type ZkModel } from "./ZkModel.ts";

export interface ImportOptions {
  /** Inputs as they will come, each as long as the model's input: their largest set the scales, and the error is measured on them. */
  samples: readonly ArrayLike<number>[];
  /** Shapes to choose from, smallest first. Default S, M, L. */
  shapes?: readonly Shape[];
}

/** How exact the quantised model is, in units of the model's output. */
export interface QuantisationReport {
  inputName: string;
  outputName: string;
  /** What each input was between in the samples. */
  ranges: readonly Range[];
  /** No output is further off than this for any input within the ranges: computed, with every error at its worst. */
  errorBound: number;
  /** Largest and mean difference of an output on the samples, from the model in double precision. */
  maxError: number;
  meanError: number;
  /** Sigmoids and tanhs are replaced by this many ReLUs each, which alone puts them off by up to `approximation`. */
  activations?: { knots: number; approximation: number };
}

export interface ImportedModel {
  model: ZkModel;
  report: QuantisationReport;
}

/** Samples that scales are searched with; all count for the report. */
const SEARCH_SAMPLES = 64;
const MAX_INPUT_SCALE = 24;
const MIN_INPUT_SCALE = -64;

/**
 * Brings an ONNX model into the smallest shape that fits, as integers.
 *
 * @throws OnnxImportError when the file cannot be lowered; QuantisationError when it fits no shape or scale, or the samples are no inputs.
 */
export function importModel(
  onnx: Uint8Array,
  { samples, shapes = Object.values(SHAPES) }: ImportOptions,
): ImportedModel {
  const network = lowerGraph(readOnnx(onnx));
  const { shape, knots } = fitShape(network, shapes);
  const layers = expandActivations(network, knots);
  const ranges = rangesOf(network, samples);
  const inputScales = ranges.map(inputScaleOf);
  if (Math.max(...inputScales) < 0) {
    throw new QuantisationError("Every input is beyond ±16383: let the model take them in larger units");
  }

  const base = { shape, inputs: network.inputs, outputs: network.outputs, inputScales };
  const searched = referenceOf(network, samples.slice(0, SEARCH_SAMPLES));
  const { scales, vector } = chooseScales(
    shape,
    layers,
    inputScales,
    ranges,
    (candidate, outputScale) => measure({ ...base, vector: candidate, outputScale }, searched).squares,
  );
  const model: ZkModel = { ...base, vector, outputScale: scales.at(-1) as number };
  const { max, mean } = measure(model, referenceOf(network, samples));
  const smooth = network.layers.map(({ activation }) => activation).filter(isSmooth);
  const report: QuantisationReport = {
    inputName: network.inputName,
    outputName: network.outputName,
    ranges,
    errorBound: errorBound(shape, layers, { vector, inputScales, scales }, ranges),
    maxError: max,
    meanError: mean,
  };
  if (smooth.length > 0) {
    report.activations = { knots, approximation: Math.max(...smooth.map((name) => piecewise(name, knots).error)) };
  }
  return { model, report };
}

function rangesOf({ inputs }: Network, samples: readonly ArrayLike<number>[]): Range[] {
  if (samples.length === 0) throw new QuantisationError("Expected at least one sample input to set the scales by");
  samples.forEach((sample, index) => {
    if (sample.length !== inputs || !Array.from(sample).every(Number.isFinite)) {
      throw new QuantisationError(`Expected sample ${index} to be ${inputs} finite numbers, found ${sample.length}`);
    }
  });
  return Array.from({ length: inputs }, (_, i): Range => {
    let [min, max] = [Infinity, -Infinity];
    for (const sample of samples) {
      min = Math.min(min, sample[i] as number);
      max = Math.max(max, sample[i] as number);
    }
    return [min, max];
  });
}

/** The finest scale at which an input's whole range has integers. */
function inputScaleOf([min, max]: Range): number {
  const largest = Math.max(Math.abs(min), Math.abs(max));
  const scale = largest === 0 ? 0 : Math.floor(Math.log2(INPUT_MAX / largest));
  if (scale < MIN_INPUT_SCALE) throw new QuantisationError(`An input of ${largest} is too large`);
  return Math.min(scale, MAX_INPUT_SCALE);
}

interface Reference {
  input: ArrayLike<number>;
  output: Float64Array;
}

const referenceOf = (network: Network, samples: readonly ArrayLike<number>[]): Reference[] =>
  samples.map((input) => ({ input, output: evaluateNetwork(network, input) }));

/** Differences of all outputs; `squares` is the sum of their squares. */
function measure(model: ZkModel, references: readonly Reference[]) {
  let [max, sum, squares] = [0, 0, 0];
  for (const { input, output } of references) {
    const found = dequantiseOutputs(model, runModel(model.shape, model.vector, quantiseInputs(model, input)));
    found.forEach((value, i) => {
      const difference = Math.abs(value - (output[i] as number));
      max = Math.max(max, difference);
      sum += difference;
      squares += difference ** 2;
    });
  }
  return { max, mean: sum / (references.length * model.outputs), squares };
}
