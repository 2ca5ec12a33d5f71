import { ELEMENT_BYTES, elementsLE, SCALAR_FIELD } from "../field.ts";
import { sectionFile, uint32 } from "./sections.ts";

/** A witness in snarkjs's format. */
export function witnessFile(values: readonly bigint[]): Uint8Array {
  const header = [uint32(ELEMENT_BYTES), elementsLE([SCALAR_FIELD]), uint32(values.length)];
  return sectionFile("wtns", 2, [
    [1, ...header],
    [2, elementsLE(values)],
  ]);
}
