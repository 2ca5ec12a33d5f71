/** Order of bn254's groups: the field the circuit computes in. */
export const SCALAR_FIELD = 21888242871839275222246405745257275088548364400416034343698204186575808495617n;

/** The field of the curve's coordinates. */
export const BASE_FIELD = 21888242871839275222246405745257275088696311157297823662689037894645226208583n;

/** Bytes of a field element, in files as on chain. */
export const ELEMENT_BYTES = 32;

/** The representative of `value` in [0, modulus). */
export function mod(value: bigint, modulus = SCALAR_FIELD): bigint {
  const rest = value % modulus;
  return rest < 0n ? rest + modulus : rest;
}

export function power(base: bigint, exponent: bigint, modulus = SCALAR_FIELD): bigint {
  let result = 1n;
  let square = mod(base, modulus);
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = (result * square) % modulus;
    square = (square * square) % modulus;
  }
  return result;
}

/** The inverse of `value`, and 0 of 0: modulus − 2 is Fermat's exponent. */
export const inverse = (value: bigint, modulus = SCALAR_FIELD): bigint => power(value, modulus - 2n, modulus);

/** Inverses of non-zero scalars for the price of one inversion (Montgomery's trick). */
export function inverses(values: readonly bigint[]): bigint[] {
  const prefixes: bigint[] = [];
  let product = 1n;
  for (const value of values) {
    prefixes.push(product);
    product = (product * value) % SCALAR_FIELD;
  }
  let rest = inverse(product);
  const result = new Array<bigint>(values.length);
  for (let i = values.length - 1; i >= 0; i--) {
    result[i] = ((prefixes[i] as bigint) * rest) % SCALAR_FIELD;
    rest = (rest * (values[i] as bigint)) % SCALAR_FIELD;
  }
  return result;
}

const MASK_64 = (1n << 64n) - 1n;

/** Writes an element in [0, 2^256) as 32 bytes, little-endian: the order of snarkjs's files. */
export function putElementLE(view: DataView, offset: number, value: bigint): void {
  let rest = value;
  for (let limb = 0; limb < 4; limb++) {
    view.setBigUint64(offset + 8 * limb, rest & MASK_64, true);
    rest >>= 64n;
  }
}

/** Elements side by side, each 32 bytes little-endian. */
export function elementsLE(values: readonly bigint[]): Uint8Array {
  const bytes = new Uint8Array(values.length * ELEMENT_BYTES);
  const view = new DataView(bytes.buffer);
  values.forEach((value, i) => putElementLE(view, i * ELEMENT_BYTES, value));
  return bytes;
}

export function elementLE(view: DataView, offset: number): bigint {
  let value = 0n;
  for (let limb = 3; limb >= 0; limb--) value = (value << 64n) | view.getBigUint64(offset + 8 * limb, true);
  return value;
}

/** Elements side by side, each 32 bytes big-endian: the EVM's order. */
export function elementsBE(values: readonly bigint[]): Uint8Array {
  const bytes = new Uint8Array(values.length * ELEMENT_BYTES);
  const view = new DataView(bytes.buffer);
  values.forEach((value, i) => {
    let rest = value;
    for (let limb = 3; limb >= 0; limb--) {
      view.setBigUint64(i * ELEMENT_BYTES + 8 * limb, rest & MASK_64);
      rest >>= 64n;
    }
  });
  return bytes;
}
