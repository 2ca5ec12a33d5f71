import type { Hex } from "../../receipts/types.ts";
import { SHAPES, type Shape, type ShapeName } from "../shape.ts";

/** {@link keyDigest} of each shape's development key, which its development verifier was generated from. */
export const DEVELOPMENT_DIGESTS: Readonly<Record<ShapeName, Hex>> = {
  S: "0x0aec1926e613523d90f23d3dae948c190ea22d54c44aaafb2caab8a83e2e337f",
  M: "0x366a8696ca189d842f1764e139ddd226e49b2a21087dcb95ec229d39f1d87cba",
  L: "0x2d9764d49522114a5b3345409a95098bde028ad7cbbf7e804979ec6b32e8d074",
};

export function developmentDigest(shape: Shape): Hex | undefined {
  const name = Object.keys(SHAPES).find((key): key is ShapeName => SHAPES[key as ShapeName] === shape);
  return name && DEVELOPMENT_DIGESTS[name];
}
