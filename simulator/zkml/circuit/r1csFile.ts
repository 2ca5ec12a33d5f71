import { ELEMENT_BYTES, elementsLE, SCALAR_FIELD } from "../field.ts";
import type { Linear } from "./ConstraintSystem.ts";
import type { Circuit } from "./networkCircuit.ts";
import { sectionFile, uint32, uint64 } from "./sections.ts";

/** A circuit in the format of circom and snarkjs, with every public signal as an output. Labels are the wires' own numbers. */
export function r1csFile({ constraints, wires, publicSignals }: Circuit): Uint8Array {
  const counts = [wires, publicSignals, 0, 0].map(uint32);
  const header = [
    uint32(ELEMENT_BYTES),
    elementsLE([SCALAR_FIELD]),
    ...counts,
    uint64(wires),
    uint32(constraints.length),
  ];
  return sectionFile("r1cs", 1, [
    [1, ...header],
    [2, ...constraints.flatMap(({ a, b, c }) => [a, b, c].map(linearBytes))],
    [3, ...Array.from({ length: wires }, (_, wire) => uint64(wire))],
  ]);
}

function linearBytes(linear: Linear): Uint8Array {
  // readers expect terms in the order of their wires
  const sorted = [...linear].sort(([left], [right]) => left - right);
  const terms = sorted.flatMap(([wire, coefficient]) => [uint32(wire), elementsLE([coefficient])]);
  return Buffer.concat([uint32(sorted.length), ...terms]);
}
