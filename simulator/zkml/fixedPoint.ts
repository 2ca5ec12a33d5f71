/** Inputs are signed integers of this many bits. */
export const INPUT_BITS = 15;
export const INPUT_MIN = -(2 ** (INPUT_BITS - 1));
export const INPUT_MAX = 2 ** (INPUT_BITS - 1) - 1;

/** Outputs are saturated to signed integers of this many bits. */
export const OUTPUT_BITS = 31;
export const OUTPUT_MIN = -(2 ** (OUTPUT_BITS - 1));
export const OUTPUT_MAX = 2 ** (OUTPUT_BITS - 1) - 1;

/** A weight w stands for w / 2^12, so a layer's sum is shifted right by 12, rounding towards −∞. */
export const WEIGHT_SCALE = 12;
/** Weights are 16-bit; −2^15 is left out, so that a weight may be negated. */
export const WEIGHT_MAX = 2 ** 15 - 1;
/** A bias is added before the shift. Below a quarter of one product's bound, so it costs no bit. */
export const BIAS_MAX = 2 ** 29 - 1;

/** Tensor lanes in a packed word: 16 · 15 and 8 · 31 bits stay below the field's 254. */
export const INPUT_LANES = 16;
export const OUTPUT_LANES = 8;
