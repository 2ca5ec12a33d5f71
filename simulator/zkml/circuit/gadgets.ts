import { inverse } from "../field.ts";
import { constant, type ConstraintSystem, type Linear, ONE, scaled, type Wire } from "./ConstraintSystem.ts";

/** Consecutive wires that are 0 or 1, least significant first. */
export interface Bits {
  first: Wire;
  count: number;
}

export const bitAt = ({ first }: Bits, index: number): Wire => first + index;

/** Σ 2^(i − from) · bit_i for from ≤ i < to. */
export const bitSum = (bits: Bits, from: number, to: number): Linear =>
  Array.from({ length: to - from }, (_, i) => [bitAt(bits, from + i), 1n << BigInt(i)] as const);

/**
 * Proves 0 ≤ value < 2^count by its bits, which are unique because 2^count is below the field's order.
 * A row for each bit, and one for their sum.
 */
export function decompose(system: ConstraintSystem, linear: () => Linear, value: () => bigint, count: number): Bits {
  let rest: bigint | undefined;
  let first = 0;
  for (let i = 0; i < count; i++) {
    const bit = system.wire(() => {
      rest ??= value();
      const low = rest & 1n;
      rest >>= 1n;
      return low;
    });
    if (i === 0) first = bit;
    system.enforce(() => ({
      a: [[bit, 1n]],
      b: [
        [bit, 1n],
        [ONE, -1n],
      ],
      c: [],
    }));
  }
  const bits = { first, count };
  system.enforce(() => ({ a: bitSum(bits, 0, count), b: constant(1n), c: linear() }));
  return bits;
}

/** factor · linear on a new wire. */
export function multiply(system: ConstraintSystem, factor: Wire, linear: () => Linear, value: () => bigint): Wire {
  const product = system.wire(value);
  system.enforce(() => ({ a: [[factor, 1n]], b: linear(), c: [[product, 1n]] }));
  return product;
}

/** condition ? then : otherwise, for a condition that is 0 or 1: condition · (then − otherwise) = result − otherwise. */
export function select(
  system: ConstraintSystem,
  condition: Wire,
  branches: () => { then: Linear; otherwise: Linear },
  value: () => bigint,
): Wire {
  const result = system.wire(value);
  system.enforce(() => {
    const { then, otherwise } = branches();
    const minus = scaled(otherwise, -1n);
    return { a: [[condition, 1n]], b: [...then, ...minus], c: [[result, 1n], ...minus] };
  });
  return result;
}

/**
 * 1 where the wire is not zero, else 0. The inverse that proves it is forced to 0 for zero: otherwise it could be anything there, and a
 * proof would have more than one witness.
 */
export function isNonZero(system: ConstraintSystem, wire: Wire): Wire {
  const inverted = system.wire(() => inverse(system.valueOf(wire)));
  const result = system.wire(() => (system.valueOf(wire) === 0n ? 0n : 1n));
  const isZero = (): Linear => [
    [ONE, 1n],
    [result, -1n],
  ];
  system.enforce(() => ({ a: [[wire, 1n]], b: [[inverted, 1n]], c: [[result, 1n]] }));
  system.enforce(() => ({ a: [[wire, 1n]], b: isZero(), c: [] }));
  system.enforce(() => ({ a: [[inverted, 1n]], b: isZero(), c: [] }));
  return result;
}
