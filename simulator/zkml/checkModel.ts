import type { Hex } from "../receipts/types.ts";
import type { BlobStore } from "../storage/BlobStore.ts";
import { commitmentOf } from "./commitment.ts";
import { type G1Point, samePoint } from "./curve.ts";
import type { StoredKey } from "./keys/KeyStore.ts";
import { keyDigest } from "./keys/ShapeKey.ts";
import { manifestHash, type ZkManifest } from "./manifest.ts";
import { decodeModelBlob, type ZkModelBlob } from "./modelBlob.ts";
import { checkModelVector, type ModelVector } from "./modelVector.ts";
import { lowerGraph } from "./onnx/lowerGraph.ts";
import { OnnxImportError } from "./onnx/OnnxImportError.ts";
import { readOnnx } from "./onnx/readOnnx.ts";
import type { Shape } from "./shape.ts";
import { type ZkDirectory, ZkModelError, type ZkRegistration, ZkStatus } from "./ZkDirectory.ts";
import { ZkFormatError, ZkRangeError } from "./ZkError.ts";

export type ModelFaultKind =
  /** The blob is no model blob, or its weights or its ONNX file are not those of the manifest in it. */
  | "blob"
  /** The manifest in the blob is not the one that the version's content hash stands for. */
  | "manifest"
  /** The ONNX file cannot be imported, or has not the inputs and outputs that the manifest says. */
  | "onnx"
  /** Another number of weights than the shape has. */
  | "length"
  /** A weight, bias or flag that no model of the shape may have. */
  | "range"
  /** The registered point is not the sum of the weights. */
  | "commitment";

/** What is wrong with a registered model. */
export interface ModelFault {
  kind: ModelFaultKind;
  message: string;
}

/** Whether the contract can be shown a fault: it recomputes commitments and ranges from the weights, and sees no blobs. */
export const isProvableFault = ({ kind }: ModelFault): boolean => kind === "range" || kind === "commitment";

/** What came out of recomputing a registered model from its published bytes. */
export interface ModelReport {
  modelId: Hex;
  blobId: Hex;
  registration: ZkRegistration;
  /** The commitment of the published weights; undefined when they have none. */
  commitment: G1Point | undefined;
  /** The published weights, when they are those of the version. */
  weights: { manifest: ZkManifest; vector: ModelVector; key: StoredKey } | undefined;
  /** None: the model is what it is registered as. */
  faults: readonly ModelFault[];
}

export interface ModelCheckOptions {
  directory: ZkDirectory;
  blobs: Pick<BlobStore, "get">;
  /** Verification keys by shape, such as a KeyStore's. */
  keyOf: (shape: Shape) => Promise<StoredKey>;
  /** Computes commitments. Default {@link commitmentOf}, which blocks for up to 3 s; a `Prover` folds in a process of its own. */
  fold?: ((key: StoredKey, vector: ModelVector) => G1Point | Promise<G1Point>) | undefined;
}

/** The key at hand is not the one that the shape's verifier has on chain, so nothing can be said about its models. */
export class ZkKeyError extends Error {
  override readonly name = "ZkKeyError";
  readonly code = "zk_key_mismatch";
}

/**
 * Recomputes a registered model from its blob: hashes of manifest, weights and ONNX file, whether the file can be imported, the ranges
 * of its weights, and its commitment.
 *
 * @throws ZkModelError when nothing is registered, or it was proven wrong already; ZkKeyError; what `blobs` throws for a blob that it cannot get.
 */
export async function checkModel(modelId: Hex, options: ModelCheckOptions): Promise<ModelReport> {
  const registration = await options.directory.registration(modelId);
  requireRegistered(modelId, registration);
  return inspectModel(modelId, registration, options);
}

/** @throws ZkModelError unless a commitment is on chain. */
export function requireRegistered(modelId: Hex, { status }: ZkRegistration): void {
  if (status === ZkStatus.none) throw new ZkModelError(`Expected a zk model ${modelId}, found none registered`);
  if (status === ZkStatus.wrong) throw new ZkModelError(`The commitment of ${modelId} has been proven wrong on chain`);
}

/** {@link checkModel} against a registration that was read before. */
export async function inspectModel(
  modelId: Hex,
  registration: ZkRegistration,
  { directory, blobs, keyOf, fold = ({ key }, vector) => commitmentOf(key, vector) }: ModelCheckOptions,
): Promise<ModelReport> {
  const { blobId, contentHash } = await directory.models.version(modelId);
  const report = { modelId, blobId: blobId as Hex, registration, commitment: undefined, weights: undefined };
  const blob = readBlob(await blobs.get(blobId as Hex), contentHash as Hex);
  if ("kind" in blob) return { ...report, faults: [blob] };
  const { manifest, vector } = blob;
  const misfit = onnxFault(blob);
  const key = await chainKey(directory, manifest.shape, keyOf);
  const fault = vectorFault(key.key.shape, vector);
  const faults = [misfit, fault].filter((found) => found !== undefined);
  if (fault?.kind === "length") return { ...report, faults };
  const weights = { manifest, vector, key };
  if (fault) return { ...report, weights, faults };

  const commitment = await fold(key, vector);
  if (!samePoint(commitment, registration.commitment)) faults.push(commitmentFault(registration, commitment));
  return { ...report, weights, commitment, faults };
}

function readBlob(bytes: Uint8Array, contentHash: Hex): ZkModelBlob | ModelFault {
  let blob: ZkModelBlob;
  try {
    blob = decodeModelBlob(bytes);
  } catch (error) {
    if (!(error instanceof ZkFormatError)) throw error;
    return { kind: "blob", message: error.message };
  }
  const found = manifestHash(blob.manifest);
  if (found === contentHash) return blob;
  return { kind: "manifest", message: `Expected a manifest with hash ${contentHash}, as registered, found ${found}` };
}

/** How exact the weights are is for who uses the model to judge: scales and samples are the owner's choice. */
function onnxFault({ onnx, manifest }: ZkModelBlob): ModelFault | undefined {
  try {
    const { inputs, outputs } = lowerGraph(readOnnx(onnx));
    if (inputs === manifest.inputs && outputs === manifest.outputs) return undefined;
    const found = `found ${inputs} and ${outputs}`;
    return { kind: "onnx", message: `Expected ${manifest.inputs} inputs and ${manifest.outputs} outputs, ${found}` };
  } catch (error) {
    if (!(error instanceof OnnxImportError)) throw error;
    return { kind: "onnx", message: error.message };
  }
}

function vectorFault(shape: Shape, vector: ModelVector): ModelFault | undefined {
  try {
    checkModelVector(shape, vector);
    return undefined;
  } catch (error) {
    if (!(error instanceof ZkRangeError)) throw error;
    return { kind: vector.length === shape.modelLength ? "range" : "length", message: error.message };
  }
}

const commitmentFault = ({ commitment }: ZkRegistration, found: G1Point): ModelFault => ({
  kind: "commitment",
  message: `Expected the commitment (${found.join(", ")}) of the published weights, found (${commitment.join(", ")}) registered`,
});

/** The key of a shape, which has to be the one on chain. @throws ZkKeyError */
export async function chainKey(
  directory: ZkDirectory,
  number: number,
  keyOf: ModelCheckOptions["keyOf"],
): Promise<StoredKey> {
  const { shape, keyHash } = await directory.shape(number);
  const stored = await keyOf(shape);
  const found = keyDigest(stored.key);
  if (found !== keyHash) {
    throw new ZkKeyError(
      `Expected the key ${keyHash} of shape ${number}, as on chain, found ${found}: get the key of its setup`,
    );
  }
  return stored;
}
