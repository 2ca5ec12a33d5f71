import { OnnxImportError } from "./OnnxImportError.ts";
import type { OnnxNode } from "./readOnnx.ts";

/** How a convolution or pooling slides over its spatial dimensions. */
export interface Windows {
  kernel: readonly number[];
  input: readonly number[];
  output: readonly number[];
  /** The input position under cell `cell` of the window at `place`, both counted row by row; undefined in the padding. */
  under(place: number, cell: number): number | undefined;
}

/** @throws OnnxImportError for attributes that are not supported or make no sense. */
export function windowsOf(node: OnnxNode, kernel: readonly number[], input: readonly number[]): Windows {
  const rank = input.length;
  const autoPad = node.attributes.get("auto_pad")?.text ?? "NOTSET";
  if (!["NOTSET", "VALID"].includes(autoPad))
    throw new OnnxImportError(`auto_pad ${autoPad} is not supported: give pads`);
  if (node.attributes.get("ceil_mode")?.integer) throw new OnnxImportError("ceil_mode 1 is not supported");
  const list = (name: string, length: number, fallback: number, min: number): number[] => {
    const values = node.attributes.get(name)?.integers ?? new Array<number>(length).fill(fallback);
    if (values.length !== length || values.some((value) => value < min || value > 4096)) {
      throw new OnnxImportError(`${name} [${values.join()}] makes no sense for ${rank} spatial dimensions`);
    }
    return values;
  };
  const strides = list("strides", rank, 1, 1);
  const dilations = list("dilations", rank, 1, 1);
  const pads = list("pads", 2 * rank, 0, 0);
  if (kernel.length !== rank || kernel.some((size) => size < 1)) {
    throw new OnnxImportError(`A kernel of ${kernel.join("×")} doesn't fit ${rank} spatial dimensions`);
  }
  const at = (values: readonly number[], axis: number) => values[axis] as number;
  const output = input.map((size, axis) => {
    const padded = size + at(pads, axis) + at(pads, axis + rank);
    return Math.floor((padded - at(dilations, axis) * (at(kernel, axis) - 1) - 1) / at(strides, axis)) + 1;
  });
  if (output.some((size) => size < 1)) throw new OnnxImportError("The kernel is larger than its input");
  return {
    kernel,
    input,
    output,
    under(place, cell) {
      let position = 0;
      let [placeRest, cellRest, unit] = [place, cell, 1];
      for (let axis = rank - 1; axis >= 0; axis--) {
        const index =
          (placeRest % at(output, axis)) * at(strides, axis) +
          (cellRest % at(kernel, axis)) * at(dilations, axis) -
          at(pads, axis);
        if (index < 0 || index >= at(input, axis)) return undefined;
        position += index * unit;
        unit *= at(input, axis);
        placeRest = Math.floor(placeRest / at(output, axis));
        cellRest = Math.floor(cellRest / at(kernel, axis));
      }
      return position;
    },
  };
}
