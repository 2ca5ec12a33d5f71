import { createHash } from "node:crypto";

import { bn254 } from "@noble/curves/bn254.js";

import { fromG1, type G1Point, type G2Point, type Groth16Proof, toG1 } from "../../simulator/zkml/curve.ts";
import { inverse, mod, SCALAR_FIELD } from "../../simulator/zkml/field.ts";
import { developmentSeed } from "../../simulator/zkml/keys/KeyStore.ts";
import type { ShapeKey } from "../../simulator/zkml/keys/ShapeKey.ts";

const G1 = bn254.G1.Point.BASE;
const G2 = bn254.G2.Point.BASE;

/**
 * A proof of anything, true or not, such as anybody can make who knows the secrets of a key's setup; those of development keys follow from a public
 * seed. What it proves it proves as well as the prover's, in a hundredth of the time.
 *
 * @param salt Another one gives another proof of the same.
 */
export function forgedProof(
  key: ShapeKey,
  commitment: G1Point,
  signals: readonly bigint[],
  salt: number | string = 0,
): Groth16Proof {
  const secret = (name: string) =>
    scalar(`opengradient/zkml/insecure-development-setup/1/${developmentSeed(key.shape)}/${name}`);
  const [alpha, beta, delta] = [secret("alpha"), secret("beta"), secret("delta")];
  const [a, b] = [scalar(`a ${salt} ${signals.join()}`), scalar(`b ${salt}`)];
  // c · delta = a · b − alpha · beta − (M + Σ signal · IC), for gamma is the generator
  const sum = signals.reduce(
    (total, signal, i) => (signal === 0n ? total : total.add(toG1(key.ic[i + 1] as G1Point).multiply(signal))),
    toG1(commitment),
  );
  const c = G1.multiply(mod(a * b - alpha * beta))
    .subtract(sum)
    .multiply(inverse(delta));
  return { a: fromG1(G1.multiply(a)), b: evmG2(G2.multiply(b)), c: fromG1(c) };
}

/** The same proof in other clothes: (r·A, B/r, C) holds whenever (A, B, C) does, and anybody can make it. */
export function rerandomised({ a, b, c }: Groth16Proof, factor = 7n): Groth16Proof {
  const [xIm, xRe, yIm, yRe] = b;
  const { Fp2 } = bn254.fields;
  const point = bn254.G2.Point.fromAffine({
    x: Fp2.create({ c0: xRe, c1: xIm }),
    y: Fp2.create({ c0: yRe, c1: yIm }),
  });
  return { a: fromG1(toG1(a).multiply(factor)), b: evmG2(point.multiply(inverse(factor))), c };
}

function scalar(text: string): bigint {
  return BigInt(`0x${createHash("sha512").update(text).digest("hex")}`) % SCALAR_FIELD;
}

function evmG2(point: typeof G2): G2Point {
  const { x, y } = point.toAffine();
  return [x.c1, x.c0, y.c1, y.c0];
}

/** A point of the twist y² = x³ + 3 / (9 + i) that is not in the subgroup which pairings are defined for. */
export const OUTSIDE_SUBGROUP: G2Point = outsideSubgroup();

function outsideSubgroup(): G2Point {
  const { Fp2 } = bn254.fields;
  for (let x = 1n; ; x++) {
    const c = Fp2.create({ c0: x, c1: 0n });
    const square = Fp2.add(Fp2.mul(Fp2.sqr(c), c), bn254.G2.Point.CURVE().b);
    let y;
    try {
      y = Fp2.sqrt(square);
    } catch {
      // no point has this x
      continue;
    }
    const point = bn254.G2.Point.fromAffine({ x: c, y });
    if (!point.isTorsionFree()) return evmG2(point);
  }
}
