import { toJson } from "../receipts/json.ts";
import { pythonJson } from "../receipts/pythonJson.ts";
import { canonicalToolCalls } from "../receipts/requestText.ts";
import type { LanguageAnswer, LanguageDelta } from "./callLanguageModel.ts";

/** What identifies an answer and all its chunks. */
export interface AnswerIdentity {
  id: string;
  /** Unix seconds. */
  created: number;
  /** The model that ran. */
  model: string;
}

/** How one of OpenAI's two text APIs writes answers. */
export interface OpenAiFormat {
  /** Prefix of answer ids. */
  idPrefix: string;
  /** The text that the receipt's output hash is over. */
  output(answer: LanguageAnswer): string;
  /** A whole answer. */
  whole(identity: AnswerIdentity, answer: LanguageAnswer): object;
  /** What opens a stream, before the first step. */
  opening(identity: AnswerIdentity): object | undefined;
  /** One step of a stream; undefined for steps this API has no form for. */
  step(identity: AnswerIdentity, delta: LanguageDelta): object | undefined;
  /** The step that says why it ended. */
  closing(identity: AnswerIdentity, answer: LanguageAnswer): object;
  /** The last chunk: no choice, but the usage (and, added by the node, the receipt). */
  summary(identity: AnswerIdentity, answer: LanguageAnswer): object;
  /** Both in one, the last chunk as OpenGradient's enclaves send it: its clients look for the signature beside the reason. */
  ending(identity: AnswerIdentity, answer: LanguageAnswer): object;
}

/** `POST /v1/chat/completions`. */
export const chatFormat: OpenAiFormat = {
  idPrefix: "chatcmpl-",
  output: ({ text, toolCalls }) => (toolCalls.length > 0 ? pythonJson(canonicalToolCalls(toJson(toolCalls))) : text),
  whole: (identity, { text, toolCalls, finishReason, usage }) => ({
    ...head(identity, "chat.completion"),
    choices: [
      {
        index: 0,
        message: {
          role: "assistant",
          content: text === "" && toolCalls.length > 0 ? null : text,
          refusal: null,
          ...(toolCalls.length > 0 && { tool_calls: toolCalls }),
        },
        logprobs: null,
        finish_reason: finishReason,
      },
    ],
    usage,
  }),
  opening: (identity) => chatChunk(identity, { role: "assistant", content: "" }),
  step: (identity, delta) =>
    chatChunk(identity, delta.type === "text" ? { content: delta.text } : toolCallDelta(delta)),
  closing: (identity, { finishReason }) => chatChunk(identity, {}, finishReason),
  summary: (identity, { usage }) => ({ ...head(identity, "chat.completion.chunk"), choices: [], usage }),
  ending: (identity, { finishReason, usage }) => ({ ...chatChunk(identity, {}, finishReason), usage }),
};

/** `POST /v1/completions`. OpenGradient's SDKs read the text from `completion`. */
export const completionFormat: OpenAiFormat = {
  idPrefix: "cmpl-",
  output: ({ text }) => text,
  whole: (identity, { text, finishReason, usage }) => ({
    ...head(identity, "text_completion"),
    completion: text,
    choices: [{ text, index: 0, logprobs: null, finish_reason: finishReason }],
    usage,
  }),
  opening: () => undefined,
  step: (identity, delta) => (delta.type === "text" ? completionChunk(identity, delta.text, null) : undefined),
  closing: (identity, { finishReason }) => completionChunk(identity, "", finishReason),
  summary: (identity, { usage }) => ({ ...head(identity, "text_completion"), choices: [], usage }),
  ending: (identity, { finishReason, usage }) => ({ ...completionChunk(identity, "", finishReason), usage }),
};

function head({ id, created, model }: AnswerIdentity, object: string): object {
  return { id, object, created, model };
}

function chatChunk(identity: AnswerIdentity, delta: object, finishReason: string | null = null): object {
  return {
    ...head(identity, "chat.completion.chunk"),
    choices: [{ index: 0, delta, logprobs: null, finish_reason: finishReason }],
  };
}

function toolCallDelta({ index, id, name, arguments: text }: Extract<LanguageDelta, { type: "tool-call" }>): object {
  const first = id !== undefined && { id, type: "function" };
  return { tool_calls: [{ index, ...first, function: { ...(name !== undefined && { name }), arguments: text } }] };
}

function completionChunk(identity: AnswerIdentity, text: string, finishReason: string | null): object {
  return {
    ...head(identity, "text_completion"),
    choices: [{ text, index: 0, logprobs: null, finish_reason: finishReason }],
  };
}
