import type { Linear } from "../../circuit/ConstraintSystem.ts";
import type { Circuit } from "../../circuit/networkCircuit.ts";
import { inverse, inverses, mod, power, SCALAR_FIELD } from "../../field.ts";

/** The Lagrange basis of the domain {root^i}, evaluated at `point` outside of it: root^i · (point^n − 1) / (n · (point − root^i)). */
export function lagrangeAt(point: bigint, domain: number, root: bigint): bigint[] {
  const roots: bigint[] = [];
  let next = 1n;
  for (let i = 0; i < domain; i++) {
    roots.push(next);
    next = (next * root) % SCALAR_FIELD;
  }
  const factor = mod((power(point, BigInt(domain)) - 1n) * inverse(BigInt(domain)));
  const differences = inverses(roots.map((value) => mod(point - value)));
  return roots.map((value, i) => (((value * factor) % SCALAR_FIELD) * (differences[i] as bigint)) % SCALAR_FIELD);
}

/** Each wire's polynomials of the three matrices, evaluated where the Lagrange basis was. */
export interface MatricesAt {
  a: bigint[];
  b: bigint[];
  c: bigint[];
}

/** Beside the constraints, a row wire · 0 = 0 for each public wire makes those polynomials independent, as Groth16's soundness needs. */
export function matricesAt({ constraints, wires, publicSignals }: Circuit, lagrange: readonly bigint[]): MatricesAt {
  const zeros = () => new Array<bigint>(wires).fill(0n);
  const [a, b, c] = [zeros(), zeros(), zeros()];
  const add = (target: bigint[], linear: Linear, row: number) => {
    for (const [wire, coefficient] of linear) {
      target[wire] = ((target[wire] as bigint) + coefficient * (lagrange[row] as bigint)) % SCALAR_FIELD;
    }
  };
  constraints.forEach((constraint, row) => {
    add(a, constraint.a, row);
    add(b, constraint.b, row);
    add(c, constraint.c, row);
  });
  for (let wire = 0; wire <= publicSignals; wire++) add(a, [[wire, 1n]], constraints.length + wire);
  return { a, b, c };
}
