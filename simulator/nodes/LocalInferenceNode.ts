import { z } from "zod";

import { OnnxModel } from "../models/OnnxModel.ts";
import { canonicalJson } from "../receipts/canonicalJson.ts";
import type { RequestKind } from "../receipts/hashes.ts";
import { toJson } from "../receipts/json.ts";
import { teeTensorText } from "../receipts/teeReceipt.ts";
import { Mode } from "../receipts/types.ts";
import { quantiseRequest } from "../zkml/jsonTensors.ts";
import { packInputs, packOutputs } from "../zkml/packing.ts";
import { runModel } from "../zkml/runModel.ts";
import { dequantiseOutputs } from "../zkml/quantise/ZkModel.ts";
import type { PublishedModel } from "../zkml/ZkDirectory.ts";
import { InferenceNode, type InferenceNodeOptions, type ModelOffer, type PreparedInference } from "./InferenceNode.ts";
import { NodeError } from "./NodeError.ts";
import { parseRequest } from "./samplingParameters.ts";

/** An ONNX model a node sells, run in floating point. */
export interface OnnxOffer extends ModelOffer {
  /** The model's file. */
  source: string | URL;
  zk?: never;
}

/** A zk model a node sells: run in exactly the integers that can be proven. */
export interface ZkOffer extends ModelOffer {
  /** Its version is the offer's. */
  zk: PublishedModel;
}

/** Names of modes in requests, in any case. */
const MODES = { vanilla: Mode.Vanilla, zkml: Mode.Zkml, tee: Mode.Tee } as const;

const inferenceRequestSchema = z.looseObject({
  model: z.string().min(1).max(256),
  inputs: z.record(z.string(), z.unknown()),
  mode: z
    .string()
    .toLowerCase()
    .pipe(z.enum(["vanilla", "zkml", "tee"]))
    .nullish(),
  stream: z.literal(false, { error: "tensor answers are not streamed" }).nullish(),
});

/**
 * Runs ONNX models on this machine: `POST /v1/inference {model, inputs, mode?}` → `{id, object: "inference", created, model, outputs, opengradient}`.
 * Of a zk model the receipt's hashes are over the packed integers of its tensors, whatever the mode.
 */
export class LocalInferenceNode extends InferenceNode {
  readonly offers: readonly (OnnxOffer | ZkOffer)[];
  protected override readonly modelKind = "onnx";
  readonly #models = new Map<string, OnnxModel>();

  constructor(options: InferenceNodeOptions & { offers: readonly (OnnxOffer | ZkOffer)[] }) {
    const { offers, ...nodeOptions } = options;
    super(nodeOptions, ["inference"], new Map(offers.flatMap(({ modelId, zk }) => (zk ? [[modelId, zk]] : []))));
    this.offers = offers;
  }

  /** @throws ModelLoadError when a model cannot be loaded. */
  override async start(): Promise<void> {
    // of a zk model onnxruntime knows what its tensors are called, and their shapes; it does not run it
    for (const offer of this.offers) {
      this.#models.set(offer.id, await OnnxModel.load(offer.zk === undefined ? offer.source : offer.zk.onnx));
    }
    await super.start();
  }

  override async stop(): Promise<void> {
    await super.stop();
    const models = [...this.#models.values()];
    this.#models.clear();
    await Promise.all(models.map((model) => model.close()));
  }

  protected override prepare(_kind: RequestKind, body: Uint8Array): PreparedInference {
    const request = parseRequest(inferenceRequestSchema, body);
    const offer = this.offers.find(({ id }) => id === request.model);
    const model = this.#models.get(request.model);
    if (offer === undefined || model === undefined) {
      throw new NodeError(404, "model_not_found", `model "${request.model}" is not served here`);
    }
    const mode = request.mode ? { mode: MODES[request.mode] } : {};
    if (offer.zk !== undefined) return { ...prepareZk(offer, offer.zk, model, request.inputs), ...mode };
    return {
      offer,
      streamed: false,
      ...mode,
      run: async ({ id, created }) => {
        const outputs = await model.run(request.inputs);
        const json = toJson(outputs);
        return {
          output: canonicalJson(json),
          teeOutput: teeTensorText(json),
          answer: { id: `inf-${id}`, object: "inference", created, model: offer.id, outputs },
        };
      },
    };
  }
}

/** @throws ModelInputError */
function prepareZk(
  offer: ZkOffer,
  zk: PublishedModel,
  model: OnnxModel,
  tensors: Record<string, unknown>,
): PreparedInference {
  model.checkInputs(tensors);
  const inputs = quantiseRequest(zk, tensors);
  return {
    offer,
    streamed: false,
    inWords: packInputs(zk.shape, inputs),
    run: ({ id, created }) => {
      const elements = runModel(zk.shape, zk.vector, inputs);
      const outputs = model.outputsOf(dequantiseOutputs(zk, elements));
      const json = toJson(outputs);
      return Promise.resolve({
        output: canonicalJson(json),
        outWords: packOutputs(zk.shape, elements),
        teeOutput: teeTensorText(json),
        answer: { id: `inf-${id}`, object: "inference", created, model: offer.id, outputs },
      });
    },
  };
}
