import { type PaidKind, inputHash, type RequestKind } from "../receipts/hashes.ts";
import { isJsonObject, JsonNumber, type JsonObject, parseJson } from "../receipts/json.ts";
import { requestHash } from "../receipts/requestHash.ts";
import { InvalidRequestError } from "../receipts/requestText.ts";
import type { Hex } from "../receipts/types.ts";

/** SHA-256 of what was asked, hexadecimal: the body as it came, after the name of its kind. */
export const bodyHashOf = (kind: PaidKind, body: Uint8Array): string => requestHash(kind, body).slice(2);

/** A request as everybody in the process sees it: its bytes, parsed once, hashed once. */
export class RequestBody {
  readonly kind: RequestKind;
  /** As they came. */
  readonly bytes: Buffer;
  /** With numbers as they were written; a member that comes twice was refused. */
  readonly json: JsonObject;
  readonly model: string;
  readonly streamed: boolean;
  #bodyHash: string | undefined;
  #inputHash: Hex | undefined;

  /** @throws InvalidJsonError, InvalidRequestError */
  constructor(kind: RequestKind, bytes: Buffer) {
    const json = parseJson(bytes);
    if (!isJsonObject(json)) throw new InvalidRequestError("Expected an object");
    const model = json.get("model");
    if (typeof model !== "string") throw new InvalidRequestError("Expected model: a string");
    const stream = json.get("stream") ?? false;
    if (typeof stream !== "boolean") throw new InvalidRequestError("Expected stream: true or false");
    this.kind = kind;
    this.bytes = bytes;
    this.json = json;
    this.model = model;
    this.streamed = stream;
  }

  /** As the request limits its answer, in whichever of its two ways; undefined: it does not. */
  get maxOutputTokens(): number | undefined {
    const limit = this.json.get("max_completion_tokens") ?? this.json.get("max_tokens") ?? null;
    return limit instanceof JsonNumber ? Number(limit.lexeme) : undefined;
  }

  get bodyHash(): string {
    return (this.#bodyHash ??= bodyHashOf(this.kind, this.bytes));
  }

  /** Of the receipt. @throws InvalidRequestError for what has none. */
  get inputHash(): Hex {
    return (this.#inputHash ??= inputHash(this.kind, this.json));
  }
}
