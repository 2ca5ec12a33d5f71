import { readFile } from "node:fs/promises";

import type { Prover } from "../prover/Prover.ts";
import type { Shape } from "../shape.ts";
import { ZkFormatError, ZkRangeError } from "../ZkError.ts";
import { readShapeKey, type ShapeKey } from "./ShapeKey.ts";

export interface VerifiedCeremony {
  key: ShapeKey;
  /** The zkey, for {@link KeyStore.install}. */
  zkey: Uint8Array;
  /** Circuit hash, and each contribution with its hash, for contributors to compare with what they were told. */
  transcript: string[];
}

/**
 * A shape's phase 2: any number of people contribute one after the other, and proofs cannot be forged as long as one of them forgot what
 * they drew. Phase 1 is a `.ptau` prepared for phase 2, which the caller has from a public ceremony and checks by its published hash: of 2^13
 * points for S, 2^15 for M, 2^17 for L. Files are snarkjs's, so contributors may use snarkjs itself. The prover's timeout has to leave time:
 * a step of L takes minutes.
 */
export class Ceremony {
  readonly #prover: Prover;
  readonly #shape: Shape;

  constructor(prover: Prover, shape: Shape) {
    this.#prover = prover;
    this.#shape = shape;
  }

  /** Writes the first zkey, which nobody has contributed to: it is not secure yet. @throws ProverError */
  async start(ptau: string, to: string): Promise<void> {
    await this.#prover.ceremony(this.#shape, { kind: "start", ptau, to });
  }

  /**
   * Contributes fresh randomness, which is forgotten with the process.
   *
   * @param entropy Added to the system's randomness, for those who don't trust it.
   * @returns The contribution's hash, to publish.
   * @throws ProverError
   */
  async contribute(from: string, to: string, name: string, entropy = ""): Promise<string[]> {
    return this.#prover.ceremony(this.#shape, { kind: "contribute", from, to, name, entropy });
  }

  /**
   * Ends the ceremony with a public random value that nobody could choose, such as a later block's hash.
   *
   * @param beacon Hexadecimal, without 0x. It is hashed 2^iterationsExponent times.
   * @throws ZkRangeError, ProverError
   */
  async finalise(from: string, to: string, beacon: string, iterationsExponent = 10): Promise<string[]> {
    if (!/^([0-9a-f]{2}){1,64}$/i.test(beacon)) {
      throw new ZkRangeError(`Expected a beacon of 1 to 64 bytes of hexadecimal, found "${beacon}"`);
    }
    if (!Number.isInteger(iterationsExponent) || iterationsExponent < 10 || iterationsExponent > 63) {
      throw new ZkRangeError(`Expected an exponent of iterations from 10 to 63, found ${iterationsExponent}`);
    }
    return this.#prover.ceremony(this.#shape, {
      kind: "finalise",
      from,
      to,
      name: "beacon",
      beacon,
      iterationsExponent,
    });
  }

  /**
   * Checks a key from its first step on: that it belongs to our circuit and the `.ptau`, that each contribution follows the one before, and
   * that delta is no longer gamma.
   *
   * @throws ProverError when the transcript is wrong; ZkFormatError when nobody has contributed.
   */
  async verify(ptau: string, file: string): Promise<VerifiedCeremony> {
    const zkey = new Uint8Array(await readFile(file));
    const key = readShapeKey(this.#shape, zkey);
    if (key.development) throw new ZkFormatError("Expected at least one contribution, found none");
    const transcript = await this.#prover.ceremony(this.#shape, { kind: "verify", ptau, from: file });
    return { key, zkey, transcript };
  }
}
