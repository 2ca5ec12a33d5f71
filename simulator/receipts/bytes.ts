import type { Hex } from "./types.ts";

/** A value does not fit where it has to be encoded. */
export class EncodingError extends Error {
  override readonly name = "EncodingError";
  readonly code = "encoding_error";
}

export const toHex = (bytes: Uint8Array): Hex =>
  `0x${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex")}`;

/** @throws EncodingError unless `hex` is 0x-prefixed hexadecimal (of `length` bytes when given). */
export function fromHex(hex: string, length?: number): Buffer {
  const bytes = Buffer.from(hex.slice(2), "hex");
  // Buffer.from stops at the first bad digit instead of failing
  if (!hex.startsWith("0x") || bytes.length * 2 + 2 !== hex.length || (length ?? bytes.length) !== bytes.length) {
    throw new EncodingError(`Expected ${length ?? "whole"} bytes of 0x-prefixed hexadecimal, found ${hex}`);
  }
  return bytes;
}

/** Writes `hex` (at most 32 bytes) right-aligned into the 32-byte word at `offset`, as abi.encode does with addresses. */
export function putWord(target: Buffer, offset: number, hex: Hex, length: 20 | 32): void {
  const start = offset + 32 - length;
  if (hex.length !== 2 + 2 * length || target.write(hex.slice(2), start, length, "hex") !== length) {
    throw new EncodingError(`Expected ${length} bytes of hexadecimal, found ${hex}`);
  }
  if (start > offset) target.fill(0, offset, start);
}

const word = new Uint8Array(32);
const wordView = new DataView(word.buffer);

/** Writes an unsigned integer of at most `bits` ≤ 128 bits into the 32-byte word at `offset`. */
export function putUint(target: Buffer, offset: number, value: bigint | number, bits: number): void {
  const wide = BigInt(value);
  if (wide < 0n || wide >> BigInt(bits) !== 0n) {
    throw new EncodingError(`Expected an unsigned integer of ${bits} bits, found ${wide}`);
  }
  // each takes its lowest 64 bits; Buffer's own writers are several times slower
  wordView.setBigUint64(16, wide >> 64n);
  wordView.setBigUint64(24, wide);
  target.set(word, offset);
}
