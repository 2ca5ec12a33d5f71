import {
  INPUT_BITS,
  INPUT_LANES,
  INPUT_MIN,
  OUTPUT_BITS,
  OUTPUT_LANES,
  OUTPUT_MAX,
  OUTPUT_MIN,
  WEIGHT_SCALE,
} from "../fixedPoint.ts";
import type { ModelVector } from "../modelVector.ts";
import type { LayerPlan, Shape } from "../shape.ts";
import { constant, type ConstraintSystem, type Linear, ONE, scaled, type Wire } from "./ConstraintSystem.ts";
import { bitAt, type Bits, bitSum, decompose, isNonZero, multiply, select } from "./gadgets.ts";

/** What a witness is made from. */
export interface NetworkInput {
  vector: ModelVector;
  inputs: ArrayLike<number>;
  context: bigint;
}

/** Where the public signals lie: output words, context, input words, model vector. */
export interface SignalLayout {
  outputWords: Wire;
  context: Wire;
  inputWords: Wire;
  model: Wire;
  /** All public signals, the model vector included. */
  count: number;
}

export function signalLayout({ outputWords, inputWords, modelLength }: Shape): SignalLayout {
  const context = 1 + outputWords;
  const model = context + 1 + inputWords;
  return { outputWords: 1, context, inputWords: context + 1, model, count: model - 1 + modelLength };
}

/**
 * Emits the network of a shape. Inputs are proved to be in range and to be those of the input words; each layer's sum is proved to fit
 * the plan by its bits, which also give its sign (ReLU), its shifted value (the next layer's input) and whether an output saturates.
 *
 * @param input Only a witness needs it.
 */
export function emitNetwork(system: ConstraintSystem, shape: Shape, input?: NetworkInput): void {
  new NetworkEmitter(system, shape, input).emit();
}

class NetworkEmitter {
  readonly #system: ConstraintSystem;
  readonly #shape: Shape;
  readonly #input: NetworkInput | undefined;
  readonly #layout: SignalLayout;

  constructor(system: ConstraintSystem, shape: Shape, input: NetworkInput | undefined) {
    this.#system = system;
    this.#shape = shape;
    this.#input = input;
    this.#layout = signalLayout(shape);
  }

  emit(): void {
    this.#bindContext();
    this.#setModel();
    let activations = this.#inputs();
    for (const layer of this.#shape.layers) activations = this.#layer(layer, activations);
    this.#packOutputs(activations);
  }

  #given(): NetworkInput {
    if (!this.#input) throw new Error("A witness needs the network's input");
    return this.#input;
  }

  /** A signal in no constraint could be replaced in a finished proof, so the context is in one. */
  #bindContext(): void {
    const { context } = this.#layout;
    const system = this.#system;
    system.setPublic(context, () => this.#given().context);
    const copy = system.wire(() => system.valueOf(context));
    system.enforce(() => ({ a: [[context, 1n]], b: constant(1n), c: [[copy, 1n]] }));
  }

  #setModel(): void {
    for (let i = 0; i < this.#shape.modelLength; i++) {
      this.#system.setPublic(this.#layout.model + i, () => BigInt(this.#given().vector[i] as number));
    }
  }

  #inputs(): Wire[] {
    const system = this.#system;
    const offset = -BigInt(INPUT_MIN);
    const wires = Array.from({ length: this.#shape.inputs }, (_, i) => {
      const wire = system.wire(() => BigInt(this.#given().inputs[i] as number));
      decompose(
        system,
        () => [
          [wire, 1n],
          [ONE, offset],
        ],
        () => system.valueOf(wire) + offset,
        INPUT_BITS,
      );
      return wire;
    });
    this.#pack(wires, this.#layout.inputWords, INPUT_LANES, INPUT_BITS, offset);
    return wires;
  }

  #packOutputs(wires: Wire[]): void {
    this.#pack(wires, this.#layout.outputWords, OUTPUT_LANES, OUTPUT_BITS, -BigInt(OUTPUT_MIN));
  }

  /** Σ (wire_i + offset) · 2^(bits · i) is the public word. */
  #pack(wires: Wire[], firstWord: Wire, lanes: number, bits: number, offset: bigint): void {
    const system = this.#system;
    for (let start = 0; start < wires.length; start += lanes) {
      const word = firstWord + start / lanes;
      const lane = wires.slice(start, start + lanes);
      system.setPublic(word, () =>
        lane.reduceRight((packed, wire) => (packed << BigInt(bits)) + system.valueOf(wire) + offset, 0n),
      );
      system.enforce(() => ({
        a: lane.flatMap((wire, i): Linear => {
          const unit = 1n << BigInt(bits * i);
          return [
            [wire, unit],
            [ONE, offset * unit],
          ];
        }),
        b: constant(1n),
        c: [[word, 1n]],
      }));
    }
  }

  #layer(layer: LayerPlan, inputs: Wire[]): Wire[] {
    return Array.from({ length: layer.outputs }, (_, j) => {
      const neuron = this.#neuron(layer, j, inputs);
      return layer.last ? this.#saturate(layer, neuron) : this.#activate(layer, neuron);
    });
  }

  /** The bits of sum + 2^sumBits, which say that the sum is within the plan. */
  #neuron({ inputs: fanIn, weightsAt, biasesAt, sumBits }: LayerPlan, j: number, inputs: Wire[]): Bits {
    const system = this.#system;
    const bias = this.#layout.model + biasesAt + j;
    const products = inputs.map((input, i) => {
      const weight = this.#layout.model + weightsAt + j * fanIn + i;
      return multiply(
        system,
        weight,
        () => [[input, 1n]],
        () => system.valueOf(weight) * system.valueOf(input),
      );
    });
    const offset = 1n << BigInt(sumBits);
    return decompose(
      system,
      () => [[ONE, offset], [bias, 1n], ...products.map((product) => [product, 1n] as const)],
      () => products.reduce((sum, product) => sum + system.valueOf(product), offset + system.valueOf(bias)),
      sumBits + 1,
    );
  }

  /** sum >> 12, rounding towards −∞: the upper bits without the offset. */
  #shifted({ sumBits }: LayerPlan, bits: Bits): Linear {
    return [...bitSum(bits, WEIGHT_SCALE, sumBits + 1), [ONE, -(1n << BigInt(sumBits - WEIGHT_SCALE))]];
  }

  #activate(layer: LayerPlan, bits: Bits): Wire {
    const system = this.#system;
    const flag = this.#layout.model + (layer.flagAt as number);
    const notNegative = bitAt(bits, layer.sumBits);
    const shifted = () => this.#shifted(layer, bits);
    const value = () => this.#valueOf(shifted());
    const relu = multiply(system, notNegative, shifted, () => system.valueOf(notNegative) * value());
    return select(
      system,
      flag,
      () => ({ then: [[relu, 1n]], otherwise: shifted() }),
      () => (system.valueOf(flag) === 1n ? system.valueOf(relu) : value()),
    );
  }

  /**
   * An output fits 31 bits when all bits between its 30 low ones and its sign differ from the sign bit as stored (which is 1 for
   * sums ≥ 0). `excess` counts those that don't.
   */
  #saturate(layer: LayerPlan, bits: Bits): Wire {
    const system = this.#system;
    const magnitudeBits = OUTPUT_BITS - 1;
    const low = WEIGHT_SCALE + magnitudeBits;
    const between = Math.max(layer.sumBits - low, 0);
    const shifted = () => this.#shifted(layer, bits);
    const value = () => this.#valueOf(shifted());
    if (between === 0) return this.#equal(shifted, value);

    const notNegative = bitAt(bits, layer.sumBits);
    const ones = (): Linear => Array.from({ length: between }, (_, i) => [bitAt(bits, low + i), 1n] as const);
    const zeros = (): Linear => [[ONE, BigInt(between)], ...scaled(ones(), -1n)];
    const excess = select(
      system,
      notNegative,
      () => ({ then: ones(), otherwise: zeros() }),
      () => this.#valueOf(system.valueOf(notNegative) === 1n ? ones() : zeros()),
    );
    const overflows = isNonZero(system, excess);
    const half = 1n << BigInt(magnitudeBits);
    return select(
      system,
      overflows,
      () => ({
        // OUTPUT_MAX, or OUTPUT_MIN for negative sums
        then: [
          [notNegative, 2n * half - 1n],
          [ONE, -half],
        ],
        // the 30 low bits, less 2^30 for negative sums
        otherwise: [...bitSum(bits, WEIGHT_SCALE, low), [notNegative, half], [ONE, -half]],
      }),
      () => clamp(value()),
    );
  }

  #equal(linear: () => Linear, value: () => bigint): Wire {
    return multiply(this.#system, ONE, linear, value);
  }

  #valueOf(linear: Linear): bigint {
    return linear.reduce((sum, [wire, coefficient]) => sum + coefficient * this.#system.valueOf(wire), 0n);
  }
}

function clamp(value: bigint): bigint {
  if (value > BigInt(OUTPUT_MAX)) return BigInt(OUTPUT_MAX);
  return value < BigInt(OUTPUT_MIN) ? BigInt(OUTPUT_MIN) : value;
}
