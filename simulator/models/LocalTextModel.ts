import { readFileSync } from "node:fs";

import type {
  CallOptions,
  FinishReason,
  GenerateResult,
  LanguageModelV4,
  Prompt,
  StreamPart,
  Usage,
} from "./languageModel.ts";
import { ModelInputError } from "./ModelError.ts";
import { NgramModel } from "./NgramModel.ts";
import { SeededRandom } from "./SeededRandom.ts";
import { StopScanner } from "./StopScanner.ts";
import { BOUNDARY, endsSentence, tokenize, written } from "./tokens.ts";
import { TopicPrior } from "./TopicPrior.ts";

/** Id under which nodes serve the local text model; says what it is. */
export const LOCAL_TEXT_MODEL_ID = "opengradient/local-ngram-v1";

/** The text it learned from, written for it. */
export const LOCAL_TEXT_CORPUS = new URL("./localTextCorpus.txt", import.meta.url);

const ORDER = 5;
const DEFAULT_MAX_TOKENS = 256;
/** How much the topic counts against the order of words. */
const TOPIC_STRENGTH = 0.6;
/** No run of this many tokens is said twice: it is the usual cure against loops. */
const NO_REPEAT = 6;

/**
 * A word-level 5-gram model over some pages of text about this network, adapted to the prompt's topic. It lets everything run without a key or a
 * network, and says what it is when asked. Equal calls give equal answers: temperature 0 (the default) takes the likeliest word, anything else
 * samples from the seed, or from the prompt where none is given.
 *
 * Honours maxOutputTokens, temperature, topP, stopSequences and seed, and the response format "json" without a schema (`{"text": "…"}`).
 * `providerOptions.opengradient.continue = true` continues the prompt in the middle of its sentence, as a completion does.
 */
export class LocalTextModel implements LanguageModelV4 {
  readonly specificationVersion = "v4";
  readonly provider = "opengradient.local";
  readonly modelId = LOCAL_TEXT_MODEL_ID;
  readonly supportedUrls = {};
  readonly #model: NgramModel;
  readonly #topics: TopicPrior;

  /** @param corpus Paragraphs separated by empty lines. */
  constructor(corpus: string = readFileSync(LOCAL_TEXT_CORPUS, "utf8")) {
    const paragraphs = corpus.split(/\n\s*\n/).map(tokenize);
    this.#model = new NgramModel(paragraphs, ORDER);
    this.#topics = new TopicPrior(this.#model, paragraphs);
  }

  /** @throws ModelInputError when the call asks for what the model cannot do. */
  async doGenerate(options: CallOptions): Promise<GenerateResult> {
    let text = "";
    for await (const part of (await this.doStream(options)).stream) {
      if (part.type === "text-delta") text += part.delta;
      if (part.type === "error") throw part.error;
      if (part.type === "finish") {
        const { usage, finishReason } = part;
        return {
          content: [{ type: "text", text }],
          usage,
          finishReason,
          warnings: warningsFor(options),
          response: { modelId: this.modelId },
        };
      }
    }
    throw new Error("the stream ended without a finish part");
  }

  /** @throws ModelInputError when the call asks for what the model cannot do. */
  doStream(options: CallOptions): Promise<{ stream: ReadableStream<StreamPart> }> {
    return Promise.resolve().then(() => {
      refuseUnsupported(options);
      return { stream: ReadableStream.from(this.#parts(options)) };
    });
  }

  /** Asynchronous, so that a long answer leaves the event loop to others after each token. */
  async *#parts(options: CallOptions): AsyncGenerator<StreamPart> {
    yield { type: "stream-start", warnings: warningsFor(options) };
    yield { type: "response-metadata", modelId: this.modelId };
    yield { type: "text-start", id: "0" };
    const json = options.responseFormat?.type === "json";
    const scanner = new StopScanner(options.stopSequences);
    const limit = options.maxOutputTokens ?? DEFAULT_MAX_TOKENS;
    const words = this.#words(options);
    let outputTokens = 0;
    let finishReason: FinishReason = { unified: "stop", raw: "stop" };
    if (json) yield { type: "text-delta", id: "0", delta: '{"text":"' };
    for (let next = words.next(); !next.done; next = words.next()) {
      if (outputTokens === limit) {
        finishReason = { unified: "length", raw: "length" };
        break;
      }
      options.abortSignal?.throwIfAborted();
      outputTokens += 1;
      const delta = scanner.push(next.value);
      if (delta !== "") yield { type: "text-delta", id: "0", delta };
      if (scanner.stopped) break;
      await new Promise(setImmediate);
    }
    const rest = scanner.flush() + (json ? '"}' : "");
    if (rest !== "") yield { type: "text-delta", id: "0", delta: rest };
    yield { type: "text-end", id: "0" };
    yield { type: "finish", finishReason, usage: usageOf(options.prompt, outputTokens) };
  }

  /** The answer word by word, each with the space before it. Needs no escaping in JSON: tokens have neither quotes nor control characters. */
  *#words(options: CallOptions): Generator<string, void> {
    const model = this.#model;
    const prompt = promptTokens(options.prompt);
    const topic = this.#topics.of(prompt.weights);
    const boost = topic.boost.map((value) => value ** TOPIC_STRENGTH);
    const continued = options.providerOptions?.opengradient?.continue === true;
    const start = continued ? prompt.last : topic.opening;
    const context = [...Array<number>(ORDER - 1).fill(0), ...start.map((token) => model.id(token))];
    const random = new SeededRandom(options.seed ?? seedFrom(prompt.last));
    const saidAfter = new Map<string, Set<number>>();
    const recent: number[] = [];
    let previous = continued ? prompt.last.at(-1) : undefined;

    for (;;) {
      const probabilities = model.distribution(context);
      // A paragraph may only end where a sentence does, and an answer is never empty.
      const mayEnd = endsSentence(previous) && recent.length > 0;
      const run = recent.slice(1 - NO_REPEAT).join(" ");
      for (let id = 0; id < probabilities.length; id++) probabilities[id] = (probabilities[id] ?? 0) * (boost[id] ?? 1);
      const said = saidAfter.get(run) ?? new Set();
      for (const id of said) probabilities[id] = 0;
      if (!mayEnd) probabilities[0] = 0;
      const id = choose(probabilities, options.temperature ?? 0, options.topP ?? 1, random);
      const token = model.vocabulary[id] ?? BOUNDARY;
      if (token === BOUNDARY) return;
      saidAfter.set(run, said.add(id));
      recent.push(id);
      context.push(id);
      yield written(token, previous);
      previous = token;
    }
  }
}

/** Picks an id: the likeliest at temperature 0, else a draw from p^(1/temperature) cut to the likeliest `topP` of the mass. */
function choose(probabilities: Float64Array, temperature: number, topP: number, random: SeededRandom): number {
  const best = probabilities.reduce((likeliest, p, id) => (p > (probabilities[likeliest] ?? 0) ? id : likeliest), 0);
  if (temperature <= 0) return best;
  const peak = probabilities[best] ?? 1;
  const weights = probabilities.map((p) => (p / peak) ** (1 / temperature));
  const ids = Array.from(weights.keys()).sort((a, b) => (weights[b] ?? 0) - (weights[a] ?? 0));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let left = random.uniform(0, Math.min(1, Math.max(topP, 1e-9)) * total);
  for (const id of ids) {
    left -= weights[id] ?? 0;
    if (left < 0) return id;
  }
  return best;
}

/** The prompt's words: all with a weight that falls with each message back, and those of the last user message in order. */
function promptTokens(prompt: Prompt): { weights: Map<string, number>; last: string[] } {
  const weights = new Map<string, number>();
  let last: string[] | undefined;
  let weight = 1;
  for (const message of prompt.toReversed()) {
    if (message.role === "system" || message.role === "tool") continue;
    const tokens = tokenize(textOf(message.content));
    if (message.role === "user") last ??= tokens;
    for (const token of tokens) weights.set(token, Math.max(weight, weights.get(token) ?? 0));
    weight /= 4;
  }
  return { weights, last: last ?? [] };
}

function textOf(content: readonly { type: string; text?: unknown }[]): string {
  return content.map((part) => (part.type === "text" && typeof part.text === "string" ? part.text : "")).join("\n");
}

function usageOf(prompt: Prompt, outputTokens: number): Usage {
  const inputTokens = prompt.reduce((sum, { content }) => {
    return sum + tokenize(typeof content === "string" ? content : textOf(content)).length;
  }, 0);
  return {
    inputTokens: { total: inputTokens, noCache: inputTokens, cacheRead: 0, cacheWrite: 0 },
    outputTokens: { total: outputTokens, text: outputTokens, reasoning: 0 },
  };
}

function refuseUnsupported({ responseFormat, toolChoice }: CallOptions): void {
  if (responseFormat?.type === "json" && responseFormat.schema !== undefined) {
    throw new ModelInputError(
      `${LOCAL_TEXT_MODEL_ID} cannot follow a JSON schema: ask for json_object or another model`,
    );
  }
  if (toolChoice?.type === "required" || toolChoice?.type === "tool") {
    throw new ModelInputError(`${LOCAL_TEXT_MODEL_ID} cannot call tools: ask another model`);
  }
}

function warningsFor(options: CallOptions): GenerateResult["warnings"] {
  const ignored = [
    ["tools", options.tools?.length],
    ["topK", options.topK],
    ["presencePenalty", options.presencePenalty],
    ["frequencyPenalty", options.frequencyPenalty],
  ] as const;
  return ignored.filter(([, value]) => value).map(([feature]) => ({ type: "unsupported", feature }));
}

/** A 32-bit FNV-1a hash of the words. */
function seedFrom(tokens: readonly string[]): number {
  let hash = 0x811c9dc5;
  for (const unit of Buffer.from(tokens.join(" "), "utf8")) hash = Math.imul(hash ^ unit, 0x01000193);
  return hash >>> 0;
}
