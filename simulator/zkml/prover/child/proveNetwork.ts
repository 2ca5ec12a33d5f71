import { groth16 } from "snarkjs";
import type { NetworkInput } from "../../circuit/emitNetwork.ts";
import { networkWitness } from "../../circuit/witness.ts";
import { witnessFile } from "../../circuit/witnessFile.ts";
import type { Shape } from "../../shape.ts";
import type { Proved } from "../tasks.ts";
import { heldKey } from "./heldKey.ts";

export async function proveNetwork(shape: Shape, keyFile: string, input: NetworkInput): Promise<Proved> {
  const zkey = await heldKey(keyFile);
  const { values, inWords, outWords } = networkWitness(shape, input);
  const { proof } = await groth16.prove(zkey, witnessFile(values));
  const [[xRe, xIm], [yRe, yIm]] = proof.pi_b;
  return {
    proof: {
      a: [BigInt(proof.pi_a[0]), BigInt(proof.pi_a[1])],
      b: [BigInt(xIm), BigInt(xRe), BigInt(yIm), BigInt(yRe)],
      c: [BigInt(proof.pi_c[0]), BigInt(proof.pi_c[1])],
    },
    inWords,
    outWords,
    signals: [...outWords, input.context, ...inWords],
  };
}
