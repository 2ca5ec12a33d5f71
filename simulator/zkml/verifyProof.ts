import { type G1Point, type Groth16Proof, pairingIsOne, toG1, toG2 } from "./curve.ts";
import { SCALAR_FIELD } from "./field.ts";
import type { VerifyingKey } from "./keys/ShapeKey.ts";

/**
 * Checks a proof as the shape's contract does: e(−A, B) · e(α, β) · e(M + Σ signal_i · IC_i, γ) · e(C, δ) = 1. Takes about 0.3 s.
 *
 * @param commitment The model's point M, which {@link commitmentOf} gives.
 * @param signals Output words, context, input words.
 * @returns false for anything that is no proof of these signals, whatever is wrong with it.
 */
export function verifyProof(
  key: VerifyingKey,
  commitment: G1Point,
  proof: Groth16Proof,
  signals: readonly bigint[],
): boolean {
  if (signals.length !== key.requestSignals || signals.some((signal) => signal < 0n || signal >= SCALAR_FIELD)) {
    return false;
  }
  const points = parsePoints(commitment, proof);
  if (!points) return false;
  const { a, b, c, m } = points;
  const sum = signals.reduce((total, signal, i) => {
    // noble refuses to multiply by 0
    return signal === 0n ? total : total.add(toG1(key.ic[i + 1] as G1Point).multiplyUnsafe(signal));
  }, m);
  return pairingIsOne([
    [a.negate(), b],
    [toG1(key.alpha1), toG2(key.beta2)],
    [sum, toG2(key.gamma2)],
    [c, toG2(key.delta2)],
  ]);
}

function parsePoints(commitment: G1Point, { a, b, c }: Groth16Proof) {
  try {
    return { a: toG1(a), b: toG2(b), c: toG1(c), m: toG1(commitment) };
  } catch {
    return undefined;
  }
}
