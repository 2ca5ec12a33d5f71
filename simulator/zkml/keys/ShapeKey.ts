import type { Hex } from "../../receipts/types.ts";
import { toHex } from "../../receipts/bytes.ts";
import { keccak256 } from "../../receipts/keccak.ts";
import { type G1Point, type G2Point, G2_GENERATOR, samePoint } from "../curve.ts";
import { elementsBE } from "../field.ts";
import { hashChain } from "../hashChain.ts";
import type { Shape } from "../shape.ts";
import { ZkFormatError } from "../ZkError.ts";
import { readZkey } from "./readZkey.ts";

/** The verification key of a shape: what its verifier contract has as constants, and the bases of model commitments. */
export interface ShapeKey {
  shape: Shape;
  /** Public signals that differ from proof to proof: output words, context, input words. */
  requestSignals: number;
  alpha1: G1Point;
  beta2: G2Point;
  gamma2: G2Point;
  delta2: G2Point;
  /**
   * IC_0, then a point for each request signal. A model's commitment already contains IC_0 (M = IC_0 + Σ w_j · IC_w[j]), so a verifier
   * begins its sum with M; only who recomputes M needs IC_0.
   */
  ic: readonly G1Point[];
  /** The IC points of the model vector's entries, 64 bytes each: x ‖ y, big-endian. */
  modelBases: Uint8Array;
  /** Hash chain over `modelBases`, in the chunks of the weights' chain. */
  basesHash: Hex;
  /** Made alone, from a public seed: anybody can forge proofs for it. */
  development: boolean;
}

/** What proofs are checked with: without what only commitments need. */
export type VerifyingKey = Omit<ShapeKey, "shape" | "modelBases" | "development">;

export const BASE_BYTES = 64;

/** keccak256 over every point of the key: two keys with one digest verify the same proofs. */
export function keyDigest({ alpha1, beta2, gamma2, delta2, ic, basesHash }: VerifyingKey): Hex {
  const points = elementsBE([...alpha1, ...beta2, ...gamma2, ...delta2, ...ic.flat()]);
  return keccak256(Buffer.concat([points, Buffer.from(basesHash.slice(2), "hex")]));
}

/**
 * Reads the verification key out of a zkey.
 *
 * @throws ZkFormatError when it is none, is of another circuit, or was never contributed to: with delta equal to gamma, as `zkey new`
 * leaves it, anybody can forge proofs.
 */
export function readShapeKey(shape: Shape, zkey: Uint8Array): ShapeKey {
  const { alpha1, beta2, gamma2, delta1, delta2, ic, contributions } = readZkey(zkey);
  const publicSignals = shape.requestSignals + shape.modelLength;
  if (ic.length !== publicSignals + 1) {
    throw new ZkFormatError(
      `Expected a key of shape ${shape.name} with ${publicSignals} public signals, found ${ic.length - 1}`,
    );
  }
  if (samePoint(delta2, gamma2) || samePoint(delta1, [1n, 2n])) {
    throw new ZkFormatError(
      "Expected delta to differ from gamma: this key has no contribution, so anybody can forge its proofs",
    );
  }
  if (!samePoint(gamma2, G2_GENERATOR)) {
    throw new ZkFormatError("Expected gamma to be the generator of G2, as snarkjs's setup makes it");
  }
  const modelBases = elementsBE(ic.slice(1 + shape.requestSignals).flat());
  return {
    shape,
    requestSignals: shape.requestSignals,
    alpha1,
    beta2,
    gamma2,
    delta2,
    ic: ic.slice(0, 1 + shape.requestSignals),
    modelBases,
    basesHash: hashChain(modelBases, BASE_BYTES),
    development: contributions === 0,
  };
}

/** Entry `index` of the bases. */
export function modelBase({ modelBases }: ShapeKey, index: number): G1Point {
  const hex = toHex(modelBases.subarray(index * BASE_BYTES, (index + 1) * BASE_BYTES));
  return [BigInt(hex.slice(0, 66)), BigInt(`0x${hex.slice(66)}`)];
}
