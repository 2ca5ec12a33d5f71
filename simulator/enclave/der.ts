/** A writer of DER (X.690): what certificates need, each value with its shortest length. */

/** One tag-length-value. Tests give lengths and contents of their own to make what DER forbids. */
export function tlv(tag: number, ...content: readonly Uint8Array[]): Buffer {
  const length = content.reduce((sum, { byteLength }) => sum + byteLength, 0);
  return Buffer.concat([Uint8Array.of(tag), lengthOctets(length), ...content]);
}

function lengthOctets(length: number): Uint8Array {
  if (length < 0x80) return Uint8Array.of(length);
  const octets: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) octets.unshift(rest % 256);
  return Uint8Array.of(0x80 | octets.length, ...octets);
}

export const sequence = (...items: readonly Uint8Array[]): Buffer => tlv(0x30, ...items);
export const set = (item: Uint8Array): Buffer => tlv(0x31, item);
export const boolean = (value: boolean): Buffer => tlv(0x01, Uint8Array.of(value ? 0xff : 0));
export const octetString = (value: Uint8Array): Buffer => tlv(0x04, value);
export const utf8String = (value: string): Buffer => tlv(0x0c, Buffer.from(value, "utf8"));
export const printableString = (value: string): Buffer => tlv(0x13, Buffer.from(value, "latin1"));

/** `[number]` around values: constructed, context-specific. */
export const explicit = (number: number, ...content: readonly Uint8Array[]): Buffer => tlv(0xa0 | number, ...content);
/** `[number]` instead of a primitive's own tag. */
export const implicit = (number: number, content: Uint8Array): Buffer => tlv(0x80 | number, content);

/** Non-negative INTEGER from its magnitude, big-endian. */
export function integer(magnitude: Uint8Array | number): Buffer {
  const bytes = typeof magnitude === "number" ? Uint8Array.of(magnitude) : magnitude;
  const first = bytes.findIndex((byte) => byte !== 0);
  const shortest = first < 0 ? Uint8Array.of(0) : bytes.subarray(first);
  return shortest[0]! & 0x80 ? tlv(0x02, Uint8Array.of(0), shortest) : tlv(0x02, shortest);
}

export const bitString = (value: Uint8Array, unusedBits = 0): Buffer => tlv(0x03, Uint8Array.of(unusedBits), value);

/** Named bits as a BIT STRING without trailing zeros, bit 0 first. At most 9 bits, as in KeyUsage. */
export function namedBits(bits: readonly number[]): Buffer {
  if (bits.length === 0) return bitString(Buffer.alloc(0));
  const last = Math.max(...bits);
  const bytes = Buffer.alloc((last >> 3) + 1);
  for (const bit of bits) bytes[bit >> 3]! |= 0x80 >> (bit & 7);
  return bitString(bytes, 7 - (last & 7));
}

/** OBJECT IDENTIFIER from its dotted form. */
export function objectIdentifier(dotted: string): Buffer {
  const [first, second, ...arcs] = dotted.split(".").map(Number);
  const bytes = [first! * 40 + second!, ...arcs].flatMap((arc) => {
    const groups = [arc & 0x7f];
    for (let rest = arc >>> 7; rest > 0; rest >>>= 7) groups.unshift(0x80 | (rest & 0x7f));
    return groups;
  });
  return tlv(0x06, Uint8Array.from(bytes));
}

/** A certificate's Time: UTCTime through 2049, GeneralizedTime after (RFC 5280, 4.1.2.5). @param seconds unix. */
export function time(seconds: number): Buffer {
  const date = new Date(seconds * 1000);
  const digits = date.toISOString().replace(/[-:T]/g, "").slice(0, 14);
  const isShort = date.getUTCFullYear() >= 1950 && date.getUTCFullYear() < 2050;
  return isShort ? tlv(0x17, Buffer.from(`${digits.slice(2)}Z`)) : tlv(0x18, Buffer.from(`${digits}Z`));
}
