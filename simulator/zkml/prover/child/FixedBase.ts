import type { Curve, WasmFunctions } from "ffjavascript";
import { ELEMENT_BYTES, elementsLE } from "../../field.ts";

/** Scalars are cut in bytes: 32 windows of 255 multiples each. */
const WINDOWS = 32;
const MULTIPLES = 255;
/** Points made affine together, which shares one inversion. */
const CHUNK = 4096;
const WASM_PAGE = 65_536;

/**
 * Multiplies the generator of G1 or G2 by many scalars. A table of all multiples j · 2^(8w) · G makes each product 32 additions; they run
 * directly in ffjavascript's WebAssembly memory, because its own `timesFr` copies in and out and is ten times slower. Needs a
 * single-threaded curve, whose memory belongs to this thread.
 *
 * Memory: table (affine) | CHUNK Jacobian points | CHUNK affine points | two Jacobian points.
 */
export class FixedBase {
  readonly #curve: Curve;
  readonly #wasm: WasmFunctions;
  readonly #prefix: "g1m" | "g2m";
  readonly #affine: number;
  readonly #jacobian: number;
  readonly #table: number;
  readonly #points: number;
  readonly #results: number;
  readonly #scratch: number;

  constructor(curve: Curve, group: "G1" | "G2") {
    this.#curve = curve;
    this.#wasm = curve.tm.instance.exports;
    this.#prefix = group === "G1" ? "g1m" : "g2m";
    const coordinate = curve[group].F.n8;
    this.#affine = 2 * coordinate;
    this.#jacobian = 3 * coordinate;
    const tableBytes = WINDOWS * MULTIPLES * this.#affine;
    this.#table = this.#allocate(tableBytes + CHUNK * (this.#affine + this.#jacobian) + 2 * this.#jacobian);
    this.#points = this.#table + tableBytes;
    this.#results = this.#points + CHUNK * this.#jacobian;
    this.#scratch = this.#results + CHUNK * this.#affine;
    this.#fillTable(curve[group].g);
  }

  /** The products as affine points in Montgomery form, side by side. */
  multiply(scalars: readonly bigint[]): Uint8Array {
    const bytes = elementsLE(scalars);
    const result = new Uint8Array(scalars.length * this.#affine);
    const zero = this.#function("zero");
    const addMixed = this.#function("addMixed");
    for (let start = 0; start < scalars.length; start += CHUNK) {
      const count = Math.min(CHUNK, scalars.length - start);
      for (let i = 0; i < count; i++) {
        const point = this.#points + i * this.#jacobian;
        zero(point);
        for (let window = 0; window < WINDOWS; window++) {
          const digit = bytes[(start + i) * ELEMENT_BYTES + window] as number;
          if (digit !== 0) addMixed(point, this.#entry(window, digit), point);
        }
      }
      this.#function("batchToAffine")(this.#points, count, this.#results);
      result.set(this.#memory().subarray(this.#results, this.#results + count * this.#affine), start * this.#affine);
    }
    return result;
  }

  #fillTable(generator: Uint8Array): void {
    const base = this.#scratch;
    const multiple = base + this.#jacobian;
    this.#memory().set(generator, base);
    for (let window = 0; window < WINDOWS; window++) {
      this.#function("zero")(multiple);
      for (let digit = 1; digit <= MULTIPLES; digit++) {
        this.#function("add")(multiple, base, multiple);
        const target = this.#points + (digit - 1) * this.#jacobian;
        this.#memory().copyWithin(target, multiple, multiple + this.#jacobian);
      }
      this.#function("batchToAffine")(this.#points, MULTIPLES, this.#entry(window, 1));
      for (let bit = 0; bit < 8; bit++) this.#function("double")(base, base);
    }
  }

  #entry(window: number, digit: number): number {
    return this.#table + (window * MULTIPLES + digit - 1) * this.#affine;
  }

  #function(name: string): (...addresses: number[]) => number {
    const found = this.#wasm[`${this.#prefix}_${name}`];
    if (!found) throw new Error(`ffjavascript's WebAssembly has no ${this.#prefix}_${name}: expected version 0.3.1`);
    return found;
  }

  /** The memory as it is now: growing it detaches older views. */
  #memory(): Uint8Array {
    return new Uint8Array(this.#curve.tm.memory.buffer);
  }

  /** Word 0 of the module's memory is the start of its free space, which the manager resets to `initalPFree` after each operation. */
  #allocate(length: number): number {
    const { tm } = this.#curve;
    const start = ((new Uint32Array(tm.memory.buffer)[0] as number) + 7) & ~7;
    const missing = start + length - tm.memory.buffer.byteLength;
    // some room is left for the module's own work
    tm.memory.grow(Math.max(0, Math.ceil(missing / WASM_PAGE)) + 64);
    tm.u8 = new Uint8Array(tm.memory.buffer);
    tm.u32 = new Uint32Array(tm.memory.buffer);
    tm.u32[0] = tm.initalPFree = start + length;
    return start;
  }
}
