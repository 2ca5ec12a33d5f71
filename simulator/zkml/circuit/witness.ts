import { mod, SCALAR_FIELD } from "../field.ts";
import { checkModelVector } from "../modelVector.ts";
import { checkInputs } from "../packing.ts";
import type { Shape } from "../shape.ts";
import { ZkRangeError } from "../ZkError.ts";
import { WitnessFiller } from "./ConstraintSystem.ts";
import { emitNetwork, type NetworkInput, signalLayout } from "./emitNetwork.ts";

export interface Witness {
  /** A value for each wire, in [0, R). */
  values: bigint[];
  inWords: bigint[];
  outWords: bigint[];
}

/** @throws ZkRangeError when vector, inputs or context are out of range. */
export function networkWitness(shape: Shape, input: NetworkInput): Witness {
  checkModelVector(shape, input.vector);
  checkInputs(shape, input.inputs);
  if (input.context < 0n || input.context >= SCALAR_FIELD) {
    throw new ZkRangeError(`Expected a context in [0, R), found ${input.context}`);
  }
  const layout = signalLayout(shape);
  const filler = new WitnessFiller(layout.count);
  emitNetwork(filler, shape, input);
  const values = filler.values.map((value) => mod(value));
  return {
    values,
    inWords: values.slice(layout.inputWords, layout.model),
    outWords: values.slice(layout.outputWords, layout.context),
  };
}
