import { DONE, eventData, EventSplitter } from "../gateway/serverSentEvents.ts";
import type { RequestKind } from "../receipts/hashes.ts";
import { usageOf } from "../receipts/tariff.ts";
import { badUpstreamAnswer, chatOutput, isObject, parseObject } from "./forwardedAnswer.ts";
import type { CompletedInference } from "./InferenceNode.ts";
import { JsonText, withMembers } from "./JsonText.ts";

interface ToolCall {
  id: unknown;
  type: unknown;
  function: { name: string; arguments: string };
}

/** An event stream of a server as it passes: each chunk goes on as it came, but for the last, and adds to what the receipt is about. */
export class ForwardedStream {
  readonly #kind: RequestKind;
  readonly #reasonLast: boolean;
  readonly #emit: (chunk: object) => void;
  readonly #splitter = new EventSplitter();
  readonly #calls: ToolCall[] = [];
  /** The chunks that end a stream, of which the last gets the receipt: they wait until it is known what comes after them. */
  #usage: JsonText | undefined;
  #reason: JsonText | undefined;
  /** As told beside a choice: by some servers with every chunk. */
  #usageBeside: unknown;
  #text = "";
  #identity: Record<string, unknown> = {};
  #done = false;

  /** @param reasonLast Whether the last chunk says why it ended, as OpenGradient's enclaves have it. */
  constructor(kind: RequestKind, reasonLast: boolean, emit: (chunk: object) => void) {
    this.#kind = kind;
    this.#reasonLast = reasonLast;
    this.#emit = emit;
  }

  /** @throws NodeError 502 */
  push(piece: Buffer): void {
    for (const event of this.#splitter.push(piece)) {
      const data = eventData(event);
      if (data === DONE) this.#done = true;
      else if (data !== undefined && !this.#done) this.#pushChunk(data);
    }
  }

  /** @throws NodeError 502 when the stream was cut. */
  end(): CompletedInference {
    if (!this.#done) throw badUpstreamAnswer("its stream ended early");
    const last = this.#lastChunk();
    const tokens = usageOf(last instanceof JsonText ? last.value : last);
    return {
      output: this.#kind === "chat" ? chatOutput(this.#text, this.#calls) : this.#text,
      ...(tokens && { usage: tokens }),
      answer: last,
    };
  }

  #lastChunk(): object {
    const usage = this.#usage?.value["usage"] ?? this.#usageBeside;
    if (this.#reason !== undefined) return usage === undefined ? this.#reason : withMembers(this.#reason, { usage });
    return this.#usage ?? { ...this.#identity, choices: [], ...(usage !== undefined && { usage }) };
  }

  #pushChunk(data: string): void {
    const value = parseObject(data);
    if (isObject(value["error"])) {
      const { message } = value["error"];
      throw badUpstreamAnswer(typeof message === "string" ? message : "it failed");
    }
    const chunk = new JsonText(data, value);
    const [choice, ...others] = Array.isArray(value["choices"]) ? (value["choices"] as unknown[]) : [];
    if (others.length > 0) throw badUpstreamAnswer("expected one choice");
    if (!isObject(choice)) {
      if (isObject(value["usage"])) this.#usage = chunk;
      else this.#emit(chunk);
      return;
    }
    const { id, object, created, model } = value;
    this.#identity = { id, object, created, model };
    this.#collect(choice);
    if (isObject(value["usage"])) this.#usageBeside = value["usage"];
    if (this.#reasonLast && choice["finish_reason"] != null) this.#reason = chunk;
    else this.#emit(chunk);
  }

  #collect(choice: Record<string, unknown>): void {
    if (this.#kind === "completion") {
      if (typeof choice["text"] === "string") this.#text += choice["text"];
      return;
    }
    const { delta } = choice;
    if (!isObject(delta)) return;
    if (typeof delta["content"] === "string") this.#text += delta["content"];
    if (Array.isArray(delta["tool_calls"]))
      for (const call of delta["tool_calls"] as unknown[]) this.#collectCall(call);
  }

  #collectCall(part: unknown): void {
    if (!isObject(part)) throw badUpstreamAnswer("expected tool calls to be objects");
    const index = part["index"] ?? 0;
    if (typeof index !== "number" || !Number.isInteger(index) || index < 0 || index > this.#calls.length) {
      throw badUpstreamAnswer("expected tool calls in their order");
    }
    const called = isObject(part["function"]) ? part["function"] : {};
    const call = (this.#calls[index] ??= {
      id: part["id"],
      type: part["type"] ?? "function",
      function: { name: "", arguments: "" },
    });
    if (typeof called["name"] === "string") call.function.name += called["name"];
    if (typeof called["arguments"] === "string") call.function.arguments += called["arguments"];
  }
}
