import { isJsonArray, isJsonObject, JsonNumber, type Json } from "./json.ts";

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
    let members = "";
    for (const name of [...value.keys()].sort(compareCodePoints)) {
      members += `${members && ", "}${pythonString(name)}: ${pythonJson(value.get(name)!)}`;
    }
    return `{${members}}`;
  }
  return String(value);
}

/**
 * `repr(float)` of Python: the shortest digits that read back as the same double, as in ECMAScript, but always with a fraction or an
 * exponent, and with the exponent from 1e16 up and below 1e-4.
 */
export function pythonFloat(value: number): string {
  if (Number.isSafeInteger(value) && !Object.is(value, -0)) return `${value}.0`;
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

const PLAIN = /^[ !#-[\]-~]*$/;

// JSON.stringify escapes quotes, control characters and lone surrogates as Python does; DEL and above are left.
const pythonString = (text: string): string =>
  PLAIN.test(text)
    ? `"${text}"`
    : JSON.stringify(text).replace(
        /[\u007f-\uffff]/g,
        (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
      );

/** By code points, as Python compares: not the order of UTF-16 units where a surrogate meets U+E000…U+FFFF or one without its other half. */
function compareCodePoints(a: string, b: string): number {
  for (let i = 0; i < a.length && i < b.length; i++) {
    const [x, y] = [a.charCodeAt(i), b.charCodeAt(i)];
    if (x === y) continue;
    // a pair on either side begins one unit before where they differ in its second half
    const at = i > 0 && isHighSurrogate(a.charCodeAt(i - 1)) && (isLowSurrogate(x) || isLowSurrogate(y)) ? i - 1 : i;
    return a.codePointAt(at)! - b.codePointAt(at)!;
  }
  return a.length - b.length;
}

const isHighSurrogate = (unit: number): boolean => unit >= 0xd800 && unit <= 0xdbff;
const isLowSurrogate = (unit: number): boolean => unit >= 0xdc00 && unit <= 0xdfff;
