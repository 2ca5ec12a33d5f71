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
}
