import { z } from "zod";

import { OnnxModel } from "../models/OnnxModel.ts";
import { canonicalJson } from "../receipts/canonicalJson.ts";
import type { RequestKind } from "../receipts/hashes.ts";
import { toJson } from "../receipts/json.ts";
import { teeTensorText } from "../receipts/teeReceipt.ts";
import { InferenceNode, type InferenceNodeOptions, type ModelOffer, type PreparedInference } from "./InferenceNode.ts";
import { NodeError } from "./NodeError.ts";
import { parseRequest } from "./samplingParameters.ts";

/** An ONNX model a node sells. */
export interface OnnxOffer extends ModelOffer {
  /** The model's file. */
  source: string | URL;
}

const inferenceRequestSchema = z.looseObject({
  model: z.string().min(1).max(256),
  inputs: z.record(z.string(), z.unknown()),
  stream: z.literal(false, { error: "tensor answers are not streamed" }).nullish(),
});

/** Runs ONNX models on this machine: `POST /v1/inference {model, inputs}` → `{id, object: "inference", created, model, outputs, opengradient}`. */
export class LocalInferenceNode extends InferenceNode {
  readonly offers: readonly OnnxOffer[];
  protected override readonly modelKind = "onnx";
  readonly #models = new Map<string, OnnxModel>();

  constructor(options: InferenceNodeOptions & { offers: readonly OnnxOffer[] }) {
    const { offers, ...nodeOptions } = options;
    super(nodeOptions, ["inference"]);
    this.offers = offers;
  }

  /** @throws ModelLoadError when a model cannot be loaded. */
  override async start(): Promise<void> {
    for (const { id, source } of this.offers) this.#models.set(id, await OnnxModel.load(source));
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
    return {
      offer,
      streamed: false,
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
