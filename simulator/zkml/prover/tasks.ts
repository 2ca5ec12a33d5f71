import type { G1Point, Groth16Proof } from "../curve.ts";
import type { NetworkInput } from "../circuit/emitNetwork.ts";
import type { ModelVector } from "../modelVector.ts";

/** A shape as it crosses to the prover's process, which plans it again. */
export interface ShapeReference {
  name: string;
  dims: readonly number[];
}

/** What the prover's process can be asked to do. */
export interface ProverTasks {
  /** Makes the shape's development key and writes its file. */
  setup: { shape: ShapeReference; seed: string; keyFile: string };
  prove: { shape: ShapeReference; keyFile: string; input: NetworkInput };
  /** Computes a model's commitment. */
  fold: { shape: ShapeReference; keyFile: string; vector: ModelVector };
  ceremony: { shape: ShapeReference; step: CeremonyStep };
}

/** A step of a shape's phase 2. Files are snarkjs's zkeys and a prepared `.ptau`. */
export type CeremonyStep =
  | { kind: "start"; ptau: string; to: string }
  | { kind: "contribute"; from: string; to: string; name: string; entropy: string }
  | { kind: "finalise"; from: string; to: string; name: string; beacon: string; iterationsExponent: number }
  | { kind: "verify"; ptau: string; from: string };

export interface ProverResults {
  setup: undefined;
  prove: Proved;
  fold: G1Point;
  /** What snarkjs says of the transcript: circuit hash, contributions and their hashes. */
  ceremony: string[];
}

export interface Proved {
  proof: Groth16Proof;
  inWords: bigint[];
  outWords: bigint[];
  /** Output words, context, input words: what a verifier takes. */
  signals: bigint[];
}

export type TaskKind = keyof ProverTasks;

export type ProverRequest = { [Kind in TaskKind]: { job: number; kind: Kind; task: ProverTasks[Kind] } }[TaskKind];

/** With the most memory that the process took so far. */
export type ProverReply = { job: number; peakMiB: number } & ({ result: ProverResults[TaskKind] } | { error: string });

/** The process ends itself with this code when it takes more memory than it may. */
export const OUT_OF_MEMORY_EXIT = 77;
