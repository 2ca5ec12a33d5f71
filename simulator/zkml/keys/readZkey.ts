import type { G1Point, G2Point } from "../curve.ts";
import { BASE_FIELD, ELEMENT_BYTES, elementLE, inverse, SCALAR_FIELD } from "../field.ts";
import { ZkFormatError } from "../ZkError.ts";

/** The verifier's part of a Groth16 zkey. */
export interface ZkeyHeader {
  wires: number;
  alpha1: G1Point;
  beta2: G2Point;
  gamma2: G2Point;
  delta1: G1Point;
  delta2: G2Point;
  /** Of the constant and every public signal. */
  ic: G1Point[];
  /** Contributions to phase 2, as the file claims. */
  contributions: number;
}

const G1_BYTES = 2 * ELEMENT_BYTES;
const G2_BYTES = 4 * ELEMENT_BYTES;
const HEADER_SECTION = 2;
const IC_SECTION = 3;
const CONTRIBUTIONS_SECTION = 10;
/** Of the constraint system, before the number of contributions. */
const CIRCUIT_HASH_BYTES = 64;
const SECTION_HEADER_BYTES = 12;

const PER_MONTGOMERY = inverse(2n ** 256n % BASE_FIELD, BASE_FIELD);

/** @throws ZkFormatError unless the bytes are snarkjs's zkey of a Groth16 circuit over bn254. */
export function readZkey(bytes: Uint8Array): ZkeyHeader {
  const sections = zkeySections(bytes);
  const header = section(sections, HEADER_SECTION, 2 * (4 + ELEMENT_BYTES) + 12 + 3 * G1_BYTES + 3 * G2_BYTES);
  if (elementLE(header, 4) !== BASE_FIELD || elementLE(header, 8 + ELEMENT_BYTES) !== SCALAR_FIELD) {
    throw new ZkFormatError("Expected a zkey over bn254");
  }
  const counts = 2 * (4 + ELEMENT_BYTES);
  const publicSignals = header.getUint32(counts + 4, true);
  const points = counts + 12;
  const ic = section(sections, IC_SECTION, (publicSignals + 1) * G1_BYTES);
  return {
    wires: header.getUint32(counts, true),
    alpha1: g1At(header, points),
    // beta in G1 lies between: only the prover needs it
    beta2: g2At(header, points + 2 * G1_BYTES),
    gamma2: g2At(header, points + 2 * G1_BYTES + G2_BYTES),
    delta1: g1At(header, points + 2 * G1_BYTES + 2 * G2_BYTES),
    delta2: g2At(header, points + 3 * G1_BYTES + 2 * G2_BYTES),
    ic: Array.from({ length: publicSignals + 1 }, (_, i) => g1At(ic, i * G1_BYTES)),
    contributions: section(sections, CONTRIBUTIONS_SECTION, CIRCUIT_HASH_BYTES + 4).getUint32(CIRCUIT_HASH_BYTES, true),
  };
}

/** The bytes of a zkey's IC section, as the prover's multi-exponentiation takes them. */
export function icSection(bytes: Uint8Array): Uint8Array {
  const view = section(zkeySections(bytes), IC_SECTION, 0);
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

function zkeySections(bytes: Uint8Array): Map<number, DataView> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < SECTION_HEADER_BYTES || Buffer.from(bytes.subarray(0, 4)).toString("ascii") !== "zkey") {
    throw new ZkFormatError("Expected snarkjs's zkey");
  }
  const sections = new Map<number, DataView>();
  let at = SECTION_HEADER_BYTES;
  while (at + SECTION_HEADER_BYTES <= bytes.length) {
    const id = view.getUint32(at, true);
    const length = view.getBigUint64(at + 4, true);
    at += SECTION_HEADER_BYTES;
    if (length > BigInt(bytes.length - at)) throw new ZkFormatError(`The zkey ends within its section ${id}`);
    sections.set(id, new DataView(bytes.buffer, bytes.byteOffset + at, Number(length)));
    at += Number(length);
  }
  return sections;
}

function section(sections: Map<number, DataView>, id: number, minimum: number): DataView {
  const found = sections.get(id);
  if (!found || found.byteLength < minimum) {
    throw new ZkFormatError(
      `Expected section ${id} of the zkey to have ${minimum} bytes, found ${found?.byteLength ?? 0}`,
    );
  }
  return found;
}

const coordinate = (view: DataView, at: number): bigint => (elementLE(view, at) * PER_MONTGOMERY) % BASE_FIELD;

const g1At = (view: DataView, at: number): G1Point => [coordinate(view, at), coordinate(view, at + ELEMENT_BYTES)];

function g2At(view: DataView, at: number): G2Point {
  const [xRe, xIm, yRe, yIm] = [0, 1, 2, 3].map((i) => coordinate(view, at + i * ELEMENT_BYTES));
  return [xIm, xRe, yIm, yRe] as [bigint, bigint, bigint, bigint];
}
