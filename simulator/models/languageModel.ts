import type { LanguageModel } from "ai";

/** The AI SDK's current interface of a language model, by which nodes call local and remote models alike. */
export type LanguageModelV4 = Extract<LanguageModel, { specificationVersion: "v4" }>;

export type CallOptions = Parameters<LanguageModelV4["doGenerate"]>[0];
export type GenerateResult = Awaited<ReturnType<LanguageModelV4["doGenerate"]>>;
export type StreamPart =
  Awaited<ReturnType<LanguageModelV4["doStream"]>>["stream"] extends ReadableStream<infer Part> ? Part : never;
export type Prompt = CallOptions["prompt"];
export type Usage = GenerateResult["usage"];
export type FinishReason = GenerateResult["finishReason"];
