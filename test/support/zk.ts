import { SeededRandom } from "../../simulator/models/SeededRandom.ts";
import { commitmentOf } from "../../simulator/zkml/commitment.ts";
import { contextSignal, type ProofContext } from "../../simulator/zkml/context.ts";
import type { G1Point } from "../../simulator/zkml/curve.ts";
import { INPUT_MAX } from "../../simulator/zkml/fixedPoint.ts";
import { KeyStore, type StoredKey } from "../../simulator/zkml/keys/KeyStore.ts";
import type { ModelVector } from "../../simulator/zkml/modelVector.ts";
import { Prover } from "../../simulator/zkml/prover/Prover.ts";
import type { Proved } from "../../simulator/zkml/prover/tasks.ts";
import { type Shape, SHAPES } from "../../simulator/zkml/shape.ts";

/** One for all tests of a run. Its process ends soon after the last proof, and doesn't keep Node alive until then. */
export const prover = new Prover({ idleMs: 5_000 });
const keys = new KeyStore(prover);

export const developmentKey = (shape: Shape = SHAPES.S): Promise<StoredKey> => keys.development(shape);

/** A model of the shape that no training made; a seed always gives the same. */
export function randomModel(shape: Shape = SHAPES.S, seed = 1): ModelVector {
  const random = new SeededRandom(seed);
  const between = (magnitude: number) => Math.round(random.uniform(-magnitude, magnitude));
  const vector = new Int32Array(shape.modelLength);
  for (const { weightsAt, biasesAt, outputs, flagAt } of shape.layers) {
    for (let i = weightsAt; i < biasesAt; i++) vector[i] = between(4096);
    for (let i = biasesAt; i < biasesAt + outputs; i++) vector[i] = between(2 ** 20);
    if (flagAt !== undefined) vector[flagAt] = 1;
  }
  return vector;
}

export function randomInputs(shape: Shape = SHAPES.S, seed = 1): number[] {
  const random = new SeededRandom(seed);
  return Array.from({ length: shape.inputs }, () => Math.round(random.uniform(-INPUT_MAX, INPUT_MAX)));
}

/** A proof with everything that a verifier needs. */
export interface ProvedSample extends Proved {
  shape: Shape;
  vector: ModelVector;
  inputs: number[];
  context: bigint;
  commitment: G1Point;
}

export interface SampleOptions {
  /** What the proof is for, or its signal. */
  context: ProofContext | bigint;
  shape?: Shape;
  vector?: ModelVector;
  inputs?: number[];
}

const samples = new Map<string, Promise<ProvedSample>>();
const commitments = new Map<string, G1Point>();

/** The commitment of a model, computed once a run. */
export async function commitmentFor(vector: ModelVector, shape: Shape = SHAPES.S): Promise<G1Point> {
  const name = `${shape.dims.join("-")}:${vector.join()}`;
  let commitment = commitments.get(name);
  if (!commitment) commitments.set(name, (commitment = commitmentOf((await developmentKey(shape)).key, vector)));
  return commitment;
}

/**
 * A real proof under the shape's development key. The same question is proved once a run: a proof of shape S takes about half a second.
 *
 * @example
 * const { proof, signals, commitment } = await provedSample({ context: { chainId, consumer, requestId, modelId, requester } });
 */
export function provedSample(options: SampleOptions): Promise<ProvedSample> {
  const shape = options.shape ?? SHAPES.S;
  const vector = options.vector ?? randomModel(shape);
  const inputs = options.inputs ?? randomInputs(shape);
  const context = typeof options.context === "bigint" ? options.context : contextSignal(options.context);
  const name = [shape.dims.join("-"), vector.join(), inputs.join(), context].join(":");
  let sample = samples.get(name);
  if (!sample) samples.set(name, (sample = prove({ shape, vector, inputs, context })));
  return sample;
}

async function prove(question: Pick<ProvedSample, "shape" | "vector" | "inputs" | "context">): Promise<ProvedSample> {
  const { shape, vector } = question;
  const { file } = await developmentKey(shape);
  const commitment = await commitmentFor(vector, shape);
  return { ...question, commitment, ...(await prover.prove(shape, file, question)) };
}

/** A context for proofs that are checked off chain only. */
export const ANY_CONTEXT: ProofContext = {
  chainId: 31337n,
  consumer: `0x${"c0".repeat(20)}`,
  requestId: `0x${"01".repeat(32)}`,
  modelId: `0x${"02".repeat(32)}`,
  requester: `0x${"a1".repeat(20)}`,
};
