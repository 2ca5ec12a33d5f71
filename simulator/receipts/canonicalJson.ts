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

/**
 * What Python's `json.dumps(value, sort_keys=True)` prints for the value that `json.loads` read from the same text: separators
 * ", " and ": ", everything beyond ASCII as \uxxxx, members sorted by code point, integers unlimited, floats by `repr`.
 */
export function pythonJson(value: Json): string {
  if (typeof value === "string") return pythonString(value);
  if (value instanceof JsonNumber) {
    return value.isInteger ? BigInt(value.lexeme).toString() : pythonFloat(Number(value.lexeme));
  }
  if (isJsonArray(value)) return `[${value.map(pythonJson).join(", ")}]`;
  if (isJsonObject(value)) {
    const names = [...value.keys()].sort(compareCodePoints);
    return `{${names.map((name) => `${pythonString(name)}: ${pythonJson(value.get(name)!)}`).join(", ")}}`;
  }
  return String(value);
}

/**
 * `repr(float)` of Python: the shortest digits that read back as the same double, as in ECMAScript, but always with a fraction or an
 * exponent, and with the exponent from 1e16 up and below 1e-4.
 */
export function pythonFloat(value: number): string {
  if (!Number.isFinite(value)) return value > 0 ? "Infinity" : value < 0 ? "-Infinity" : "NaN";
  const [, sign, first, rest = "", power] = /^(-?)(\d)(?:\.(\d+))?e([+-]\d+)$/.exec(exponential(value))!;
  const exponent = Number(power);
  const digits = first! + rest;
  if (exponent < -4 || exponent >= 16) {
    const magnitude = String(Math.abs(exponent)).padStart(2, "0");
    return `${sign}${first}${rest && `.${rest}`}e${exponent < 0 ? "-" : "+"}${magnitude}`;
  }
  if (exponent < 0) return `${sign}0.${"0".repeat(-exponent - 1)}${digits}`;
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, "0");
  return `${sign}${whole}.${digits.slice(exponent + 1) || "0"}`;
}

/** toExponential drops the sign of zero. */
const exponential = (value: number): string => (Object.is(value, -0) ? "-0e+0" : value.toExponential());

// JSON.stringify escapes quotes, control characters and lone surrogates as Python does; DEL and above are left.
const pythonString = (text: string): string =>
  JSON.stringify(text).replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);

const compareUnits = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** Differs from the order of UTF-16 units where a surrogate meets U+E000…U+FFFF. */
function compareCodePoints(a: string, b: string): number {
  for (let i = 0; i < a.length && i < b.length; i++) {
    const [x, y] = [a.charCodeAt(i), b.charCodeAt(i)];
    if (x !== y) return isSurrogate(x) === isSurrogate(y) ? x - y : a.codePointAt(i)! - b.codePointAt(i)!;
  }
  return a.length - b.length;
}

const isSurrogate = (unit: number): boolean => unit >= 0xd800 && unit <= 0xdfff;
