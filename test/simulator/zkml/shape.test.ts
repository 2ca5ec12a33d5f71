import { expect } from "chai";

import { networkCircuit } from "../../../simulator/zkml/circuit/networkCircuit.ts";
import { networkWitness } from "../../../simulator/zkml/circuit/witness.ts";
import {
  BIAS_MAX,
  INPUT_MAX,
  INPUT_MIN,
  OUTPUT_MAX,
  OUTPUT_MIN,
  WEIGHT_MAX,
} from "../../../simulator/zkml/fixedPoint.ts";
import { checkModelVector } from "../../../simulator/zkml/modelVector.ts";
import { unpackOutputs } from "../../../simulator/zkml/packing.ts";
import { runModel } from "../../../simulator/zkml/runModel.ts";
import { defineShape, type Interval, type Shape, SHAPES } from "../../../simulator/zkml/shape.ts";
import { SCALAR_FIELD } from "../../../simulator/zkml/field.ts";
import { holds } from "../../support/constraints.ts";
import { randomInputs, randomModel } from "../../support/zk.ts";

/** Every weight and bias at its largest magnitude; the layers' signs make the sums go one way. */
function extreme(shape: Shape, signs: readonly number[], flag: 0 | 1): Int32Array {
  const vector = new Int32Array(shape.modelLength);
  shape.layers.forEach(({ weightsAt, biasesAt, outputs, flagAt }, layer) => {
    const sign = signs[layer] as number;
    vector.fill(sign * WEIGHT_MAX, weightsAt, biasesAt);
    // the bias takes the side that the products take
    vector.fill(sign * BIAS_MAX, biasesAt, biasesAt + outputs);
    if (flagAt !== undefined) vector[flagAt] = flag;
  });
  return vector;
}

/** Sums of a network of one neuron per layer, repeated: the same as of `extreme`, in plain bigint arithmetic. */
function extremeSums(shape: Shape, signs: readonly number[], input: bigint, flag: 0 | 1): bigint[] {
  let activation = input;
  return shape.layers.map(({ inputs }, layer) => {
    const sign = BigInt(signs[layer] as number);
    const sum = sign * (BigInt(WEIGHT_MAX) * activation * BigInt(inputs) + BigInt(BIAS_MAX));
    activation = sum >> 12n;
    if (flag === 1 && activation < 0n) activation = 0n;
    return sum;
  });
}

const within = ({ min, max }: Interval, value: bigint) => value >= min && value <= max;

describe("shapes", () => {
  const expected = {
    S: { dims: [16, 32, 32, 16], requestSignals: 4, modelLength: 2130, rows: 2 ** 13, sumBits: [34, 42, 50] },
    M: { dims: [32, 64, 64, 32, 16], requestSignals: 5, modelLength: 8883, rows: 2 ** 15, sumBits: [35, 44, 53, 61] },
    L: { dims: [64, 128, 128, 64], requestSignals: 13, modelLength: 33_090, rows: 2 ** 17, sumBits: [36, 46, 56] },
  };

  for (const [name, { rows, sumBits, ...rest }] of Object.entries(expected)) {
    const shape = SHAPES[name as keyof typeof SHAPES];
    const circuit = networkCircuit(shape);

    it(`${name} has its dimensions, and a circuit of at most ${rows} rows`, () => {
      expect(shape).to.deep.include(rest);
      expect(shape.layers.map((layer) => layer.sumBits)).to.deep.equal(sumBits);
      expect(circuit.rows)
        .to.be.at.most(rows)
        .and.above(rows / 2);
    });

    it(`${name}'s sums cannot leave their bits, whatever the model and the input`, () => {
      let activation = { min: BigInt(INPUT_MIN), max: BigInt(INPUT_MAX) };
      for (const { inputs, input, sum, sumBits: bits } of shape.layers) {
        expect(input).to.deep.equal(activation);
        // each product is largest at a corner of what weight and activation can be
        const corners = [activation.min, activation.max].flatMap((x) => [
          x * BigInt(WEIGHT_MAX),
          -x * BigInt(WEIGHT_MAX),
        ]);
        const largest = corners.reduce((a, b) => (a > b ? a : b));
        const bound = BigInt(inputs) * largest + BigInt(BIAS_MAX);
        expect(sum).to.deep.equal({ min: -bound, max: bound });
        expect(bound < 2n ** BigInt(bits)).to.equal(true);
        expect(bound >= 2n ** BigInt(bits - 1)).to.equal(true);
        // sum + 2^bits, in bits + 1 bits, means one sum only
        expect(2n ** BigInt(bits + 2) < SCALAR_FIELD).to.equal(true);
        activation = { min: -bound >> 12n, max: bound >> 12n };
      }
    });

    it(`${name}'s extreme models and inputs have witnesses, and come close to the bounds`, () => {
      const depth = shape.layers.length;
      let closest = 0;
      for (const flag of [0, 1] as const) {
        for (let choice = 0; choice < 2 ** depth; choice++) {
          const signs = Array.from({ length: depth }, (_, layer) => ((choice >> layer) & 1 ? 1 : -1));
          for (const input of [INPUT_MIN, INPUT_MAX]) {
            const sums = extremeSums(shape, signs, BigInt(input), flag);
            sums.forEach((sum, layer) =>
              expect(within((shape.layers[layer] as { sum: Interval }).sum, sum)).to.equal(true),
            );
            const last = sums.at(-1) as bigint;
            const bound = (shape.layers.at(-1) as { sum: Interval }).sum.max;
            closest = Math.max(closest, Number(((last < 0n ? -last : last) * 1000n) / bound) / 1000);
            // all of it for the small shape; a witness of L takes a second on a busy machine
            if (name !== "S" && choice % 5 !== 0) continue;
            const vector = extreme(shape, signs, flag);
            const inputs = new Array<number>(shape.inputs).fill(input);
            const outputs = runModel(shape, vector, inputs);
            const expectedOutput = Number(BigInt.asIntN(64, last >> 12n));
            expect(outputs[0]).to.equal(Math.min(Math.max(expectedOutput, OUTPUT_MIN), OUTPUT_MAX));
            const { outWords } = networkWitness(shape, { vector, inputs, context: 1n });
            expect(unpackOutputs(shape, outWords)).to.deep.equal(outputs);
          }
        }
      }
      expect(closest).to.be.above(0.85);
    });

    it(`${name}'s witness satisfies its circuit`, () => {
      const witness = networkWitness(shape, { vector: randomModel(shape), inputs: randomInputs(shape), context: 3n });
      expect(circuit.constraints.every((constraint) => holds(constraint, witness.values))).to.equal(true);
    });
  }

  it("refuse models with an entry out of range, and say which", () => {
    const vector = (index: number, value: number) => randomModel().with(index, value);
    const lastFlag = SHAPES.S.modelLength - 1;
    for (const [changed, says] of [
      [vector(5, WEIGHT_MAX + 1), "entry 5 (a weight of layer 0)"],
      [vector(512, BIAS_MAX + 1), "entry 512 (a bias of layer 0)"],
      [vector(lastFlag, 2), `entry ${lastFlag} (the flag of layer 1)`],
      [randomModel().slice(1), "Expected 2130 entries"],
    ] as const) {
      expect(() => checkModelVector(SHAPES.S, changed))
        .to.throw(says)
        .with.property("code", "zk_value_out_of_range");
    }
  });

  it("refuse dimensions that are none, or whose sums would be too long", () => {
    for (const dims of [[], [4], [0, 1], [1.5, 2], [1000, 2], new Array<number>(10).fill(2)]) {
      expect(() => defineShape("bad", dims), dims.join()).to.throw("Expected 2 to 9 widths");
    }
    expect(() => defineShape("deep", new Array<number>(7).fill(128))).to.throw("sums of at most 64 bits");
  });

  it("have the same integers in the runner as in the circuit, for random models", () => {
    const shape = defineShape("small", [5, 6, 7, 4, 3]);
    for (let seed = 1; seed <= 100; seed++) {
      const [vector, inputs] = [randomModel(shape, seed), randomInputs(shape, seed)];
      if (seed % 3 === 0) vector.fill(0, shape.modelLength - 3);
      if (seed % 4 === 0)
        vector.forEach(
          (entry, i) =>
            i < shape.modelLength - 3 && (vector[i] = Math.max(-WEIGHT_MAX, Math.min(entry * 8, WEIGHT_MAX))),
        );
      const { outWords } = networkWitness(shape, { vector, inputs, context: BigInt(seed) });
      expect(unpackOutputs(shape, outWords)).to.deep.equal(runModel(shape, vector, inputs));
    }
  });
});
