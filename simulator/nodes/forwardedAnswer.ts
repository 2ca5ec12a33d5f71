import { toJson } from "../receipts/json.ts";
import { pythonJson } from "../receipts/pythonJson.ts";
import { canonicalToolCalls } from "../receipts/requestText.ts";
import { usageOf } from "../receipts/tariff.ts";
import type { RequestKind } from "../receipts/hashes.ts";
import type { CompletedInference } from "./InferenceNode.ts";
import { JsonText, withMembers } from "./JsonText.ts";
import { NodeError } from "./NodeError.ts";
import type { OpenAiResponse } from "./OpenAiServer.ts";

/** Statuses of a server that say something about the request, and pass. */
const REQUEST_STATUSES = new Set([400, 404, 409, 413, 422, 429]);

export const badUpstreamAnswer = (why: string): NodeError =>
  new NodeError(502, "upstream_error", `the model's server gave no usable answer: ${why}; nothing was charged`);

/** The text of a chat answer that receipts hash: what it says, or the calls it makes. */
export const chatOutput = (content: string, calls: readonly unknown[]): string =>
  calls.length > 0 ? pythonJson(canonicalToolCalls(toJson(calls))) : content;

/** A whole answer, as it came. @throws NodeError 502 for what a receipt cannot cover. */
export function forwardedAnswer(kind: RequestKind, body: Buffer): CompletedInference {
  const text = body.toString("utf8");
  const value = parseObject(text);
  const usage = usageOf(value);
  const [choice, ...others] = Array.isArray(value["choices"]) ? (value["choices"] as unknown[]) : [];
  if (!isObject(choice) || others.length > 0) throw badUpstreamAnswer("expected one choice");
  const answer = new JsonText(text, value);
  if (kind === "completion") {
    const completion = choice["text"];
    if (typeof completion !== "string") throw badUpstreamAnswer("expected text");
    // OpenGradient's SDKs read it there
    return { output: completion, ...(usage && { usage }), answer: withMembers(answer, { completion }) };
  }
  const message = choice["message"];
  if (!isObject(message)) throw badUpstreamAnswer("expected a message");
  const { content, tool_calls: calls } = message;
  if (content != null && typeof content !== "string") throw badUpstreamAnswer("expected text");
  const output = chatOutput(content ?? "", Array.isArray(calls) ? calls : []);
  return { output, ...(usage && { usage }), answer };
}

/** What a server's refusal means to the client: in its own words where they are about the request. */
export function forwardedFailure({ status, body }: OpenAiResponse): NodeError {
  if (REQUEST_STATUSES.has(status)) {
    const { message, code } = errorOf(body);
    return new NodeError(status, code ?? "upstream_refused", message ?? "the model's server refused the request");
  }
  if (status === 401 || status === 403) {
    return new NodeError(502, "upstream_auth", "the node's key was refused by the model's server");
  }
  if (status === 503) return new NodeError(503, "upstream_busy", "the model's server is busy; nothing was charged");
  return badUpstreamAnswer(`status ${status}`);
}

function errorOf(body: Buffer): { message?: string; code?: string } {
  try {
    const value: unknown = JSON.parse(body.toString("utf8"));
    const error = isObject(value) && isObject(value["error"]) ? value["error"] : value;
    if (!isObject(error)) return {};
    const { message, code } = error;
    return {
      ...(typeof message === "string" && { message }),
      ...(typeof code === "string" && { code }),
    };
  } catch {
    return {};
  }
}

/** @throws NodeError 502 */
export function parseObject(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw badUpstreamAnswer("it is not JSON");
  }
  if (!isObject(value)) throw badUpstreamAnswer("it is no object");
  return value;
}

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
