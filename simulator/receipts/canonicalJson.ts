import { InvalidJsonError, isJsonArray, isJsonObject, JsonNumber, type Json } from "./json.ts";

/**
 * JSON Canonicalization Scheme, RFC 8785: no whitespace, members sorted by UTF-16 units, numbers as ECMAScript prints doubles.
 * @throws InvalidJsonError for what I-JSON excludes: lone surrogates, numbers beyond a double.
 */
export function canonicalJson(value: Json): string {
  if (typeof value === "string") {
    if (!value.isWellFormed()) throw new InvalidJsonError("Expected Unicode text, found a lone surrogate");
    return JSON.stringify(value);
  }
  if (value instanceof JsonNumber) {
    const number = Number(value.lexeme);
    if (!Number.isFinite(number)) throw new InvalidJsonError(`Expected a double, found ${value.lexeme}`);
    return String(number);
  }
  if (isJsonArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (isJsonObject(value)) {
    const names = [...value.keys()].sort(compareUnits);
    return `{${names.map((name) => `${canonicalJson(name)}:${canonicalJson(value.get(name)!)}`).join(",")}}`;
  }
  return String(value);
}

const compareUnits = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
