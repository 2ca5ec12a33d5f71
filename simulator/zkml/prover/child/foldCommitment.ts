import { buildBn128 } from "ffjavascript";
import type { G1Point } from "../../curve.ts";
import { elementsLE, mod } from "../../field.ts";
import { icSection } from "../../keys/readZkey.ts";
import type { ModelVector } from "../../modelVector.ts";
import type { Shape } from "../../shape.ts";
import { heldKey } from "./heldKey.ts";

const BASE_BYTES = 64;

/** IC_0 + Σ w_j · IC_w[j], by one multi-exponentiation over the key's own points. */
export async function foldCommitment(shape: Shape, keyFile: string, vector: ModelVector): Promise<G1Point> {
  const { G1 } = await buildBn128();
  const ic = icSection(await heldKey(keyFile));
  const first = (1 + shape.requestSignals) * BASE_BYTES;
  const bases = Buffer.concat([ic.subarray(0, BASE_BYTES), ic.subarray(first)]);
  const scalars = elementsLE([1n, ...Array.from(vector, (entry) => mod(BigInt(entry)))]);
  const sum = await G1.multiExpAffine(new Uint8Array(bases), scalars);
  const [x, y] = G1.toObject(G1.toAffine(sum));
  return [x, y];
}
