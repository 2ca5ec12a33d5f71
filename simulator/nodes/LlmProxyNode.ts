import type { LanguageModelV4 } from "../models/languageModel.ts";
import type { RequestKind } from "../receipts/hashes.ts";
import type { TokenUsage } from "../receipts/tariff.ts";
import { generateAnswer, type LanguageAnswer, streamAnswer } from "./callLanguageModel.ts";
import { parseChatRequest } from "./chatRequest.ts";
import { parseCompletionRequest } from "./completionRequest.ts";
import {
  type InferenceContext,
  InferenceNode,
  type InferenceNodeOptions,
  type ModelOffer,
  type PreparedInference,
} from "./InferenceNode.ts";
import { NodeError } from "./NodeError.ts";
import { chatFormat, completionFormat } from "./openAiFormat.ts";
import type { Upstream } from "./upstreams.ts";

export interface LlmProxyNodeOptions extends InferenceNodeOptions {
  /** Models for sale by their full ids ("provider/model"). Those of which no upstream is at hand are not listed. */
  offers: readonly ModelOffer[];
  /** From `upstreamsFromEnvironment()`. */
  upstreams: readonly Upstream[];
  /** Most tokens of one answer, and what a request without a limit gets. Default 4,096. */
  maxOutputTokens?: number;
}

/** Ids ("provider/model") that could be offered with these upstreams. */
export function knownModelIds(upstreams: readonly Upstream[]): string[] {
  return upstreams.flatMap(({ provider, modelIds }) => modelIds.map((id) => `${provider}/${id}`));
}

/**
 * Serves `/v1/chat/completions` and `/v1/completions` with models of others, or with the local text model. Requests name a model as "provider/model"
 * or by the bare id where it is unambiguous; answers name what really ran.
 */
export class LlmProxyNode extends InferenceNode {
  readonly offers: readonly ModelOffer[];
  protected override readonly modelKind = "chat";
  readonly #upstreams: readonly Upstream[];
  readonly #maxOutputTokens: number;

  constructor(options: LlmProxyNodeOptions) {
    const { offers, upstreams, maxOutputTokens = 4096, ...nodeOptions } = options;
    super(nodeOptions, ["chat", "completion"]);
    this.#upstreams = upstreams;
    this.#maxOutputTokens = maxOutputTokens;
    this.offers = offers
      .filter(({ id }) => this.#route(id) !== undefined)
      .map((offer) => ({ ...offer, maxOutputTokens }));
  }

  protected override prepare(kind: RequestKind, body: Uint8Array): PreparedInference {
    const parse = kind === "chat" ? parseChatRequest : parseCompletionRequest;
    const format = kind === "chat" ? chatFormat : completionFormat;
    const { model: requested, streamed, options } = parse(body, this.#maxOutputTokens);
    const offer = this.#offer(requested);
    const route = this.#route(offer.id);
    if (route === undefined) throw modelNotFound(requested);

    const run = async ({ id, created, emit, cancellation }: InferenceContext) => {
      const call = { ...options, abortSignal: cancellation.signal };
      const identity = (modelId: string) => ({
        id: format.idPrefix + id,
        created,
        model: nameOf(route.provider, modelId),
      });
      if (!streamed) {
        const answer = await generateAnswer(route.model, call);
        return {
          output: format.output(answer),
          usage: tokensOf(answer),
          answer: format.whole(identity(answer.modelId), answer),
        };
      }
      const send = (chunk: object | undefined) => chunk && emit(chunk);
      let open = false;
      const answer = await streamAnswer(route.model, call, (delta, modelId) => {
        if (!open) send(format.opening(identity(modelId)));
        open = true;
        send(format.step(identity(modelId), delta));
      });
      const named = identity(answer.modelId);
      if (!open) send(format.opening(named));
      const finished = { output: format.output(answer), usage: tokensOf(answer) };
      if (this.enclave !== undefined) return { ...finished, answer: format.ending(named, answer) };
      send(format.closing(named, answer));
      return { ...finished, answer: format.summary(named, answer) };
    };
    return { offer, streamed, run };
  }

  #offer(requested: string): ModelOffer {
    const exact = this.offers.find(({ id }) => id === requested);
    if (exact !== undefined) return exact;
    const [bare, ...others] = this.offers.filter(({ id }) => id.slice(id.indexOf("/") + 1) === requested);
    if (bare === undefined) throw modelNotFound(requested);
    if (others.length > 0) {
      const ids = [bare, ...others].map(({ id }) => `"${id}"`).join(" or ");
      throw new NodeError(400, "model_ambiguous", `model "${requested}" is ambiguous: ask for ${ids}`);
    }
    return bare;
  }

  #route(id: string): { provider: string; model: LanguageModelV4 } | undefined {
    const slash = id.indexOf("/");
    const [provider, modelId] = [id.slice(0, slash), id.slice(slash + 1)];
    const upstream = this.#upstreams.find((candidate) => candidate.provider === provider);
    if (upstream === undefined || (upstream.complete && !upstream.modelIds.includes(modelId))) return undefined;
    return { provider, model: upstream.languageModel(modelId) };
  }
}

const tokensOf = ({ usage }: LanguageAnswer): TokenUsage => ({
  inputTokens: usage.prompt_tokens,
  outputTokens: usage.completion_tokens,
});

/** The id of what ran, with its provider before it. */
function nameOf(provider: string, modelId: string): string {
  return modelId.startsWith(`${provider}/`) ? modelId : `${provider}/${modelId}`;
}

function modelNotFound(requested: string): NodeError {
  return new NodeError(404, "model_not_found", `model "${requested}" is not served here`);
}
