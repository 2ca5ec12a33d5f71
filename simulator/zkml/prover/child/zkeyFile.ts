import { createHash } from "node:crypto";

import type { Wire } from "../../circuit/ConstraintSystem.ts";
import { type Circuit, domainPower } from "../../circuit/networkCircuit.ts";
import { sectionFile, uint32 } from "../../circuit/sections.ts";
import { BASE_FIELD, ELEMENT_BYTES, elementsLE, putElementLE, SCALAR_FIELD } from "../../field.ts";

/** Points of a Groth16 key, affine in Montgomery form, side by side. */
export interface KeyPoints {
  alpha1: Uint8Array;
  beta1: Uint8Array;
  beta2: Uint8Array;
  gamma2: Uint8Array;
  delta1: Uint8Array;
  delta2: Uint8Array;
  /** Of the constant and the public signals. */
  ic: Uint8Array;
  /** Of every wire. */
  a: Uint8Array;
  b1: Uint8Array;
  b2: Uint8Array;
  /** Of the private wires. */
  c: Uint8Array;
  /** Of the quotient polynomial. */
  h: Uint8Array;
}

const GROTH16 = 1;

/** snarkjs's zkey, version 1, without contributions. */
export function zkeyFile(circuit: Circuit, points: KeyPoints): Uint8Array {
  const { alpha1, beta1, beta2, gamma2, delta1, delta2 } = points;
  const sizes = [circuit.wires, circuit.publicSignals, 2 ** domainPower(circuit)].map(uint32);
  const modulus = (value: bigint) => [uint32(ELEMENT_BYTES), elementsLE([value])];
  const noContribution = [createHash("sha512").update("insecure development setup").digest(), uint32(0)];
  return sectionFile("zkey", 1, [
    [1, uint32(GROTH16)],
    [2, ...modulus(BASE_FIELD), ...modulus(SCALAR_FIELD), ...sizes, alpha1, beta1, beta2, gamma2, delta1, delta2],
    [3, points.ic],
    [4, coefficients(circuit)],
    [5, points.a],
    [6, points.b1],
    [7, points.b2],
    [8, points.c],
    [9, points.h],
    [10, ...noContribution],
  ]);
}

const COEFFICIENT_BYTES = 12 + ELEMENT_BYTES;
/** The prover multiplies coefficients in Montgomery form twice, so they are stored times 2^512. */
const TWICE_MONTGOMERY = 2n ** 512n % SCALAR_FIELD;

/** The matrices A and B, entry by entry: matrix, row, wire, value. C follows from the product. */
function coefficients({ constraints, publicSignals }: Circuit): Uint8Array {
  const entries: [matrix: 0 | 1, row: number, wire: Wire, value: bigint][] = [];
  constraints.forEach(({ a, b }, row) => {
    for (const [wire, value] of a) entries.push([0, row, wire, value]);
    for (const [wire, value] of b) entries.push([1, row, wire, value]);
  });
  for (let wire = 0; wire <= publicSignals; wire++) entries.push([0, constraints.length + wire, wire, 1n]);

  const bytes = new Uint8Array(4 + entries.length * COEFFICIENT_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, entries.length, true);
  // most coefficients are one of a few hundred
  const stored = new Map<bigint, bigint>();
  entries.forEach(([matrix, row, wire, value], i) => {
    const at = 4 + i * COEFFICIENT_BYTES;
    let scaled = stored.get(value);
    if (scaled === undefined) stored.set(value, (scaled = (value * TWICE_MONTGOMERY) % SCALAR_FIELD));
    view.setUint32(at, matrix, true);
    view.setUint32(at + 4, row, true);
    view.setUint32(at + 8, wire, true);
    putElementLE(view, at + 12, scaled);
  });
  return bytes;
}
