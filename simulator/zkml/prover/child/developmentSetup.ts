import { createHash } from "node:crypto";
import { buildBn128 } from "ffjavascript";

import type { Circuit } from "../../circuit/networkCircuit.ts";
import { domainPower } from "../../circuit/networkCircuit.ts";
import { inverse, mod, SCALAR_FIELD } from "../../field.ts";
import { FixedBase } from "./FixedBase.ts";
import { lagrangeAt, matricesAt } from "./qap.ts";
import { zkeyFile } from "./zkeyFile.ts";

/** What a setup draws at random and must forget. Whoever knows one of them can prove anything. */
interface Secrets {
  tau: bigint;
  alpha: bigint;
  beta: bigint;
  delta: bigint;
}

/**
 * A Groth16 proving key whose secrets follow from a public seed, so that everybody gets the same key, and anybody can forge proofs for it:
 * for development only. It has no contribution, which is how readers recognise it.
 *
 * @returns snarkjs's zkey.
 */
export async function developmentSetup(circuit: Circuit, seed: string): Promise<Uint8Array> {
  const curve = await buildBn128(true);
  const { tau, alpha, beta, delta } = secretsOf(seed);
  const power = domainPower(circuit);
  const domain = 2 ** power;
  const root = (order: number) => curve.Fr.toObject(curve.Fr.w[order] as Uint8Array);
  const { a, b, c } = matricesAt(circuit, lagrangeAt(tau, domain, root(power)));

  const perDelta = inverse(delta);
  const linear = a.map((value, wire) => mod(beta * value + alpha * (b[wire] as bigint) + (c[wire] as bigint)));
  const publicWires = circuit.publicSignals + 1;
  // the quotient's basis is the odd half of the Lagrange basis of twice the domain: snarkjs evaluates it on the coset
  const fine = lagrangeAt(tau, 2 * domain, root(power + 1));
  const quotient = Array.from({ length: domain }, (_, i) => mod((fine[2 * i + 1] as bigint) * perDelta));

  const g1 = new FixedBase(curve, "G1");
  const g2 = new FixedBase(curve, "G2");
  return zkeyFile(circuit, {
    alpha1: g1.multiply([alpha]),
    beta1: g1.multiply([beta]),
    beta2: g2.multiply([beta]),
    gamma2: g2.multiply([1n]),
    delta1: g1.multiply([delta]),
    delta2: g2.multiply([delta]),
    ic: g1.multiply(linear.slice(0, publicWires)),
    a: g1.multiply(a),
    b1: g1.multiply(b),
    b2: g2.multiply(b),
    c: g1.multiply(linear.slice(publicWires).map((value) => mod(value * perDelta))),
    h: g1.multiply(quotient),
  });
}

function secretsOf(seed: string): Secrets {
  const secret = (name: string) => {
    const digest = createHash("sha512")
      .update(`opengradient/zkml/insecure-development-setup/1/${seed}/${name}`)
      .digest();
    return BigInt(`0x${digest.toString("hex")}`) % SCALAR_FIELD;
  };
  return { tau: secret("tau"), alpha: secret("alpha"), beta: secret("beta"), delta: secret("delta") };
}
