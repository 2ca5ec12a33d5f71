/** The parts of snarkjs 0.7.6 and ffjavascript 0.3.1 used here; neither has types. Both are GPL-3.0: only this folder imports them. */

declare module "ffjavascript" {
  type Point = Uint8Array;

  interface Group<Affine> {
    /** The generator, Jacobian, in Montgomery form. */
    g: Point;
    F: { n8: number };
    add(a: Point, b: Point): Point;
    toAffine(point: Point): Point;
    toObject(point: Point): Affine;
    fromObject(point: Affine): Point;
    multiExpAffine(bases: Uint8Array, scalars: Uint8Array): Promise<Point>;
  }

  /** Functions of the WebAssembly module, by name; they take and give addresses in its memory. */
  type WasmFunctions = Record<string, (...addresses: number[]) => number>;

  interface Curve {
    G1: Group<[bigint, bigint, bigint]>;
    G2: Group<[[bigint, bigint], [bigint, bigint], [bigint, bigint]]>;
    Fr: {
      /** Roots of unity: w[k] has order 2^k. */
      w: Uint8Array[];
      toObject(element: Uint8Array): bigint;
    };
    tm: {
      memory: { buffer: ArrayBuffer; grow(pages: number): number };
      u8: Uint8Array;
      u32: Uint32Array;
      instance: { exports: WasmFunctions };
      initalPFree: number;
    };
    terminate(): Promise<void>;
  }

  export function buildBn128(singleThread?: boolean): Promise<Curve>;
}

declare module "snarkjs" {
  import type { Curve } from "ffjavascript";

  interface SnarkjsProof {
    pi_a: [string, string, string];
    pi_b: [[string, string], [string, string], [string, string]];
    pi_c: [string, string, string];
  }

  export const groth16: {
    prove(
      zkey: Uint8Array,
      witness: Uint8Array,
      logger?: undefined,
      options?: { singleThread: boolean },
    ): Promise<{ proof: SnarkjsProof; publicSignals: string[] }>;
  };

  /** A file in memory; snarkjs sets its data. */
  interface MemoryFile {
    type: "mem";
    data?: Uint8Array;
  }

  interface Logger {
    debug(text: string): void;
    info(text: string): void;
    warn(text: string): void;
    error(text: string): void;
  }

  /** Phase 2. A returned −1 stands for a failure that was logged. */
  export const zKey: {
    newZKey(r1cs: Uint8Array, ptau: Uint8Array, zkey: MemoryFile, logger: Logger): Promise<Uint8Array | -1>;
    contribute(from: Uint8Array, to: MemoryFile, name: string, entropy: string, logger: Logger): Promise<Uint8Array>;
    beacon(
      from: Uint8Array,
      to: MemoryFile,
      name: string,
      beaconHex: string,
      iterationsExponent: number,
      logger: Logger,
    ): Promise<Uint8Array | false>;
    verifyFromR1cs(r1cs: Uint8Array, ptau: Uint8Array, zkey: Uint8Array, logger: Logger): Promise<boolean>;
  };

  /** Phase 1. */
  export const powersOfTau: {
    newAccumulator(curve: Curve, power: number, to: MemoryFile): Promise<unknown>;
    contribute(from: Uint8Array, to: MemoryFile, name: string, entropy: string): Promise<unknown>;
    preparePhase2(from: Uint8Array, to: MemoryFile): Promise<unknown>;
  };

  export const curves: { getCurveFromName(name: string): Promise<Curve> };
}
