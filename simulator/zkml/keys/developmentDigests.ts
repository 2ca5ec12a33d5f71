import type { Hex } from "../../receipts/types.ts";
import { SHAPES, type Shape, type ShapeName } from "../shape.ts";

/** {@link keyDigest} of each shape's development key, which its development verifier was generated from. */
export const DEVELOPMENT_DIGESTS: Readonly<Record<ShapeName, Hex>> = {
  S: "0xf0efabcb7bd0d3c2ca86cbbcb0e30bb09686f86e9bb13d2709b3d46e737138cd",
  M: "0x2320a17b40b93320cba8225ae00d2e578423ccdf54ae293eea3b0ea57f6e2808",
  L: "0xdae8a3f2acb33df7d78c0e090e11e83fb76e425772395d141bb0682861a01cd5",
};

export function developmentDigest(shape: Shape): Hex | undefined {
  const name = Object.keys(SHAPES).find((key): key is ShapeName => SHAPES[key as ShapeName] === shape);
  return name && DEVELOPMENT_DIGESTS[name];
}
