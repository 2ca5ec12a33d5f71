import { OnnxImportError } from "./OnnxImportError.ts";

/** Most elements of a tensor between two activations, and most of an activation: the widest shape has 128. */
const MAX_ELEMENTS = 4_096;
const MAX_WIDTH = 512;
/** Multiplications that lowering a file may take, so that a hostile one takes seconds at most. */
const MAX_WORK = 2 ** 30;

/**
 * A tensor as an affine function of the last activations: element e is rows[e] · activations + bias[e]. All that lies between two
 * activations of a network folds into one such function, whatever operators it was written with.
 */
export interface Affine {
  /** With a leading batch of 1 when the model has one. */
  dims: readonly number[];
  /** Which activations: 0 is the model's input. */
  stage: number;
  rows: readonly Float64Array[];
  bias: Float64Array;
}

export const elementsOf = (dims: readonly number[]): number => dims.reduce((product, dim) => product * dim, 1);

/** What an element is made of: pairs of an input element and a weight. */
export type Taps = readonly (readonly [element: number, weight: number])[];

/** Combines affine tensors; counts the work over a whole import. */
export class AffineAlgebra {
  #work = 0;

  /** The activations themselves. */
  stage(stage: number, dims: readonly number[]): Affine {
    const width = elementsOf(dims);
    if (width < 1 || width > MAX_WIDTH) {
      throw new OnnxImportError(
        `A tensor of ${dims.join("×")} is too wide: no shape has a layer of more than ${MAX_WIDTH}`,
      );
    }
    const rows = Array.from({ length: width }, (_, i) => new Float64Array(width).fill(1, i, i + 1));
    return { dims, stage, rows, bias: new Float64Array(width) };
  }

  /** Each element of the result is a weighted sum of the value's elements. */
  combine(value: Affine, dims: readonly number[], taps: (element: number) => Taps): Affine {
    const length = elementsOf(dims);
    if (length < 1 || length > MAX_ELEMENTS) {
      throw new OnnxImportError(
        `A tensor of ${dims.join("×")} has too many elements: expected at most ${MAX_ELEMENTS}`,
      );
    }
    const width = value.rows[0]?.length ?? 0;
    const bias = new Float64Array(length);
    const rows = Array.from({ length }, (_, element) => {
      const row = new Float64Array(width);
      for (const [from, weight] of taps(element)) {
        if (weight === 0) continue;
        const source = value.rows[from] as Float64Array;
        for (let i = 0; i < width; i++) (row[i] as number) += weight * (source[i] as number);
        (bias[element] as number) += weight * (value.bias[from] as number);
        if ((this.#work += width) > MAX_WORK)
          throw new OnnxImportError("The model is too large to be lowered to dense layers");
      }
      return row;
    });
    return { dims, stage: value.stage, rows, bias };
  }

  addConstant(value: Affine, constant: (element: number) => number): Affine {
    return { ...value, bias: value.bias.map((bias, element) => bias + constant(element)) };
  }

  add(left: Affine, right: Affine): Affine {
    const rows = left.rows.map((row, e) =>
      row.map((weight, i) => weight + ((right.rows[e] as Float64Array)[i] as number)),
    );
    return { ...left, rows, bias: left.bias.map((bias, e) => bias + (right.bias[e] as number)) };
  }
}
