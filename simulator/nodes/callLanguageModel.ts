import { APICallError } from "ai";

import type { CallOptions, FinishReason, LanguageModelV4, StreamPart, Usage } from "../models/languageModel.ts";
import { NodeError } from "./NodeError.ts";

/** A call of a function, in OpenAI's form. */
export interface ToolCall {
  id: string;
  type: "function";
  function: { name: string; arguments: string };
}

/** What a chat model answered. */
export interface LanguageAnswer {
  text: string;
  toolCalls: ToolCall[];
  finishReason: "stop" | "length" | "content_filter" | "tool_calls";
  usage: { prompt_tokens: number; completion_tokens: number; total_tokens: number };
  /** The model that ran, as the upstream names it. */
  modelId: string;
}

/** A step of a streamed answer. Tool calls are numbered in the order they begin; `id` and `name` come with the first piece. */
export type LanguageDelta =
  { type: "text"; text: string } | { type: "tool-call"; index: number; id?: string; name?: string; arguments: string };

/** Calls a model once. @throws NodeError for what the upstream answers. */
export async function generateAnswer(model: LanguageModelV4, options: CallOptions): Promise<LanguageAnswer> {
  const result = await refused(model.doGenerate(options));
  const answer = new AnswerBuilder(model.modelId, () => undefined);
  if (result.response?.modelId !== undefined) answer.modelId = result.response.modelId;
  for (const part of result.content) {
    if (part.type === "text") answer.addText(part.text);
    if (part.type === "tool-call") answer.addToolCall(part.toolCallId, part.toolName, part.input);
  }
  return answer.finish(result.finishReason, result.usage);
}

/**
 * Calls a model and passes its steps on as they come.
 *
 * @param onDelta Gets each step, with the model that runs as far as the upstream has named it.
 * @throws NodeError for what the upstream answers, also in the middle.
 */
export async function streamAnswer(
  model: LanguageModelV4,
  options: CallOptions,
  onDelta: (delta: LanguageDelta, modelId: string) => void,
): Promise<LanguageAnswer> {
  const { stream } = await refused(model.doStream(options));
  const answer = new AnswerBuilder(model.modelId, onDelta);
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await refused(reader.read());
      if (done) break;
      const finished = answer.addPart(value);
      if (finished !== undefined) return finished;
    }
  } finally {
    // After a failure nothing more is wanted of the upstream; after the end this does nothing.
    reader.cancel().catch(() => undefined);
  }
  throw new NodeError(502, "upstream_error", "the model's stream ended early; nothing was charged");
}

class AnswerBuilder {
  modelId: string;
  readonly #onDelta: (delta: LanguageDelta, modelId: string) => void;
  readonly #toolCalls = new Map<string, { index: number; call: ToolCall }>();
  #text = "";

  constructor(modelId: string, onDelta: (delta: LanguageDelta, modelId: string) => void) {
    this.modelId = modelId;
    this.#onDelta = onDelta;
  }

  /** Returns the answer when the part was its last. */
  addPart(part: StreamPart): LanguageAnswer | undefined {
    switch (part.type) {
      case "response-metadata":
        this.modelId = part.modelId ?? this.modelId;
        break;
      case "text-delta":
        this.addText(part.delta);
        break;
      case "tool-input-start":
        if (part.providerExecuted !== true) this.#beginToolCall(part.id, part.toolName);
        break;
      case "tool-input-delta":
        this.#extendToolCall(part.id, part.delta);
        break;
      case "tool-call":
        // Providers that stream the input repeat it whole at its end; others send only this.
        if (part.providerExecuted !== true && !this.#toolCalls.get(part.toolCallId)?.call.function.arguments) {
          this.addToolCall(part.toolCallId, part.toolName, part.input);
        }
        break;
      case "error":
        throw upstreamError(part.error);
      case "finish":
        return this.finish(part.finishReason, part.usage);
    }
    return undefined;
  }

  addText(text: string): void {
    if (text === "") return;
    this.#text += text;
    this.#onDelta({ type: "text", text }, this.modelId);
  }

  addToolCall(id: string, name: string, input: string): void {
    this.#beginToolCall(id, name);
    this.#extendToolCall(id, input);
  }

  finish(reason: FinishReason, { inputTokens, outputTokens }: Usage): LanguageAnswer {
    if (reason.unified === "error" || reason.unified === "interrupted") {
      throw new NodeError(502, "upstream_error", "the model failed; nothing was charged");
    }
    const toolCalls = [...this.#toolCalls.values()].map(({ call }) => call);
    const promptTokens = inputTokens.total ?? 0;
    const completionTokens = outputTokens.total ?? 0;
    return {
      text: this.#text,
      toolCalls,
      finishReason: toolCalls.length > 0 ? "tool_calls" : finishReasonOf(reason),
      usage: {
        prompt_tokens: promptTokens,
        completion_tokens: completionTokens,
        total_tokens: promptTokens + completionTokens,
      },
      modelId: this.modelId,
    };
  }

  #beginToolCall(id: string, name: string): void {
    if (this.#toolCalls.has(id)) return;
    const index = this.#toolCalls.size;
    this.#toolCalls.set(id, { index, call: { id, type: "function", function: { name, arguments: "" } } });
    this.#onDelta({ type: "tool-call", index, id, name, arguments: "" }, this.modelId);
  }

  #extendToolCall(id: string, delta: string): void {
    const known = this.#toolCalls.get(id);
    if (known === undefined || delta === "") return;
    known.call.function.arguments += delta;
    this.#onDelta({ type: "tool-call", index: known.index, arguments: delta }, this.modelId);
  }
}

function finishReasonOf({ unified }: FinishReason): LanguageAnswer["finishReason"] {
  if (unified === "length") return "length";
  if (unified === "content-filter") return "content_filter";
  return "stop";
}

async function refused<T>(call: PromiseLike<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    throw upstreamError(error);
  }
}

/** What an upstream's refusal means to a client. Its own words are passed on only where they are about the request. */
function upstreamError(error: unknown): unknown {
  if (!APICallError.isInstance(error)) return error;
  const { statusCode: status, message } = error;
  if (status === 400 || status === 413 || status === 422) {
    return new NodeError(400, "upstream_refused", `the model's provider refused the request: ${message}`, {
      cause: error,
    });
  }
  if (status === 429) {
    return new NodeError(429, "upstream_rate_limited", "the model's provider is busy; nothing was charged", {
      cause: error,
    });
  }
  if (status === 401 || status === 403) {
    return new NodeError(502, "upstream_auth", "the node's key was refused by the model's provider", { cause: error });
  }
  if (status === 404) {
    return new NodeError(502, "upstream_model_missing", "the model's provider does not have the model", {
      cause: error,
    });
  }
  return new NodeError(502, "upstream_error", "the model's provider failed; nothing was charged", { cause: error });
}
