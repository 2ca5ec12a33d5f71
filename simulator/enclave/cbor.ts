/** A writer of CBOR (RFC 8949) for what a Nitro Secure Module emits. Pieces are encoded items, ready to be joined. */

export type CborEntry = readonly [key: Uint8Array, value: Uint8Array];

export const CBOR_NULL = Buffer.from("f6", "hex");

const BREAK = 0xff;

/** Major type and argument in the fewest bytes. */
export function head(majorType: number, argument: number | bigint): Buffer {
  const value = BigInt(argument);
  if (value < 24n) return Buffer.of((majorType << 5) | Number(value));
  const width = [0, 1, 2, 3].find((log) => value < 1n << (8n << BigInt(log)));
  if (width === undefined) throw new RangeError(`Expected an argument of at most 64 bits, found ${value}`);
  const argumentBytes = Buffer.alloc(8);
  argumentBytes.writeBigUInt64BE(value);
  return Buffer.concat([Uint8Array.of((majorType << 5) | (24 + width)), argumentBytes.subarray(8 - (1 << width))]);
}

export const unsigned = (value: number | bigint): Buffer => head(0, value);
export const bytes = (value: Uint8Array): Buffer => Buffer.concat([head(2, value.byteLength), value]);
export const text = (value: string): Buffer => {
  const utf8 = Buffer.from(value, "utf8");
  return Buffer.concat([head(3, utf8.byteLength), utf8]);
};
export const array = (...items: readonly Uint8Array[]): Buffer => Buffer.concat([head(4, items.length), ...items]);
export const map = (entries: readonly CborEntry[]): Buffer =>
  Buffer.concat([head(5, entries.length), ...entries.flat()]);

/** A map that ends with a break instead of saying its length: how Nitro hardware has written its payload since 2025. */
export const indefiniteMap = (entries: readonly CborEntry[]): Buffer =>
  Buffer.concat([Uint8Array.of(0xbf), ...entries.flat(), Uint8Array.of(BREAK)]);

/** An unsigned integer in 8 bytes, however small: a document's timestamp. */
export function unsigned64(value: number | bigint): Buffer {
  const item = Buffer.alloc(9);
  item[0] = 0x1b;
  item.writeBigUInt64BE(BigInt(value), 1);
  return item;
}
