import type { Provider } from "ethers";

import type { Hex } from "../receipts/types.ts";
import { remembered } from "../settlement/remembered.ts";
import type { G1Point } from "../zkml/curve.ts";
import type { StoredKey } from "../zkml/keys/KeyStore.ts";
import { keyDigest, type ShapeKey } from "../zkml/keys/ShapeKey.ts";
import { manifestHash } from "../zkml/manifest.ts";
import { decodeModelBlob, type ZkModelBlob } from "../zkml/modelBlob.ts";
import { checkModelVector } from "../zkml/modelVector.ts";
import { defineShape, SHAPES, type Shape } from "../zkml/shape.ts";
import { IModelRegistry__factory, IShapeVerifier__factory, IZkVersions__factory } from "../../typechain-types/index.ts";
import type { BlobReader } from "./BlobReader.ts";

/** What proofs of a model version are checked with. */
export interface ZkModel {
  shape: Shape;
  key: ShapeKey;
  /** The key's file, for provers. */
  keyFile: string;
  commitment: G1Point;
}

/** What is published of a version, but for its ONNX file. */
export type ZkWeights = Omit<ZkModelBlob, "onnx">;

/** What a verifier knows of zk models. */
export interface ZkModels {
  /** Undefined for a version that cannot be used in mode ZKML. */
  model(modelId: Hex): Promise<ZkModel | undefined>;
  /** @throws BlobUnavailableError; ZkFormatError, ZkRangeError or ZkModelMismatchError when what is published is not what is registered. */
  weights(modelId: Hex): Promise<ZkWeights>;
}

/** What is published, or what key is at hand, is not what the chain names. */
export class ZkModelMismatchError extends Error {
  override readonly name = "ZkModelMismatchError";
  readonly code = "zk_model_mismatch";
}

export interface ChainZkModelsOptions {
  provider: Provider;
  /** The ModelRegistry. */
  models: Hex;
  reader: BlobReader;
  /** Verification keys by shape, such as a KeyStore's. */
  keyOf: (shape: Shape) => Promise<StoredKey>;
}

/** Weights take up to 130 kB a model. */
const MAX_WEIGHTS = 32;

/** Zk models as the chain has them, with their weights from the blob store. What cannot change is read once. */
export class ChainZkModels implements ZkModels {
  readonly #options: ChainZkModelsOptions;
  readonly #shapes = new Map<bigint, Promise<Omit<ZkModel, "commitment">>>();
  readonly #models = new Map<Hex, Promise<ZkModel>>();
  readonly #weights = new Map<Hex, Promise<ZkWeights>>();

  constructor(options: ChainZkModelsOptions) {
    this.#options = options;
  }

  async model(modelId: Hex): Promise<ZkModel | undefined> {
    // a version may be proven wrong, and a shape be retired, at any time
    if (!(await this.#versions.isZkUsable(modelId))) return undefined;
    return remembered(this.#models, modelId, () => this.registered(modelId));
  }

  /** The same of a version that may yet have to be attested. @throws ZkModelMismatchError when nothing was registered. */
  async registered(modelId: Hex): Promise<ZkModel> {
    const { shape, x, y } = await this.#versions.zkVersion(modelId);
    if (shape === 0n) throw new ZkModelMismatchError(`Expected a zk model ${modelId}, found none registered`);
    return { ...(await this.#shape(shape)), commitment: [x, y] };
  }

  weights(modelId: Hex): Promise<ZkWeights> {
    const [oldest] = this.#weights.keys();
    if (oldest && !this.#weights.has(modelId) && this.#weights.size >= MAX_WEIGHTS) this.#weights.delete(oldest);
    return remembered(this.#weights, modelId, () => this.#readWeights(modelId));
  }

  async #readWeights(modelId: Hex): Promise<ZkWeights> {
    const { provider, models, reader } = this.#options;
    const { blobId, contentHash } = await IModelRegistry__factory.connect(models, provider).version(modelId);
    const { manifest, vector, inputScales } = decodeModelBlob(await reader.read(blobId as Hex));
    const actual = manifestHash(manifest);
    if (actual !== contentHash) {
      throw new ZkModelMismatchError(`Expected a manifest of hash ${contentHash} in blob ${blobId}, found ${actual}`);
    }
    const { shape } = await this.#shape(BigInt(manifest.shape));
    checkModelVector(shape, vector);
    return { manifest, vector, inputScales };
  }

  #shape(number: bigint): Promise<Omit<ZkModel, "commitment">> {
    return remembered(this.#shapes, number, async () => {
      const { provider, keyOf } = this.#options;
      const { verifier } = await this.#versions.shape(number);
      const contract = IShapeVerifier__factory.connect(verifier, provider);
      const [dims, keyHash] = await Promise.all([contract.dims(), contract.keyHash()]);
      const shape = shapeOf(dims.map(Number));
      const { key, file } = await keyOf(shape);
      const actual = keyDigest(key);
      if (actual !== keyHash) {
        throw new ZkModelMismatchError(`Expected the key ${keyHash} of shape ${number} on chain, found ${actual}`);
      }
      return { shape, key, keyFile: file };
    });
  }

  get #versions() {
    return IZkVersions__factory.connect(this.#options.models, this.#options.provider);
  }
}

/** A shape by its widths, with its name when it has one. */
function shapeOf(dims: readonly number[]): Shape {
  const name = dims.join("-");
  return Object.values(SHAPES).find((shape) => shape.dims.join("-") === name) ?? defineShape(name, dims);
}
