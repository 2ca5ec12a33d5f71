import { isUtf8 } from "node:buffer";

/** A parsed JSON value that still knows how its numbers were written: `1.0` and `1` hash differently in Python's form. */
export type Json = null | boolean | string | JsonNumber | readonly Json[] | JsonObject;

/** Maps, not objects: a member called `__proto__` is a member like any other. */
export type JsonObject = ReadonlyMap<string, Json>;

export class JsonNumber {
  /** As written, e.g. `1.0`, `1e3`. */
  readonly lexeme: string;

  constructor(lexeme: string) {
    this.lexeme = lexeme;
  }

  /** Python's rule: without a fraction and an exponent it is an integer, of any size. */
  get isInteger(): boolean {
    return /^-?[0-9]+$/.test(this.lexeme);
  }
}

/** The text is not JSON, or JSON that two parsers may read differently. */
export class InvalidJsonError extends Error {
  override readonly name = "InvalidJsonError";
  readonly code = "invalid_json";
}

export const MAX_JSON_DEPTH = 200;

// Python refuses to convert longer integers (CVE-2020-10735), and their conversion here is as slow.
const MAX_INTEGER_DIGITS = 4300;

/**
 * Parses JSON (RFC 8259) with number lexemes preserved. Stricter than JSON.parse in one thing: a repeated member name is an error,
 * because the reader that hashes and the reader that executes could take different ones (RFC 7493).
 * @param text bytes must be UTF-8.
 * @throws InvalidJsonError
 */
export function parseJson(text: string | Uint8Array): Json {
  const parser = new Parser(typeof text === "string" ? text : decodeUtf8(text));
  return parser.document();
}

/** A plain value (of JSON.parse, or built in code) in the same form. */
export const toJson = (value: unknown): Json => {
  const text = JSON.stringify(value) as string | undefined;
  if (text === undefined) throw new InvalidJsonError(`Expected a JSON value, found ${typeof value}`);
  return parseJson(text);
};

export const isJsonObject = (value: Json | undefined): value is JsonObject => value instanceof Map;
export const isJsonArray = (value: Json | undefined): value is readonly Json[] => Array.isArray(value);

function decodeUtf8(bytes: Uint8Array): string {
  if (!isUtf8(bytes)) throw new InvalidJsonError("Expected UTF-8, found other bytes");
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
}

const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
// eslint-disable-next-line no-control-regex -- control characters are what JSON forbids in strings
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const LITERALS = [
  ["true", true],
  ["false", false],
  ["null", null],
] as const;

class Parser {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  document(): Json {
    const value = this.#value(0);
    this.#skipSpace();
    if (this.#at !== this.#text.length) this.#fail("the end");
    return value;
  }

  #value(depth: number): Json {
    if (depth > MAX_JSON_DEPTH) throw new InvalidJsonError(`Expected at most ${MAX_JSON_DEPTH} levels of nesting`);
    this.#skipSpace();
    switch (this.#text[this.#at]) {
      case "{":
        return this.#object(depth);
      case "[":
        return this.#array(depth);
      case '"':
        return this.#string();
    }
    for (const [word, value] of LITERALS) {
      if (this.#text.startsWith(word, this.#at)) {
        this.#at += word.length;
        return value;
      }
    }
    return this.#number();
  }

  #object(depth: number): JsonObject {
    const members = new Map<string, Json>();
    this.#at++;
    if (this.#accept("}")) return members;
    do {
      this.#skipSpace();
      const name = this.#string();
      if (members.has(name))
        throw new InvalidJsonError(`Expected each member once, found ${JSON.stringify(name)} again`);
      if (!this.#accept(":")) this.#fail("':'");
      members.set(name, this.#value(depth + 1));
    } while (this.#accept(","));
    if (!this.#accept("}")) this.#fail("',' or '}'");
    return members;
  }

  #array(depth: number): Json[] {
    const items: Json[] = [];
    this.#at++;
    if (this.#accept("]")) return items;
    do items.push(this.#value(depth + 1));
    while (this.#accept(","));
    if (!this.#accept("]")) this.#fail("',' or ']'");
    return items;
  }

  #string(): string {
    const token = this.#take(STRING);
    if (!token) this.#fail("a string");
    return token.includes("\\") ? (JSON.parse(token) as string) : token.slice(1, -1);
  }

  #number(): JsonNumber {
    const token = this.#take(NUMBER);
    if (!token) this.#fail("a value");
    const number = new JsonNumber(token);
    if (token.length > MAX_INTEGER_DIGITS && number.isInteger) {
      throw new InvalidJsonError(`Expected integers of at most ${MAX_INTEGER_DIGITS} digits, found ${token.length}`);
    }
    return number;
  }

  #accept(punctuation: string): boolean {
    this.#skipSpace();
    if (this.#text[this.#at] !== punctuation) return false;
    this.#at++;
    return true;
  }

  #skipSpace(): void {
    // space, tab, line feed, carriage return
    for (let unit; ; this.#at++) {
      unit = this.#text.charCodeAt(this.#at);
      if (unit !== 0x20 && unit !== 0x09 && unit !== 0x0a && unit !== 0x0d) return;
    }
  }

  /** What matches here, or nothing. */
  #take(pattern: RegExp): string {
    const from = (pattern.lastIndex = this.#at);
    if (!pattern.test(this.#text)) return "";
    this.#at = pattern.lastIndex;
    return this.#text.slice(from, this.#at);
  }

  #fail(expected: string): never {
    const found = this.#text.slice(this.#at, this.#at + 20) || "the end";
    throw new InvalidJsonError(`Expected ${expected} at character ${this.#at}, found ${JSON.stringify(found)}`);
  }
}
