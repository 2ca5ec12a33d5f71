import { readFile } from "node:fs/promises";

import { InferenceSession, Tensor } from "onnxruntime-node";
import { keccak256 } from "../receipts/keccak.ts";
import type { Hex } from "../receipts/types.ts";

import { isElementType, type NestedArray, tensorFromJson, tensorToJson, type TensorSpec } from "./jsonTensor.ts";
import { ModelInputError, ModelLoadError, ModelOutputError } from "./ModelError.ts";

export interface OnnxModelOptions {
  /** Most elements that one input tensor may have. Default 1,000,000. */
  maxElements?: number;
}

/**
 * An ONNX model on the CPU. One thread and sequential execution, so that one machine always gives the same bits; another processor family
 * may still differ in the last digits, since the runtime picks its kernels by instruction set.
 *
 * @example
 * const model = await OnnxModel.load(LIQUIDATION_RISK_MODEL);
 * await model.run({ positions: [[0.6, 0.8, 0.9, 0.01, -0.1, 0.05, 4, 30]] }); // { risk: [[0.0837…]] }
 */
export class OnnxModel {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  /** keccak256 of the model file: the `contentHash` of a model version in the registry. */
  readonly contentHash: Hex;
  readonly #session: InferenceSession;
  readonly #maxElements: number;
  readonly #running = new Set<Promise<unknown>>();

  private constructor(session: InferenceSession, contentHash: Hex, options: OnnxModelOptions) {
    this.#session = session;
    this.#maxElements = options.maxElements ?? 1_000_000;
    this.contentHash = contentHash;
    this.inputs = session.inputMetadata.map(specOf);
    this.outputs = session.outputMetadata.map(specOf);
  }

  /**
   * Loads a model from a file or from bytes.
   *
   * @throws ModelLoadError when the runtime refuses the file or it declares types without a JSON form.
   */
  static async load(source: string | URL | Uint8Array, options: OnnxModelOptions = {}): Promise<OnnxModel> {
    const bytes = source instanceof Uint8Array ? source : await readFile(source);
    try {
      const session = await InferenceSession.create(bytes, {
        executionProviders: ["cpu"],
        intraOpNumThreads: 1,
        interOpNumThreads: 1,
        executionMode: "sequential",
        logSeverityLevel: 3,
      });
      return new OnnxModel(session, keccak256(bytes), options);
    } catch (error) {
      if (error instanceof ModelLoadError) throw error;
      throw new ModelLoadError(`onnxruntime refuses the model: ${(error as Error).message}`, { cause: error });
    }
  }

  /**
   * Runs the model once.
   *
   * @param inputs Each declared input by name, as nested arrays or as `{data, dims}`.
   * @returns Each output by name as nested arrays, in the order the model declares them.
   * @throws ModelInputError when a name, shape or element is not what the model declares.
   * @throws ModelOutputError when a result is not finite.
   */
  async run(inputs: Readonly<Record<string, unknown>>): Promise<Record<string, NestedArray>> {
    const results = await this.#tracked(this.#session.run(this.#feeds(inputs)));
    return Object.fromEntries(
      this.outputs.map(({ name }) => [name, tensorToJson(name, results[name] as Tensor)] as const),
    );
  }

  /** Checks what `run` would. @throws ModelInputError */
  checkInputs(inputs: Readonly<Record<string, unknown>>): void {
    this.#feeds(inputs);
  }

  /**
   * The first output as `run` would give it, had the model computed these values; what the model leaves free of its shape is 1.
   * @throws ModelOutputError when the shape has another number of elements.
   */
  outputsOf(values: readonly number[]): Record<string, NestedArray> {
    const [spec] = this.outputs;
    const dims = spec?.shape.map((size) => (typeof size === "number" && size > 0 ? size : 1)) ?? [];
    const elements = dims.reduce((product, size) => product * size, 1);
    if (spec === undefined || elements !== values.length) {
      throw new ModelOutputError(`the model's output has ${elements} elements, found ${values.length}`);
    }
    return { [spec.name]: tensorToJson(spec.name, new Tensor("float64", Float64Array.from(values), dims)) };
  }

  #feeds(inputs: Readonly<Record<string, unknown>>): Record<string, Tensor> {
    const free = new Map<string, number>();
    const feeds: Record<string, Tensor> = {};
    for (const spec of this.inputs) {
      if (!Object.hasOwn(inputs, spec.name)) {
        throw new ModelInputError(`input "${spec.name}" is missing; the model takes ${names(this.inputs)}`);
      }
      feeds[spec.name] = tensorFromJson(spec, inputs[spec.name], free, this.#maxElements);
    }
    const unknown = Object.keys(inputs).find((name) => !this.inputs.some((spec) => spec.name === name));
    if (unknown !== undefined) {
      throw new ModelInputError(`unknown input "${unknown}"; the model takes ${names(this.inputs)}`);
    }
    return feeds;
  }

  /** Frees the native session when the last run has ended. The model cannot be used afterwards. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#running);
    await this.#session.release();
  }

  async #tracked<T>(run: Promise<T>): Promise<T> {
    this.#running.add(run);
    try {
      return await run;
    } finally {
      this.#running.delete(run);
    }
  }
}

function specOf(metadata: InferenceSession.ValueMetadata): TensorSpec {
  if (!metadata.isTensor || !isElementType(metadata.type)) {
    throw new ModelLoadError(
      `"${metadata.name}" is a ${metadata.isTensor ? `tensor of ${metadata.type}` : "value that is no tensor"}, which has no JSON form here`,
    );
  }
  return { name: metadata.name, type: metadata.type, shape: metadata.shape };
}

function names(specs: readonly TensorSpec[]): string {
  return specs.map(({ name }) => `"${name}"`).join(", ");
}
