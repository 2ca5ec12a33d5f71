import { canonicalJson } from "./canonicalJson.ts";
import { isJsonArray, isJsonObject, JsonNumber, parseJson, type Json, type JsonObject } from "./json.ts";
import { pythonFloat, pythonJson } from "./pythonJson.ts";

/** A request body, as text, its raw bytes, or what `parseJson` made of them: `JSON.parse` would have lost how numbers were written. */
export type RawBody = string | Uint8Array | JsonObject;

/** The body is JSON but no request that could be hashed. */
export class InvalidRequestError extends Error {
  override readonly name = "InvalidRequestError";
  readonly code = "invalid_request";
}

/**
 * OpenGradient's canonical text of a chat request, whose keccak256 its gateways sign (tee-gateway, chat controller). It covers
 * messages, model, temperature, max_tokens, stop, tools, response_format and web_search; it does **not** cover tool_choice, top_p, n,
 * seed, user, penalties and stream, nor the data of parts that are no text.
 * @throws InvalidJsonError, InvalidRequestError
 */
export function chatRequestText(body: RawBody): string {
  const request = parseObject(body);
  const messages = request.get("messages");
  if (!isJsonArray(messages)) throw expected("messages: an array", messages);
  const canonical = new Map<string, Json>([
    ["model", request.get("model") ?? null],
    ["messages", messages.map(canonicalMessage)],
    ...sampling(request),
  ]);
  for (const name of ["tools", "response_format"]) {
    const value = request.get(name);
    if (isTruthy(value)) canonical.set(name, value);
  }
  if (isTruthy(request.get("web_search"))) canonical.set("web_search", true);
  return pythonJson(canonical);
}

/** OpenGradient's canonical text of a completion request: model, prompt, temperature, max_tokens and stop. */
export function completionRequestText(body: RawBody): string {
  const request = parseObject(body);
  return pythonJson(
    new Map<string, Json>([
      ["model", request.get("model") ?? null],
      ["prompt", request.get("prompt") ?? null],
      ...sampling(request),
    ]),
  );
}

/** The canonical text (RFC 8785) of an inference request: model and inputs. */
export function inferenceRequestText(body: RawBody): string {
  const request = parseObject(body);
  const [model, inputs] = [request.get("model"), request.get("inputs")];
  if (typeof model !== "string") throw expected("model: a string", model);
  if (inputs === undefined) throw expected("inputs", inputs);
  return canonicalJson(
    new Map<string, Json>([
      ["model", model],
      ["inputs", inputs],
    ]),
  );
}

/** temperature is a float whatever the client wrote, and always there; the rest only when it is set. */
function sampling(request: JsonObject): [string, Json][] {
  const temperature = request.get("temperature") ?? new JsonNumber("0");
  if (!(temperature instanceof JsonNumber)) throw expected("temperature: a number", temperature);
  const entries: [string, Json][] = [["temperature", new JsonNumber(pythonFloat(Number(temperature.lexeme)))]];
  const maxTokens = request.get("max_tokens") ?? null;
  if (maxTokens !== null) entries.push(["max_tokens", maxTokens]);
  const stop = request.get("stop");
  if (isTruthy(stop)) entries.push(["stop", stop]);
  return entries;
}

function canonicalMessage(message: Json): Json {
  if (!isJsonObject(message)) throw expected("messages: objects", message);
  const role = message.get("role");
  const content = message.get("content") ?? null;
  switch (role) {
    case "system":
    case "developer":
      return object({ role: "system", content });
    case "user":
      return object({ role, content: userContent(content) });
    case "assistant": {
      const calls = message.get("tool_calls");
      return object({
        role,
        content: isTruthy(content) ? content : "",
        ...(isTruthy(calls) && { tool_calls: canonicalToolCalls(calls) }),
      });
    }
    case "tool":
      return object({ role, content, tool_call_id: message.get("tool_call_id") ?? null });
    case "function":
      return object({ role, content, name: message.get("name") ?? null });
    default:
      throw expected("messages: a known role", role);
  }
}

function userContent(content: Json): Json {
  if (typeof content === "string") return content;
  if (!isJsonArray(content)) throw expected("messages: content of text or parts", content);
  return content.map((part) => {
    if (!isJsonObject(part)) throw expected("messages: parts that are objects", part);
    const type = part.get("type") ?? null;
    if (type === "text") return object({ type, text: part.get("text") ?? null });
    const file = part.get("file");
    const filename = part.get("filename") ?? (isJsonObject(file) ? file.get("filename") : undefined);
    return object({ type, ...(filename !== undefined && { filename }) });
  });
}

/** Tool calls reduced to what is hashed: [{id, type, function: {name, arguments}}]. */
export function canonicalToolCalls(calls: Json): Json {
  if (!isJsonArray(calls)) throw expected("tool_calls: an array", calls);
  return calls.map((call) => {
    const called = isJsonObject(call) ? call.get("function") : undefined;
    if (!isJsonObject(call) || !isJsonObject(called)) throw expected("tool_calls: calls of functions", call);
    return object({
      id: call.get("id") ?? null,
      type: call.get("type") ?? null,
      function: object({ name: called.get("name") ?? null, arguments: called.get("arguments") ?? null }),
    });
  });
}

const object = (members: Record<string, Json>): JsonObject => new Map(Object.entries(members));

function parseObject(body: RawBody): JsonObject {
  const value = isParsed(body) ? body : parseJson(body);
  if (!isJsonObject(value)) throw expected("an object", value);
  return value;
}

const isParsed = (body: RawBody): body is JsonObject => typeof body === "object" && !(body instanceof Uint8Array);

/** Python's truth: none of None, False, zero and the empty. */
function isTruthy(value: Json | undefined): value is Exclude<Json, null | false> {
  if (value instanceof JsonNumber) return Number(value.lexeme) !== 0;
  if (isJsonArray(value)) return value.length > 0;
  if (isJsonObject(value)) return value.size > 0;
  return Boolean(value);
}

const expected = (what: string, found: Json | undefined): InvalidRequestError =>
  new InvalidRequestError(
    `Expected ${what}; found ${found === undefined ? "nothing" : pythonJson(found).slice(0, 100)}`,
  );
