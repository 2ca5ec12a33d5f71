import type { Constraint, Linear } from "../../simulator/zkml/circuit/ConstraintSystem.ts";
import { SCALAR_FIELD } from "../../simulator/zkml/field.ts";

const evaluate = (linear: Linear, values: readonly bigint[]): bigint =>
  linear.reduce((sum, [wire, coefficient]) => sum + coefficient * (values[wire] as bigint), 0n);

/** Whether the values satisfy a constraint, computed from its terms alone. */
export const holds = ({ a, b, c }: Constraint, values: readonly bigint[]): boolean =>
  (evaluate(a, values) * evaluate(b, values) - evaluate(c, values)) % SCALAR_FIELD === 0n;

/** For each wire, the constraints it is in. */
export function constraintsByWire(constraints: readonly Constraint[], wires: number): Constraint[][] {
  const found = Array.from({ length: wires }, () => new Set<Constraint>());
  for (const constraint of constraints) {
    for (const [wire] of [...constraint.a, ...constraint.b, ...constraint.c]) found[wire]?.add(constraint);
  }
  return found.map((set) => [...set]);
}
