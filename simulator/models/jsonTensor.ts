import { Tensor } from "onnxruntime-node";

import { ModelInputError, ModelOutputError } from "./ModelError.ts";

/** A tensor element as JSON: integers beyond 2^53 are decimal strings. */
export type JsonScalar = number | string | boolean;
/** A tensor as nested arrays, outermost dimension first; a scalar for rank 0. */
export type NestedArray = JsonScalar | NestedArray[];
/** A tensor as a flat row-major list. */
export interface FlatTensor {
  data: JsonScalar[];
  dims: number[];
}
export type JsonTensor = NestedArray | FlatTensor;

/** What a model declares about an input or output. A string in `shape` names a free dimension. */
export interface TensorSpec {
  name: string;
  type: ElementType;
  shape: readonly (number | string)[];
}

/** Element types that have a JSON form here. */
export type ElementType = keyof typeof ELEMENT_TYPES;

const integer = (low: bigint, high: bigint) => (value: unknown) => {
  const exact =
    typeof value === "number" && Number.isSafeInteger(value)
      ? BigInt(value)
      : typeof value === "string" && /^-?\d{1,20}$/.test(value)
        ? BigInt(value)
        : undefined;
  return exact !== undefined && exact >= low && exact <= high ? exact : undefined;
};
const smallInteger = (low: bigint, high: bigint) => {
  const parse = integer(low, high);
  return (value: unknown) => {
    const exact = parse(value);
    return exact === undefined ? undefined : Number(exact);
  };
};

/** How to read one element, and how to pack many. `undefined` means that the value does not fit. */
const ELEMENT_TYPES = {
  float32: {
    expected: "a finite number within float32's range",
    parse: (value: unknown) =>
      typeof value === "number" && Number.isFinite(Math.fround(value)) ? Math.fround(value) : undefined,
    pack: (values: unknown[]) => Float32Array.from(values as number[]),
  },
  float64: {
    expected: "a finite number",
    parse: (value: unknown) => (typeof value === "number" && Number.isFinite(value) ? value : undefined),
    pack: (values: unknown[]) => Float64Array.from(values as number[]),
  },
  int32: {
    expected: "a 32-bit integer",
    parse: smallInteger(-(2n ** 31n), 2n ** 31n - 1n),
    pack: (values: unknown[]) => Int32Array.from(values as number[]),
  },
  int64: {
    expected: "a 64-bit integer (a decimal string beyond 2^53)",
    parse: integer(-(2n ** 63n), 2n ** 63n - 1n),
    pack: (values: unknown[]) => BigInt64Array.from(values as bigint[]),
  },
  uint8: {
    expected: "an integer from 0 to 255",
    parse: smallInteger(0n, 255n),
    pack: (values: unknown[]) => Uint8Array.from(values as number[]),
  },
  bool: {
    expected: "true or false",
    parse: (value: unknown) => (typeof value === "boolean" ? value : undefined),
    pack: (values: unknown[]) => Uint8Array.from(values as boolean[], Number),
  },
  string: {
    expected: "a string",
    parse: (value: unknown) => (typeof value === "string" ? value : undefined),
    pack: (values: unknown[]) => values as string[],
  },
} as const;

export function isElementType(type: string): type is ElementType {
  return Object.hasOwn(ELEMENT_TYPES, type);
}

/** Shape as people write it, e.g. `[N, 8]`. */
export function shapeText(shape: readonly (number | string)[]): string {
  return `[${shape.join(", ")}]`;
}

/**
 * Reads the JSON form of a tensor.
 *
 * @param free Sizes that free dimensions have taken so far in this request; extended.
 * @throws ModelInputError naming the input, what was expected and what was found.
 */
export function tensorFromJson(
  spec: TensorSpec,
  json: unknown,
  free: Map<string, number>,
  maxElements: number,
): Tensor {
  const { data, dims } = isFlat(json) ? flatTensor(spec, json, maxElements) : flatten(spec, json, maxElements);
  checkShape(spec, dims, free);
  const { parse, pack, expected } = ELEMENT_TYPES[spec.type];
  const values = data.map((value, i) => {
    const parsed = parse(value);
    if (parsed === undefined) {
      throw new ModelInputError(`input "${spec.name}", element ${i}: expected ${expected}, found ${preview(value)}`);
    }
    return parsed;
  });
  return new Tensor(spec.type, pack(values), dims);
}

/**
 * Writes a tensor as nested arrays. Floats keep every digit of the float32 or float64 they are.
 *
 * @throws ModelOutputError when a value is NaN or infinite, which JSON cannot carry.
 */
export function tensorToJson(name: string, tensor: Tensor): NestedArray {
  const values = Array.from(tensor.data as ArrayLike<number | bigint | string>, (value): JsonScalar => {
    if (tensor.type === "bool") return Boolean(value);
    if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : value.toString();
    if (typeof value === "number" && !Number.isFinite(value)) {
      throw new ModelOutputError(
        `output "${name}" has a value that is not finite: the inputs are outside the model's range`,
      );
    }
    return value;
  });
  let offset = 0;
  const build = (depth: number): NestedArray => {
    const size = tensor.dims[depth];
    if (size === undefined) return values[offset++] ?? 0;
    return Array.from({ length: size }, () => build(depth + 1));
  };
  return build(0);
}

function isFlat(json: unknown): json is { data: unknown; dims: unknown } {
  return typeof json === "object" && json !== null && "data" in json && "dims" in json;
}

function flatTensor(spec: TensorSpec, json: { data: unknown; dims: unknown }, maxElements: number) {
  const { data, dims } = json;
  if (!Array.isArray(data) || !Array.isArray(dims) || !dims.every(isDimension)) {
    throw new ModelInputError(`input "${spec.name}": expected {data: [values], dims: [sizes]}`);
  }
  const elements = dims.reduce((product, size) => product * size, 1);
  if (elements !== data.length) {
    throw new ModelInputError(
      `input "${spec.name}": dims ${shapeText(dims)} need ${elements} values, found ${data.length}`,
    );
  }
  checkSize(spec, elements, maxElements);
  return { data: data as unknown[], dims };
}

function flatten(spec: TensorSpec, json: unknown, maxElements: number): { data: unknown[]; dims: number[] } {
  const dims: number[] = [];
  for (let level = json; Array.isArray(level); level = level[0] as unknown) {
    if (dims.length === spec.shape.length) {
      throw new ModelInputError(
        `input "${spec.name}": expected shape ${shapeText(spec.shape)}, found arrays nested more deeply`,
      );
    }
    dims.push(level.length);
  }
  const data: unknown[] = [];
  const visit = (value: unknown, depth: number): void => {
    if (depth === dims.length) {
      checkSize(spec, data.push(value), maxElements);
      return;
    }
    if (!Array.isArray(value) || value.length !== dims[depth]) {
      throw new ModelInputError(
        `input "${spec.name}": rows differ in length; expected ${dims[depth]} values at depth ${depth}, ` +
          `found ${Array.isArray(value) ? value.length : preview(value)}`,
      );
    }
    for (const item of value) visit(item, depth + 1);
  };
  visit(json, 0);
  return { data, dims };
}

function checkShape(spec: TensorSpec, dims: readonly number[], free: Map<string, number>): void {
  const fits =
    dims.length === spec.shape.length &&
    spec.shape.every((declared, axis) => {
      const size = dims[axis] ?? 0;
      if (typeof declared === "number") return declared < 0 || declared === size;
      const taken = free.get(declared);
      if (taken === undefined) free.set(declared, size);
      return taken === undefined || taken === size;
    });
  if (!fits) {
    const known = [...free].map(([name, size]) => `${name} = ${size}`).join(", ");
    throw new ModelInputError(
      `input "${spec.name}": expected shape ${shapeText(spec.shape)}${known && ` with ${known}`}, found ${shapeText(dims)}`,
    );
  }
  if (dims.includes(0)) throw new ModelInputError(`input "${spec.name}" is empty: shape ${shapeText(dims)}`);
}

function checkSize(spec: TensorSpec, elements: number, maxElements: number): void {
  if (elements > maxElements) {
    throw new ModelInputError(`input "${spec.name}" has more than ${maxElements} elements: send it in parts`);
  }
}

function isDimension(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function preview(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}
