import { createHash } from "node:crypto";

import { p384 } from "@noble/curves/nist.js";

const { p: P, n: N } = p384.Point.CURVE();
const LIMIT = 1n << 384n;
const LOW = (1n << 256n) - 1n;

export { P, N };

export interface SignatureCase {
  name: string;
  digest: Uint8Array;
  signature: Uint8Array;
  publicKey: Uint8Array;
}

/** Bytes from a seed, the same on every machine. */
export class Random {
  #count = 0n;

  constructor(private readonly seed: string) {}

  bytes(length: number): Uint8Array {
    const blocks: Buffer[] = [];
    for (let have = 0; have < length; have += 64)
      blocks.push(createHash("sha512").update(`${this.seed}/${this.#count++}`).digest());
    return Uint8Array.from(Buffer.concat(blocks).subarray(0, length));
  }

  /** Of 0 … limit - 1, for a limit of at most 2^384. */
  below(limit: bigint): bigint {
    return toInteger(this.bytes(64)) % limit;
  }

  of<T>(items: readonly T[]): T {
    return items[Number(this.below(BigInt(items.length)))]!;
  }
}

export const toInteger = (bytes: Uint8Array) => BigInt(`0x${Buffer.from(bytes).toString("hex") || "0"}`);

export const toBytes = (value: bigint) => Uint8Array.from(Buffer.from(value.toString(16).padStart(96, "0"), "hex"));

export const join = (...parts: readonly Uint8Array[]) => Uint8Array.from(Buffer.concat(parts));

const modulo = (value: bigint, m: bigint) => ((value % m) + m) % m;

const inverse = (value: bigint, m: bigint): bigint => {
  let [a, b, x, y] = [modulo(value, m), m, 1n, 0n];
  while (b !== 0n) [a, b, x, y] = [b, a % b, y, x - (a / b) * y];
  return modulo(x, m);
};

export type Point = InstanceType<typeof p384.Point>;

export const G = p384.Point.BASE;

export const times = (k: bigint, point: Point = G): Point => {
  const scalar = modulo(k, N);
  return scalar === 0n ? p384.Point.ZERO : point.multiplyUnsafe(scalar);
};

export const keyOf = (point: Point) => point.toBytes(false).slice(1);

/**
 * A case for which u1 = digest / s and u2 = r / s are given. Valid when `sum` is u1 G + u2 key, which is the default; when that is infinity, r is 1
 * and the case is invalid.
 */
export function caseOf(
  name: string,
  u1: bigint,
  u2: bigint,
  key: Point,
  sum = times(u1).add(times(u2, key)),
): SignatureCase {
  const r = sum.is0() ? 1n : sum.toAffine().x % N;
  const s = modulo(r * inverse(u2, N), N);
  return { name, digest: toBytes(modulo(u1 * s, N)), signature: join(toBytes(r), toBytes(s)), publicKey: keyOf(key) };
}

/** A valid case whose point R is given though nobody knows its logarithm: the key is made to fit, Q = (s R - e G) / r. */
export function caseOfPoint(name: string, point: Point, s: bigint, e: bigint): SignatureCase {
  const r = point.toAffine().x % N;
  const key = times(inverse(r, N), times(s, point).subtract(times(e)));
  return { name, digest: toBytes(e), signature: join(toBytes(r), toBytes(s)), publicKey: keyOf(key) };
}

/** What noble says, which throws for some malformed input. */
export function isValidByNoble({ digest, signature, publicKey }: SignatureCase): boolean {
  try {
    return p384.verify(signature, digest, join(Uint8Array.of(4), publicKey), { prehash: false, lowS: false });
  } catch {
    return false;
  }
}

export function randomCase(random: Random, name = "random"): SignatureCase {
  const secret = toBytes(1n + random.below(N - 1n));
  const digest = random.bytes(48);
  const signature = p384.sign(digest, secret, { prehash: false, lowS: false });
  return { name, digest, signature, publicKey: p384.getPublicKey(secret, false).slice(1) };
}

/** A signature case with one bit of one of its parts flipped. */
export function flipped(random: Random, valid: SignatureCase): SignatureCase {
  const part = random.of(["digest", "signature", "publicKey"] as const);
  const bytes = Uint8Array.from(valid[part]);
  const bit = Number(random.below(BigInt(8 * bytes.length)));
  bytes[bit >> 3]! ^= 1 << (bit & 7);
  return { ...valid, [part]: bytes, name: `${valid.name}, bit ${bit} of ${part} flipped` };
}

/**
 * Cases whose partial sums meet: scalars and keys that are small, close to a power of two, or close to n, so that the accumulator is often the
 * addend, its opposite, or infinity.
 */
export function collidingCase(random: Random): SignatureCase {
  const small = () => random.below(40n) - 20n;
  const scalar = () =>
    random.of([
      () => small(),
      () => (1n << random.below(384n)) + small(),
      () => -(1n << random.below(384n)) + small(),
      () => (1n << random.below(384n)) - (1n << random.below(384n)),
    ])();
  const k = random.of([
    1n,
    -1n,
    2n,
    -2n,
    3n,
    5n,
    15n,
    -15n,
    17n,
    127n,
    -127n,
    128n,
    1n << 5n,
    1n << 8n,
    inverse(2n, N),
  ]);
  const u1 = modulo(scalar(), N);
  // u1 G + u2 Q is anything, small, or infinity
  const u2 =
    modulo(random.of([() => scalar(), () => (small() - u1) * inverse(k, N), () => -u1 * inverse(k, N)])(), N) || 1n;
  return caseOf(`u1 = ${u1}, u2 = ${u2}, key = ${k} G`, u1, u2, times(k));
}

/** Field operations in the order of P384FieldHarness.Operation. */
export const OPERATIONS: readonly { name: string; of: (a: bigint, b: bigint, c: bigint, d: bigint) => bigint }[] = [
  { name: "mul", of: (a, b) => a * b },
  { name: "sqr", of: (a) => a * a },
  { name: "mulSub", of: (a, b, c) => a * b - c },
  { name: "mulSubTwice", of: (a, b, c) => a * b - 2n * c },
  { name: "sqrSubTwice", of: (a, _b, c) => a * a - 2n * c },
  { name: "sqrSubSum", of: (a, _b, c, d) => a * a - c - 2n * d },
  { name: "sub", of: (a, b) => a - b },
  { name: "twice", of: (a) => 2n * a },
  { name: "tripleSum", of: (a, b) => 3n * (a + b) },
  { name: "twiceDifference", of: (a, b) => 2n * (a - b) },
];

export type FieldCase = readonly [a: bigint, b: bigint, c: bigint, d: bigint];

export const expected = (operation: number, numbers: FieldCase) => modulo(OPERATIONS[operation]!.of(...numbers), P);

export const toWords = (cases: readonly FieldCase[]) =>
  cases.flatMap((numbers) => numbers.flatMap((value) => [value >> 256n, value & LOW]));

export const fromWords = (words: readonly bigint[]) =>
  Array.from({ length: words.length / 2 }, (_, index) => (words[2 * index]! << 256n) | words[2 * index + 1]!);

export const FIELD_EDGES: readonly bigint[] = [
  ...[0n, 1n, 2n, 3n],
  ...[31n, 32n, 64n, 96n, 127n, 128n, 129n, 192n, 255n, 256n, 257n, 320n, 352n, 383n].flatMap((bit) =>
    [-1n, 0n, 1n].map((offset) => (1n << bit) + offset),
  ),
  ...[1n, 2n, 3n, 1n << 32n, 1n << 128n, 1n << 129n, 1n << 256n, 1n << 351n, 1n << 352n, 1n << 353n].map(
    (gap) => P - gap,
  ),
  ...[P >> 1n, (P >> 1n) + 1n, P / 3n, (2n * P) / 3n + 1n, N, N - 1n],
].filter((value) => value < P);

/** Near an edge, of long runs of equal bits, or uniform. */
export function fieldNumber(random: Random): bigint {
  return random.of([
    () => modulo(random.of(FIELD_EDGES) + random.below(1n << random.below(300n)), P),
    () => modulo(random.of(FIELD_EDGES) - random.below(1n << random.below(300n)), P),
    () => {
      let value = 0n;
      for (let bit = 0n; bit < 384n; bit += 1n + random.below(80n)) value ^= (1n << (384n - bit)) - 1n;
      return modulo(value, P);
    },
    () => random.below(P),
  ])();
}

/**
 * a, b and c such that a b + (p - c), which `mulSub` reduces, is exactly `target`: quotients and remainders at their limits cannot be hit by choosing
 * factors alone.
 */
export function productOf(random: Random, target: bigint): FieldCase {
  const least = target / (P - 1n) + 1n;
  const a = least >= P ? P - 1n : least + random.below(P - least);
  const b = (target - 1n) / a;
  return [a, b, P - (target - a * b), 0n];
}

/** Targets whose reduction is at a limit: quotients and remainders close to powers of two and to multiples of p. */
export function productTarget(random: Random): bigint {
  const near = random.below(1n << random.below(130n)) * random.of([1n, -1n]);
  const limit = (P - 1n) * (P - 1n);
  const target = random.of([
    () =>
      random.below(1n << random.below(385n)) * P + random.of([0n, 1n, P - 1n, -1n, LIMIT - P, P - (1n << 256n)]) + near,
    () => (random.below(1n << random.below(385n)) + 1n) * LIMIT + near,
    () => limit - random.below(1n << random.below(769n)),
    () => ((random.below(1n << 128n) << 256n) + random.of([0n, LOW]) + near) * LIMIT + random.of([0n, 1n, LIMIT - 1n]),
    () => (1n << random.below(768n)) + near,
  ])();
  return modulo(target - 1n, limit) + 1n;
}
