import { sigmoid } from "./exactMath.ts";
import type { SeededRandom } from "../../simulator/models/SeededRandom.ts";

/** A dense layer: `weights[out * inputs + in]`. */
export interface DenseLayer {
  inputs: number;
  outputs: number;
  weights: Float64Array;
  biases: Float64Array;
}

export interface TrainingOptions {
  epochs: number;
  batchSize: number;
  learningRate: number;
  weightDecay: number;
}

/** A multi-layer perceptron with ReLU between layers and a sigmoid at the end, trained on log loss by Adam. One output. */
export class Mlp {
  readonly layers: DenseLayer[];
  readonly #activations: Float64Array[];
  readonly #errors: Float64Array[];

  constructor(layers: DenseLayer[]) {
    this.layers = layers;
    this.#activations = [
      new Float64Array(layers[0]?.inputs ?? 0),
      ...layers.map((layer) => new Float64Array(layer.outputs)),
    ];
    this.#errors = this.#activations.map((activation) => new Float64Array(activation.length));
  }

  /** Layers of the given widths with He-uniform weights. */
  static initialise(widths: readonly number[], random: SeededRandom): Mlp {
    const layers = widths.slice(1).map((outputs, i) => {
      const inputs = widths[i] ?? 0;
      const limit = Math.sqrt(6 / inputs);
      const weights = new Float64Array(inputs * outputs).map(() => random.uniform(-limit, limit));
      return { inputs, outputs, weights, biases: new Float64Array(outputs) };
    });
    return new Mlp(layers);
  }

  /** The probability for the row of `features` that starts at `offset`. */
  predict(features: Float64Array, offset = 0): number {
    const input = at(this.#activations, 0);
    for (let i = 0; i < input.length; i++) input[i] = num(features, offset + i);
    this.layers.forEach((layer, index) => {
      const from = at(this.#activations, index);
      const to = at(this.#activations, index + 1);
      const last = index === this.layers.length - 1;
      for (let out = 0; out < layer.outputs; out++) {
        let sum = num(layer.biases, out);
        const base = out * layer.inputs;
        for (let i = 0; i < layer.inputs; i++) sum += num(layer.weights, base + i) * num(from, i);
        to[out] = last ? sigmoid(sum) : Math.max(0, sum);
      }
    });
    return num(at(this.#activations, this.layers.length), 0);
  }

  /** Minimises the mean log loss over the rows (already normalised). The learning rate falls linearly to nothing. */
  train(features: Float64Array, labels: Uint8Array, options: TrainingOptions, random: SeededRandom): void {
    const order = new Uint32Array(labels.length).map((_, i) => i);
    const width = this.layers[0]?.inputs ?? 0;
    const optimisers = this.layers.map((layer) => ({
      weights: new Adam(layer.weights),
      biases: new Adam(layer.biases),
    }));
    const steps = options.epochs * Math.ceil(labels.length / options.batchSize);
    let step = 0;
    for (let epoch = 0; epoch < options.epochs; epoch++) {
      random.shuffle(order);
      for (let start = 0; start < order.length; start += options.batchSize) {
        const batch = order.subarray(start, start + options.batchSize);
        for (const row of batch) {
          const error = (this.predict(features, row * width) - (labels[row] ?? 0)) / batch.length;
          this.#backpropagate(error, optimisers);
        }
        const rate = options.learningRate * (1 - step++ / steps);
        for (const { weights, biases } of optimisers) {
          weights.step(rate, options.weightDecay);
          biases.step(rate, 0);
        }
      }
    }
  }

  /** Adds one row's gradient; `outputError` is the loss's derivative before the sigmoid. */
  #backpropagate(outputError: number, optimisers: { weights: Adam; biases: Adam }[]): void {
    at(this.#errors, this.layers.length)[0] = outputError;
    for (let index = this.layers.length - 1; index >= 0; index--) {
      const layer = at(this.layers, index);
      const { weights, biases } = at(optimisers, index);
      const input = at(this.#activations, index);
      const inputErrors = at(this.#errors, index);
      const outputErrors = at(this.#errors, index + 1);
      inputErrors.fill(0);
      for (let out = 0; out < layer.outputs; out++) {
        const error = num(outputErrors, out);
        if (error === 0) continue;
        biases.add(out, error);
        const base = out * layer.inputs;
        for (let i = 0; i < layer.inputs; i++) {
          weights.add(base + i, error * num(input, i));
          inputErrors[i] = num(inputErrors, i) + error * num(layer.weights, base + i);
        }
      }
      if (index > 0) for (let i = 0; i < input.length; i++) if (num(input, i) <= 0) inputErrors[i] = 0;
    }
  }

  /** The same network for raw features: (x − mean) / deviation is folded into the first layer. */
  foldNormalisation(mean: Float64Array, deviation: Float64Array): Mlp {
    const [first, ...rest] = this.layers.map((layer) => ({
      ...layer,
      weights: layer.weights.slice(),
      biases: layer.biases.slice(),
    }));
    if (first === undefined) return new Mlp([]);
    for (let out = 0; out < first.outputs; out++) {
      for (let i = 0; i < first.inputs; i++) {
        const scaled = num(first.weights, out * first.inputs + i) / num(deviation, i);
        first.weights[out * first.inputs + i] = scaled;
        first.biases[out] = num(first.biases, out) - scaled * num(mean, i);
      }
    }
    return new Mlp([first, ...rest]);
  }

  /** The same network with every parameter rounded to float32, as it is stored. */
  toFloat32(): Mlp {
    return new Mlp(
      this.layers.map((layer) => ({
        ...layer,
        weights: layer.weights.map(Math.fround),
        biases: layer.biases.map(Math.fround),
      })),
    );
  }
}

/** Adam (Kingma and Ba, 2015) with decoupled weight decay, over one parameter array. */
class Adam {
  readonly #parameters: Float64Array;
  readonly #gradient: Float64Array;
  readonly #first: Float64Array;
  readonly #second: Float64Array;
  #beta1Power = 1;
  #beta2Power = 1;

  constructor(parameters: Float64Array) {
    this.#parameters = parameters;
    this.#gradient = new Float64Array(parameters.length);
    this.#first = new Float64Array(parameters.length);
    this.#second = new Float64Array(parameters.length);
  }

  add(index: number, gradient: number): void {
    this.#gradient[index] = num(this.#gradient, index) + gradient;
  }

  step(learningRate: number, weightDecay: number): void {
    const beta1 = 0.9;
    const beta2 = 0.999;
    this.#beta1Power *= beta1;
    this.#beta2Power *= beta2;
    for (let i = 0; i < this.#parameters.length; i++) {
      const gradient = num(this.#gradient, i);
      const first = beta1 * num(this.#first, i) + (1 - beta1) * gradient;
      const second = beta2 * num(this.#second, i) + (1 - beta2) * gradient * gradient;
      this.#first[i] = first;
      this.#second[i] = second;
      const corrected = first / (1 - this.#beta1Power) / (Math.sqrt(second / (1 - this.#beta2Power)) + 1e-8);
      const parameter = num(this.#parameters, i);
      this.#parameters[i] = parameter - learningRate * (corrected + weightDecay * parameter);
      this.#gradient[i] = 0;
    }
  }
}

/** Array access for indices known to be in range. */
function num(values: Float64Array, index: number): number {
  return values[index] as number;
}

function at<T>(values: readonly T[], index: number): T {
  return values[index] as T;
}
