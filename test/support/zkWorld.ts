import type { Signer } from "ethers";

import { contractProof } from "../../simulator/verification/challenge.ts";
import { keccak256 } from "../../simulator/receipts/keccak.ts";
import type { TensorReceipt } from "../../simulator/receipts/tensors.ts";
import { Mode, type Hex, type Receipt } from "../../simulator/receipts/types.ts";
import { contextSignal, type ProofContext } from "../../simulator/zkml/context.ts";
import { manifestHash, type ZkManifest } from "../../simulator/zkml/manifest.ts";
import { encodeModelBlob } from "../../simulator/zkml/modelBlob.ts";
import { weightsHash, type ModelVector } from "../../simulator/zkml/modelVector.ts";
import { packInputs, packOutputs } from "../../simulator/zkml/packing.ts";
import { runModel } from "../../simulator/zkml/runModel.ts";
import { SHAPES } from "../../simulator/zkml/shape.ts";
import { tensorHash } from "../../simulator/zkml/tensorHash.ts";
import { DevelopmentShapeS__factory } from "../../typechain-types/index.ts";
import {
  compactSignature,
  createWorld,
  hexAddress,
  signedReceipt,
  votesOf,
  type BuiltBatch,
  type World,
} from "./batches.ts";
import { latestTimestamp, opgWei, ZK_TERMS } from "./protocol.ts";
import { commitmentFor, developmentKey, provedSample, randomInputs, randomModel } from "./zk.ts";
import { forgedProof } from "./zkForgery.ts";

/** A world whose model owner has two attested zk models of shape S, each with a price of a thousandth OPG and a royalty of a tenth. */
export interface ZkWorld extends World {
  zkModels: readonly [ZkTestModel, ZkTestModel];
}

export interface ZkTestModel {
  modelId: Hex;
  vector: ModelVector;
  /** What its blob id is the keccak256 of, as in a `MemoryBlobs`. */
  blob: Uint8Array;
}

export const ZK_PRICE = opgWei("0.001");

export async function createZkWorld(): Promise<ZkWorld> {
  const world = await createWorld();
  const { models, owner } = world;
  await models.addShape(await new DevelopmentShapeS__factory(owner).deploy());
  return { ...world, zkModels: [await attestedModel(world, 1), await attestedModel(world, 2)] };
}

/** Publishes, registers and attests a model that `seed` makes. */
export async function attestedModel(world: World, seed: number): Promise<ZkTestModel> {
  const { models } = world;
  const registered = await registeredModel(world, randomModel(SHAPES.S, seed));
  const { modelId } = registered;
  const votes = votesOf(world, (await models.zkCommitmentDigest(modelId, world.setId)) as Hex);
  await models.attestZk(modelId, world.setId, votes.seats, votes.signatures);
  return registered;
}

async function registeredModel({ models, modelOwner }: World, vector: ModelVector): Promise<ZkTestModel> {
  const owned = models.connect(modelOwner);
  await owned.createRepository(`zk-model-${await models.repositoryCount()}`, "MIT", "");
  const repositoryId = await models.repositoryCount();
  const onnx = Buffer.from("onnx");
  const manifest: ZkManifest = {
    onnxHash: keccak256(onnx),
    weightsHash: weightsHash(vector),
    shape: 1,
    inputs: SHAPES.S.inputs,
    outputs: SHAPES.S.outputs,
    inputScale: 8,
    outputScale: 8,
  };
  const blob = encodeModelBlob({ manifest, vector, inputScales: Array<number>(SHAPES.S.inputs).fill(8), onnx });
  await owned.publishVersion(repositoryId, {
    contentHash: manifestHash(manifest),
    blobId: keccak256(blob),
    price: ZK_PRICE,
    royaltyBps: 1_000,
    modes: 1,
  });
  const modelId = (await models.modelIdOf(repositoryId, 1)) as Hex;
  await owned.depositZkBond(repositoryId, ZK_TERMS.bond);
  const [x, y] = await commitmentFor(vector);
  await owned.registerZk(modelId, manifest, x, y);
  return { modelId, vector, blob };
}

export interface ProvenOptions {
  model?: ZkTestModel;
  /** A seed gives the same input. */
  input?: number;
  /** Fields of the receipt, before it is signed. */
  receipt?: Partial<Receipt>;
  /** What the proof is for, over what it should be for. */
  context?: Partial<ProofContext>;
  /** Made with the secrets of the development key: as good, always the same, and fast. */
  forged?: boolean;
}

async function answer(vector: ModelVector, inputs: number[], context: ProofContext, forged: boolean) {
  if (!forged) return provedSample({ vector, inputs, context });
  const inWords = packInputs(SHAPES.S, inputs);
  const outWords = packOutputs(SHAPES.S, runModel(SHAPES.S, vector, inputs));
  const signals = [...outWords, contextSignal(context), ...inWords];
  const { key } = await developmentKey();
  return { inWords, outWords, proof: forgedProof(key, await commitmentFor(vector), signals) };
}

/** A receipt of mode ZKML with a real proof, which is right unless the options bend it. */
export async function provenReceipt(
  world: ZkWorld,
  { model = world.zkModels[0], input = 1, receipt, context, forged = false }: ProvenOptions = {},
): Promise<TensorReceipt> {
  const servedAt = BigInt(await latestTimestamp(world)) - 5n;
  const { modelId } = model;
  const plain = signedReceipt(world, { servedAt, modelId, mode: Mode.Zkml, ...receipt }).receipt;
  const { chainId, verifyingContract } = world.hasher.domain;
  const proofContext: ProofContext = {
    chainId,
    consumer: verifyingContract,
    requestId: plain.requestId,
    modelId: plain.modelId,
    requester: plain.payer,
    ...context,
  };
  const inputs = randomInputs(SHAPES.S, input);
  const { inWords, outWords, proof } = await answer(model.vector, inputs, proofContext, forged);
  const hashes = { inputHash: tensorHash(inWords), outputHash: tensorHash(outWords) };
  return { ...signedReceipt(world, { ...plain, ...hashes, ...receipt }), tensors: { inWords, outWords, proof } };
}

/** A receipt's tensors as contract arguments. */
export function tensorArguments({ tensors }: TensorReceipt) {
  const { inWords, outWords, proof } = tensors!;
  return { inWords: [...inWords], outWords: [...outWords], proof: contractProof(proof!) };
}

/** `ProvenReceipt` of every receipt of a batch. */
export const provenArguments = ({ receipts }: Pick<BuiltBatch, "receipts">) =>
  receipts.map((signed) => ({
    receipt: signed.receipt,
    sig: compactSignature(signed.signature),
    ...tensorArguments(signed),
  }));

/** A proof that refutes `receipt`, made for `challenger`: of the right output for the input that `input` seeds. */
export async function refutation(
  world: ZkWorld,
  { requestId, modelId }: Receipt,
  challenger: Signer,
  { model = world.zkModels[0], input = 1, context, forged = false }: Omit<ProvenOptions, "receipt"> = {},
) {
  const proofContext: ProofContext = {
    chainId: world.hasher.domain.chainId,
    consumer: await hexAddress(world.referee),
    requestId,
    modelId,
    requester: await hexAddress(challenger),
    ...context,
  };
  const inputs = randomInputs(SHAPES.S, input);
  const { inWords, outWords, proof } = await answer(model.vector, inputs, proofContext, forged);
  return { inWords: [...inWords], outWords: [...outWords], proof: contractProof(proof) };
}
