import type { Provider } from "ethers";

import {
  IShapeVerifier__factory,
  IZkVersions__factory,
  ModelRegistry__factory,
  type IZkVersions,
  type ModelRegistry,
} from "../../typechain-types/index.ts";
import type { Hex } from "../receipts/types.ts";
import type { BlobStore } from "../storage/BlobStore.ts";
import type { G1Point } from "./curve.ts";
import { type ZkManifest, manifestHash } from "./manifest.ts";
import { decodeModelBlob, type ZkModelBlob } from "./modelBlob.ts";
import { checkModelVector, type ModelVector } from "./modelVector.ts";
import type { TensorLayout } from "./quantise/ZkModel.ts";
import { defineShape, type Shape, SHAPES } from "./shape.ts";
import { ZkFormatError } from "./ZkError.ts";

/** IZkVersions' enum ZkStatus. */
export const ZkStatus = { none: 0, registered: 1, attested: 2, released: 3, wrong: 4 } as const;
export type ZkStatus = (typeof ZkStatus)[keyof typeof ZkStatus];

/** What the registry says of a version's commitment. */
export interface ZkRegistration {
  status: ZkStatus;
  /** Number of its shape. */
  shape: number;
  commitment: G1Point;
}

/** A shape as it is on chain. */
export interface OnChainShape {
  shape: Shape;
  verifier: Hex;
  /** `keyDigest` of its verification key. */
  keyHash: Hex;
  retired: boolean;
}

/** A published model, out of its blob: what nodes serve and clients check answers by. */
export interface PublishedModel extends TensorLayout {
  modelId: Hex;
  manifest: ZkManifest;
  vector: ModelVector;
  onnx: Uint8Array;
}

/** What a decoded blob is a model of. @throws ZkRangeError when its vector is none of the shape. */
export function publishedModel(
  modelId: Hex,
  shape: Shape,
  { manifest, vector, inputScales, onnx }: ZkModelBlob,
): PublishedModel {
  checkModelVector(shape, vector);
  const { inputs, outputs, outputScale } = manifest;
  return { modelId, shape, manifest, vector, inputScales, onnx, inputs, outputs, outputScale };
}

/** A version is not what is looked for: not of a zk model, or not registered, or proven wrong. */
export class ZkModelError extends Error {
  override readonly name = "ZkModelError";
  readonly code = "not_a_zk_model";
}

/** Models take up to 400 kB each. */
const MAX_LOADED = 32;

/** The zk models of ModelRegistry. */
export class ZkDirectory {
  readonly models: ModelRegistry;
  readonly versions: IZkVersions;
  readonly #provider: Provider;
  readonly #shapes = new Map<number, Promise<OnChainShape>>();
  readonly #loaded = new Map<Hex, Promise<PublishedModel>>();
  readonly #blobs: Pick<BlobStore, "get">;

  /** @param blobs checks what it gets against its id. */
  constructor(provider: Provider, modelRegistry: Hex, blobs: Pick<BlobStore, "get">) {
    this.#provider = provider;
    this.#blobs = blobs;
    this.models = ModelRegistry__factory.connect(modelRegistry, { provider });
    this.versions = IZkVersions__factory.connect(modelRegistry, { provider });
  }

  async registration(modelId: Hex): Promise<ZkRegistration> {
    const { status, shape, x, y } = await this.versions.zkVersion(modelId);
    return { status: Number(status) as ZkStatus, shape: Number(shape), commitment: [x, y] };
  }

  /** @throws ZkModelError when there is no shape of this number. */
  shape(number: number): Promise<OnChainShape> {
    const known = this.#shapes.get(number);
    if (known !== undefined) return known;
    const found = this.#readShape(number);
    found.catch(() => this.#shapes.delete(number));
    this.#shapes.set(number, found);
    return found;
  }

  /** The registry's number of a shape, the newest that is not retired. @throws ZkModelError */
  async numberOf({ name, dims }: Pick<Shape, "name" | "dims">): Promise<number> {
    for (let number = Number(await this.versions.shapeCount()); number > 0; number--) {
      const found = await this.#readShape(number);
      if (!found.retired && found.shape.dims.join() === dims.join()) return number;
    }
    throw new ZkModelError(`Expected a shape ${name} (${dims.join("-")}) in the registry: its owner adds shapes`);
  }

  /**
   * A version's model out of its blob, checked against the registry's hash and the shape's ranges; read once.
   * @throws ZkModelError, ZkFormatError, ZkRangeError
   */
  load(modelId: Hex): Promise<PublishedModel> {
    const known = this.#loaded.get(modelId);
    if (known !== undefined) return known;
    const loading = this.#load(modelId);
    loading.catch(() => this.#loaded.delete(modelId));
    this.#loaded.set(modelId, loading);
    const [oldest] = this.#loaded.keys();
    if (this.#loaded.size > MAX_LOADED && oldest !== undefined) this.#loaded.delete(oldest);
    return loading;
  }

  async #load(modelId: Hex): Promise<PublishedModel> {
    const { contentHash, blobId } = await this.models.version(modelId);
    if (BigInt(blobId) === 0n) throw new ZkModelError(`Version ${modelId} has no published blob`);
    const blob = decodeModelBlob(await this.#blobs.get(blobId as Hex));
    const found = manifestHash(blob.manifest);
    if (found !== contentHash) {
      throw new ZkFormatError(`Expected a manifest with hash ${contentHash}, as registered, found ${found}`);
    }
    const { shape } = await this.shape(blob.manifest.shape);
    return publishedModel(modelId, shape, blob);
  }

  async #readShape(number: number): Promise<OnChainShape> {
    const { verifier, retired } = await this.versions.shape(number);
    if (BigInt(verifier) === 0n) throw new ZkModelError(`The registry has no shape ${number}`);
    const contract = IShapeVerifier__factory.connect(verifier, { provider: this.#provider });
    const [dims, keyHash] = await Promise.all([contract.dims(), contract.keyHash()]);
    return {
      shape: shapeOf(dims.map(Number), number),
      verifier: verifier.toLowerCase() as Hex,
      keyHash: keyHash as Hex,
      retired,
    };
  }
}

/** Of the known shapes the same object, since what is derived from one is kept by it. */
const shapeOf = (dims: readonly number[], number: number): Shape =>
  Object.values(SHAPES).find((known) => known.dims.join() === dims.join()) ?? defineShape(`#${number}`, dims);
