import { bn254 } from "@noble/curves/bn254.js";
import { toHex } from "../receipts/bytes.ts";
import type { Hex } from "../receipts/types.ts";
import { BASE_FIELD, elementsBE } from "./field.ts";

/** An affine point of G1, (0, 0) for the identity, as the EVM has it. */
export type G1Point = readonly [x: bigint, y: bigint];
/** An affine point of G2 in the EVM's order: x's imaginary and real part, then y's. */
export type G2Point = readonly [xIm: bigint, xRe: bigint, yIm: bigint, yRe: bigint];

/** A proof as contracts take it. */
export interface Groth16Proof {
  a: G1Point;
  b: G2Point;
  c: G1Point;
}

const G1 = bn254.G1.Point;
const G2 = bn254.G2.Point;
type G1Element = InstanceType<typeof G1>;
type G2Element = InstanceType<typeof G2>;

export const G2_GENERATOR: G2Point = fromG2(G2.BASE);

/** @throws Error when the coordinates are not below the field's order or not on the curve. */
export function toG1([x, y]: G1Point): G1Element {
  if (x === 0n && y === 0n) return G1.ZERO;
  const point = G1.fromAffine({ x, y });
  point.assertValidity();
  return point;
}

/** @throws Error when the coordinates are out of range, off the curve or outside the subgroup of order R. */
export function toG2([xIm, xRe, yIm, yRe]: G2Point): G2Element {
  const coordinates = [xIm, xRe, yIm, yRe];
  if (coordinates.every((coordinate) => coordinate === 0n)) return G2.ZERO;
  // noble would reduce them
  if (coordinates.some((coordinate) => coordinate < 0n || coordinate >= BASE_FIELD)) {
    throw new Error("A coordinate is not below the field's order");
  }
  const { Fp2 } = bn254.fields;
  const point = G2.fromAffine({ x: Fp2.create({ c0: xRe, c1: xIm }), y: Fp2.create({ c0: yRe, c1: yIm }) });
  point.assertValidity();
  return point;
}

export function fromG1(point: G1Element): G1Point {
  if (point.is0()) return [0n, 0n];
  const { x, y } = point.toAffine();
  return [x, y];
}

function fromG2(point: G2Element): G2Point {
  const { x, y } = point.toAffine();
  return [x.c1, x.c0, y.c1, y.c0];
}

/** Whether Π e(g1, g2) is one. */
export function pairingIsOne(pairs: readonly (readonly [G1Element, G2Element])[]): boolean {
  const { Fp12 } = bn254.fields;
  const terms = pairs.filter(([g1, g2]) => !g1.is0() && !g2.is0()).map(([g1, g2]) => ({ g1, g2 }));
  return terms.length === 0 || Fp12.eql(bn254.pairingBatch(terms), Fp12.ONE);
}

export const samePoint = (a: readonly bigint[], b: readonly bigint[]): boolean =>
  a.length === b.length && a.every((coordinate, i) => coordinate === b[i]);

/** Coordinates as 32 bytes each, big-endian. */
export const pointHex = (point: G1Point | G2Point): Hex => toHex(elementsBE(point));
