import { createHash } from "node:crypto";
import { join } from "node:path";

import { networkCircuit } from "../circuit/networkCircuit.ts";
import type { Prover } from "../prover/Prover.ts";
import type { Shape } from "../shape.ts";
import { ZkFormatError } from "../ZkError.ts";
import { developmentDigest } from "./developmentDigests.ts";
import { readKeyFile, writeKeyFile } from "./keyFile.ts";
import { keyDigest, readShapeKey, type ShapeKey } from "./ShapeKey.ts";

/** A key and the file that the prover takes it from. */
export interface StoredKey {
  key: ShapeKey;
  file: string;
}

/** Where keys are kept: outside of git, since they take 4 to 43 MB and can be made again. */
export const keyDirectory = (): string => process.env.OPENGRADIENT_ZK_KEYS ?? join(".data", "zk");

/**
 * Keys of shapes, made when they are missing. A development key follows from a public seed, so every machine makes the same; making S, M
 * and L takes about 2, 5 and 11 s, once.
 */
export class KeyStore {
  readonly #prover: Prover;
  readonly #directory: string;
  readonly #keys = new Map<string, Promise<StoredKey>>();

  constructor(prover: Prover, directory = keyDirectory()) {
    this.#prover = prover;
    this.#directory = directory;
  }

  /**
   * The development key of a shape.
   *
   * @throws ZkFormatError when what was made is not the key that git names: circuit or setup were changed. ProverError
   */
  development(shape: Shape): Promise<StoredKey> {
    const name = shape.dims.join("-");
    let stored = this.#keys.get(name);
    if (!stored) {
      stored = this.#loadDevelopment(shape);
      this.#keys.set(name, stored);
      // a failure is not kept
      stored.catch(() => this.#keys.delete(name));
    }
    return stored;
  }

  /** Takes a key that a ceremony made, which the caller has verified ({@link Ceremony}), for {@link ceremony}. */
  async install(shape: Shape, zkey: Uint8Array): Promise<StoredKey> {
    const file = this.#ceremonyFile(shape);
    const key = readCeremonyKey(shape, zkey);
    await writeKeyFile(file, zkey);
    return { key, file };
  }

  /**
   * The key that a ceremony made for the shape.
   *
   * @throws ZkFormatError when none was installed, or it is damaged.
   */
  async ceremony(shape: Shape): Promise<StoredKey> {
    const file = this.#ceremonyFile(shape);
    const zkey = await readKeyFile(file);
    if (!zkey) throw new ZkFormatError(`There is no ceremony key for shape ${shape.name}: expected ${file}`);
    return { key: readCeremonyKey(shape, zkey), file };
  }

  #ceremonyFile(shape: Shape): string {
    return join(this.#directory, `ceremony-${shape.dims.join("-")}.key`);
  }

  async #loadDevelopment(shape: Shape): Promise<StoredKey> {
    const expected = developmentDigest(shape);
    const file = join(
      this.#directory,
      `development-${shape.dims.join("-")}-${expected?.slice(2, 18) ?? circuitTag(shape)}.key`,
    );
    let zkey = await readKeyFile(file).catch(ignoreDamage);
    if (!zkey) {
      await this.#prover.setup(shape, file, developmentSeed(shape));
      zkey = await readKeyFile(file);
    }
    if (!zkey) throw new ZkFormatError(`The key file ${file} vanished while it was made`);
    const key = readShapeKey(shape, zkey);
    if (expected !== undefined && keyDigest(key) !== expected) {
      throw new ZkFormatError(
        `Expected shape ${shape.name}'s development key to be ${expected}, found ${keyDigest(key)}: circuit or setup were changed; ` +
          "run npm run zk:keys, then npm run zk:verifiers",
      );
    }
    return { key, file };
  }
}

function readCeremonyKey(shape: Shape, zkey: Uint8Array): ShapeKey {
  const key = readShapeKey(shape, zkey);
  if (key.development)
    throw new ZkFormatError("Expected a key with contributions, found one without: a development key");
  return key;
}

export const developmentSeed = ({ dims }: Shape): string => dims.join("-");

/** Shapes that git names no key for, such as those of tests: a changed circuit gets another file. */
function circuitTag(shape: Shape): string {
  const hash = createHash("sha256");
  for (const { a, b, c } of networkCircuit(shape).constraints) hash.update([a, b, c].map(String).join(";"));
  return hash.digest("hex").slice(0, 16);
}

function ignoreDamage(error: unknown): undefined {
  if (!(error instanceof ZkFormatError)) throw error;
}
