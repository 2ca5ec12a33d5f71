import { InvalidArgumentError } from "commander";

/** Parses a whole number within bounds, for commander. */
export function wholeNumber(minimum: number, maximum: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < minimum || value > maximum) {
      throw new InvalidArgumentError(`Expected a whole number from ${minimum} to ${maximum}, found "${text}".`);
    }
    return value;
  };
}

/** Parses an http(s) URL, for commander. */
export function httpUrl(text: string): string {
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol)) {
    throw new InvalidArgumentError(`Expected an http(s) URL, found "${text}".`);
  }
  return text;
}

/** Parses a 32-byte private key, for commander. */
export function privateKey(text: string): `0x${string}` {
  if (!/^0x[0-9a-fA-F]{64}$/.test(text)) {
    throw new InvalidArgumentError("Expected a private key of 32 bytes as 0x and 64 hex digits.");
  }
  return text as `0x${string}`;
}
