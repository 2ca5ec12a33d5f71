import { mod } from "../field.ts";
import { ZkRangeError } from "../ZkError.ts";

/** Index of a value in the witness. Wire 0 is the constant 1; the public signals follow. */
export type Wire = number;

export const ONE: Wire = 0;

/** A linear combination of wires. A wire may occur more than once. */
export type Linear = readonly (readonly [wire: Wire, coefficient: bigint])[];

/** a · b = c */
export interface Constraint {
  a: Linear;
  b: Linear;
  c: Linear;
}

/**
 * What a circuit is emitted into: either its constraints are recorded, or its wires are filled. One function emits both, so that they
 * cannot drift apart; it must take the same path whatever the values are.
 */
export interface ConstraintSystem {
  /** Adds a private wire. `value` is only asked for when a witness is made. */
  wire(value: () => bigint): Wire;
  /** Value of a wire; only a witness has values. */
  valueOf(wire: Wire): bigint;
  setPublic(wire: Wire, value: () => bigint): void;
  /** `constraint` is only asked for when constraints are recorded. */
  enforce(constraint: () => Constraint): void;
}

export class ConstraintRecorder implements ConstraintSystem {
  readonly constraints: Constraint[] = [];
  #wires: number;

  constructor(publicSignals: number) {
    this.#wires = 1 + publicSignals;
  }

  get wires(): number {
    return this.#wires;
  }

  wire(): Wire {
    return this.#wires++;
  }

  valueOf(): bigint {
    throw new Error("Constraints are recorded without values");
  }

  setPublic(): void {}

  enforce(constraint: () => Constraint): void {
    const { a, b, c } = constraint();
    this.constraints.push({ a: collect(a), b: collect(b), c: collect(c) });
  }
}

export class WitnessFiller implements ConstraintSystem {
  /** Integers, not yet reduced: −1 is −1. */
  readonly values: bigint[];

  constructor(publicSignals: number) {
    this.values = new Array<bigint>(1 + publicSignals).fill(0n);
    this.values[ONE] = 1n;
  }

  wire(value: () => bigint): Wire {
    return this.values.push(value()) - 1;
  }

  valueOf(wire: Wire): bigint {
    const value = this.values[wire];
    if (value === undefined) throw new ZkRangeError(`Wire ${wire} has no value yet`);
    return value;
  }

  setPublic(wire: Wire, value: () => bigint): void {
    this.values[wire] = value();
  }

  enforce(): void {}
}

/** One term per wire, coefficients in the field, none of them zero. */
function collect(linear: Linear): Linear {
  const terms = new Map<Wire, bigint>();
  for (const [wire, coefficient] of linear) terms.set(wire, mod((terms.get(wire) ?? 0n) + coefficient));
  return [...terms].filter(([, coefficient]) => coefficient !== 0n);
}

export const scaled = (linear: Linear, factor: bigint): Linear =>
  linear.map(([wire, coefficient]) => [wire, coefficient * factor] as const);

export const constant = (value: bigint): Linear => [[ONE, value]];
