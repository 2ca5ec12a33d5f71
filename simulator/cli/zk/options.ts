import { InvalidArgumentError, Option } from "commander";

import { bytes32Schema, hexSchema, type Hex } from "../../receipts/types.ts";
import { SHAPES, type Shape, type ShapeName } from "../../zkml/shape.ts";

export const jsonOption = (): Option => new Option("--json", "print JSON and no progress");

/** A shape by its name. */
export function shapeNamed(text: string): Shape {
  if (!Object.hasOwn(SHAPES, text)) {
    throw new InvalidArgumentError(`Expected a shape among ${Object.keys(SHAPES).join(", ")}, found "${text}".`);
  }
  return SHAPES[text as ShapeName];
}

export const shapesNamed = (text: string, before: readonly Shape[] = []): Shape[] => [...before, shapeNamed(text)];

/** 32 bytes, such as a modelId. */
export function bytes32(text: string): Hex {
  const parsed = bytes32Schema.safeParse(text);
  if (!parsed.success) throw new InvalidArgumentError(`Expected 32 bytes as 0x and 64 hex digits, found "${text}".`);
  return parsed.data;
}

export function address(text: string): Hex {
  const parsed = hexSchema(20).safeParse(text);
  if (!parsed.success) throw new InvalidArgumentError(`Expected an address as 0x and 40 hex digits, found "${text}".`);
  return parsed.data;
}

export function chainNumber(text: string): bigint {
  if (!/^\d{1,18}$/.test(text)) throw new InvalidArgumentError(`Expected a chain id, found "${text}".`);
  return BigInt(text);
}

/** A point of a commitment as its two coordinates. */
export function pointOption(text: string): [bigint, bigint] {
  const coordinates = text.split(",");
  if (coordinates.length !== 2 || !coordinates.every((part) => /^(\d+|0x[0-9a-fA-F]+)$/.test(part))) {
    throw new InvalidArgumentError(`Expected X,Y, each a decimal or hexadecimal number, found "${text}".`);
  }
  const [x, y] = coordinates as [string, string];
  return [BigInt(x), BigInt(y)];
}
