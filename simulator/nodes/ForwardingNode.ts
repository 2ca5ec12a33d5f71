import type { RequestKind } from "../receipts/hashes.ts";
import { isJsonArray, isJsonObject, type JsonObject, JsonNumber } from "../receipts/json.ts";
import { ForwardedStream } from "./ForwardedStream.ts";
import { forwardedAnswer, forwardedFailure } from "./forwardedAnswer.ts";
import {
  type CompletedInference,
  type InferenceContext,
  InferenceNode,
  type InferenceNodeOptions,
  type ModelOffer,
  type PreparedInference,
} from "./InferenceNode.ts";
import { NodeError } from "./NodeError.ts";
import { OpenAiServer, type OpenAiServerOptions } from "./OpenAiServer.ts";
import { RequestBody } from "./RequestBody.ts";

export interface ForwardingNodeOptions extends InferenceNodeOptions {
  /** Models for sale. Their ids are the server's: requests pass as they are. */
  offers: readonly ModelOffer[];
  upstream: OpenAiServerOptions;
  /** Most tokens a request may ask for; the server's own limit is what bounds those that ask for none. Default: no limit. */
  maxOutputTokens?: number;
}

const PATHS: Readonly<Record<"chat" | "completion", string>> = {
  chat: "/chat/completions",
  completion: "/completions",
};
const USAGE_WANTED = '"stream_options":{"include_usage":true}';

/**
 * In front of one server with OpenAI's API: requests go to it byte for byte, and its answers come back byte for byte, with the receipt added.
 * A streamed request is made to ask for the usage, if it does not: what it is charged by.
 */
export class ForwardingNode extends InferenceNode {
  readonly offers: readonly ModelOffer[];
  protected override readonly modelKind = "chat";
  readonly #byId: ReadonlyMap<string, ModelOffer>;
  readonly #upstream: OpenAiServer;
  readonly #maxOutputTokens: number;

  constructor({ offers, upstream, maxOutputTokens = Infinity, ...options }: ForwardingNodeOptions) {
    super(options, ["chat", "completion"]);
    this.offers = Number.isFinite(maxOutputTokens) ? offers.map((offer) => ({ ...offer, maxOutputTokens })) : offers;
    this.#byId = new Map(this.offers.map((offer) => [offer.id, offer]));
    this.#upstream = new OpenAiServer(upstream);
    this.#maxOutputTokens = maxOutputTokens;
  }

  override async stop(): Promise<void> {
    await super.stop();
    await this.#upstream.close();
  }

  protected override prepare(kind: RequestKind, bytes: Uint8Array, parsed?: RequestBody): PreparedInference {
    const body = parsed ?? new RequestBody(kind, Buffer.from(bytes));
    const offer = this.#byId.get(body.model);
    if (offer === undefined) {
      throw new NodeError(404, "model_not_found", `model "${body.model}" is not served here`);
    }
    this.#check(body.json);
    const path = PATHS[kind as keyof typeof PATHS];
    const { streamed } = body;
    return {
      offer,
      streamed,
      run: (context) => (streamed ? this.#stream(path, body, context) : this.#whole(path, body, context)),
    };
  }

  async #whole(
    path: string,
    { kind, bytes }: RequestBody,
    { cancellation }: InferenceContext,
  ): Promise<CompletedInference> {
    const response = await this.#upstream.post(path, bytes, cancellation);
    if (response.status !== 200) throw forwardedFailure(response);
    return forwardedAnswer(kind, response.body);
  }

  async #stream(
    path: string,
    body: RequestBody,
    { cancellation, emit }: InferenceContext,
  ): Promise<CompletedInference> {
    const stream = new ForwardedStream(body.kind, this.enclave !== undefined, emit);
    const response = await this.#upstream.post(path, askingForUsage(body), cancellation, (piece) => stream.push(piece));
    if (response.status !== 200) throw forwardedFailure(response);
    return stream.end();
  }

  /** What a receipt cannot cover, or the fee not bound, is not served. */
  #check(request: JsonObject): void {
    const choices = request.get("n") ?? null;
    if (choices !== null && !(choices instanceof JsonNumber && Number(choices.lexeme) === 1)) {
      throw new NodeError(400, "invalid_request", "n: only one choice per request is served");
    }
    for (const name of ["max_tokens", "max_completion_tokens"]) {
      const limit = request.get(name);
      if (limit instanceof JsonNumber && Number(limit.lexeme) > this.#maxOutputTokens) {
        throw new NodeError(
          400,
          "max_tokens_too_large",
          `${name}: at most ${this.#maxOutputTokens}, found ${limit.lexeme}`,
        );
      }
    }
    const messages = request.get("messages");
    if (isJsonArray(messages) && messages.some((message) => isJsonObject(message) && !isText(message))) {
      throw new NodeError(400, "invalid_request", "messages: only text is served; receipts do not cover other data");
    }
  }
}

function isText(message: JsonObject): boolean {
  const content = message.get("content");
  return !isJsonArray(content) || content.every((part) => isJsonObject(part) && part.get("type") === "text");
}

/** A streamed request that asks for its usage. */
function askingForUsage({ bytes, json }: RequestBody): Uint8Array | string {
  const options = json.get("stream_options") ?? null;
  if (isJsonObject(options) && options.get("include_usage") === true) return bytes;
  const text = bytes.toString("utf8");
  if (!json.has("stream_options")) return `${text.slice(0, text.lastIndexOf("}"))},${USAGE_WANTED}}`;
  // rare enough to write it anew
  const request = JSON.parse(text) as Record<string, unknown>;
  return JSON.stringify({
    ...request,
    stream_options: { ...(request["stream_options"] as object | null), include_usage: true },
  });
}
