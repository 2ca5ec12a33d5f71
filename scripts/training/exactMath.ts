/**
 * `exp` and `log` built from +, −, × and ÷ alone. IEEE 754 rounds those the same way everywhere, while the results of `Math.exp` and `Math.log`
 * are left to the engine: with these a seed trains the same bytes on every machine.
 */
const LN2_HIGH = 0.69314718036912381649; // the upper 33 bits of ln 2: its product with a small integer is exact
const LN2_LOW = 1.90821492927058770002e-10;

const bits = new DataView(new ArrayBuffer(8));

/** 2^exponent for a normal double (−1022 ≤ exponent ≤ 1023). */
function powerOfTwo(exponent: number): number {
  bits.setUint32(0, (exponent + 1023) << 20);
  bits.setUint32(4, 0);
  return bits.getFloat64(0);
}

/** e^x, saturating at |x| = 700. Relative error below 1e-15. */
export function exp(x: number): number {
  const clamped = Math.max(-700, Math.min(700, x));
  const exponent = Math.round(clamped / (LN2_HIGH + LN2_LOW));
  const r = clamped - exponent * LN2_HIGH - exponent * LN2_LOW; // |r| ≤ ln 2 / 2
  let sum = 1;
  for (let n = 14; n >= 1; n--) sum = 1 + (r / n) * sum;
  return sum * powerOfTwo(exponent);
}

/** Natural logarithm of a positive normal double. Relative error below 1e-15. */
export function log(x: number): number {
  if (!(x >= 2 ** -1022)) throw new RangeError(`log needs a positive normal number, got ${x}`);
  bits.setFloat64(0, x);
  const high = bits.getUint32(0);
  let exponent = (high >>> 20) - 1023;
  bits.setUint32(0, (high & 0xfffff) | 0x3ff00000);
  let mantissa = bits.getFloat64(0); // in [1, 2)
  if (mantissa > Math.SQRT2) {
    mantissa /= 2;
    exponent += 1;
  }
  const s = (mantissa - 1) / (mantissa + 1); // ln m = 2 artanh s, |s| ≤ 0.172
  const square = s * s;
  let sum = 0;
  for (let n = 21; n >= 1; n -= 2) sum = sum * square + 1 / n;
  return exponent * LN2_HIGH + (exponent * LN2_LOW + 2 * s * sum);
}

/** Logistic function 1 / (1 + e^−x). */
export function sigmoid(x: number): number {
  return 1 / (1 + exp(-x));
}
