import type { Shape } from "../shape.ts";
import { type Constraint, ConstraintRecorder } from "./ConstraintSystem.ts";
import { emitNetwork, signalLayout } from "./emitNetwork.ts";

/** A circuit's constraints, as setup and checks need them. */
export interface Circuit {
  constraints: readonly Constraint[];
  /** Wires in all: the constant 1, public signals, private wires. */
  wires: number;
  publicSignals: number;
  /** Rows of the Groth16 domain: constraints, and one for each public wire. */
  rows: number;
}

export function networkCircuit(shape: Shape): Circuit {
  const publicSignals = signalLayout(shape).count;
  const recorder = new ConstraintRecorder(publicSignals);
  emitNetwork(recorder, shape);
  const { constraints, wires } = recorder;
  return { constraints, wires, publicSignals, rows: constraints.length + publicSignals + 1 };
}

/** log2 of the smallest domain with room for the rows. */
export const domainPower = ({ rows }: Circuit): number => Math.ceil(Math.log2(rows));
