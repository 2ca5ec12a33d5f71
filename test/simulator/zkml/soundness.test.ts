import { expect } from "chai";

import { signalLayout } from "../../../simulator/zkml/circuit/emitNetwork.ts";
import { networkCircuit } from "../../../simulator/zkml/circuit/networkCircuit.ts";
import { networkWitness } from "../../../simulator/zkml/circuit/witness.ts";
import { mod, SCALAR_FIELD } from "../../../simulator/zkml/field.ts";
import {
  BIAS_MAX,
  INPUT_MAX,
  INPUT_MIN,
  OUTPUT_MAX,
  OUTPUT_MIN,
  WEIGHT_MAX,
} from "../../../simulator/zkml/fixedPoint.ts";
import type { ModelVector } from "../../../simulator/zkml/modelVector.ts";
import { unpackOutputs } from "../../../simulator/zkml/packing.ts";
import { runModel } from "../../../simulator/zkml/runModel.ts";
import { defineShape, type Shape } from "../../../simulator/zkml/shape.ts";
import { constraintsByWire, holds } from "../../support/constraints.ts";
import { randomInputs, randomModel } from "../../support/zk.ts";

/** Three hidden layers, so that outputs can saturate, and nine outputs, so that there are two output words. */
const TINY = defineShape("tiny", [3, 4, 3, 4, 9]);

/** All weights and biases at their largest, of one sign, so that every output saturates. */
function extremeModel(shape: Shape, sign: 1 | -1, relu: 0 | 1): ModelVector {
  const vector = new Int32Array(shape.modelLength);
  for (const { weightsAt, biasesAt, outputs, flagAt, last } of shape.layers) {
    const side = last ? sign : 1;
    vector.fill(side * WEIGHT_MAX, weightsAt, biasesAt);
    vector.fill(side * BIAS_MAX, biasesAt, biasesAt + outputs);
    if (flagAt !== undefined) vector[flagAt] = relu;
  }
  return vector;
}

/** Outputs beyond either end of their range, and others within it. */
function mixedModel(shape: Shape): ModelVector {
  const vector = extremeModel(shape, 1, 1);
  const { weightsAt, biasesAt, inputs } = shape.layers.at(-1) as Shape["layers"][number];
  vector.fill(-WEIGHT_MAX, weightsAt + 2 * inputs, weightsAt + 4 * inputs);
  for (let i = weightsAt + 4 * inputs; i < biasesAt; i++) vector[i] = (i % 7) - 3;
  return vector;
}

describe("the circuit", () => {
  const circuit = networkCircuit(TINY);
  const layout = signalLayout(TINY);
  const models: Record<string, { vector: ModelVector; inputs: number[] }> = {
    "a random model": { vector: randomModel(TINY, 1), inputs: randomInputs(TINY, 1) },
    "a model of zeros": { vector: new Int32Array(TINY.modelLength), inputs: [0, 0, 0] },
    "identity layers": { vector: randomModel(TINY, 3).fill(0, TINY.modelLength - 3), inputs: randomInputs(TINY, 3) },
    "all outputs saturated upwards": { vector: extremeModel(TINY, 1, 1), inputs: [INPUT_MAX, INPUT_MAX, INPUT_MAX] },
    "all outputs saturated downwards": { vector: extremeModel(TINY, -1, 1), inputs: [INPUT_MAX, INPUT_MAX, INPUT_MAX] },
    "some outputs saturated": { vector: mixedModel(TINY), inputs: [INPUT_MAX, INPUT_MAX, INPUT_MAX] },
    "negative inputs": { vector: randomModel(TINY, 4), inputs: [INPUT_MIN, -1, INPUT_MIN + 1] },
  };

  for (const [what, { vector, inputs }] of Object.entries(models)) {
    describe(`with ${what}`, () => {
      const witness = networkWitness(TINY, { vector, inputs, context: 9n });

      it("is satisfied by its witness, whose outputs are the integer model's", () => {
        expect(witness.values).to.have.length(circuit.wires);
        expect(circuit.constraints.every((constraint) => holds(constraint, witness.values))).to.equal(true);
        expect(unpackOutputs(TINY, witness.outWords)).to.deep.equal(runModel(TINY, vector, inputs));
      });

      it("is broken by every change of a single request signal or private wire", () => {
        const among = constraintsByWire(circuit.constraints, circuit.wires);
        const accepted: number[] = [];
        for (let wire = 1; wire < circuit.wires; wire++) {
          // the model's signals are the verifier's own: its commitment
          if (wire >= layout.model && wire <= layout.count) continue;
          const value = witness.values[wire] as bigint;
          for (const other of [value + 1n, value - 1n, -value, 1n - value, 0n, 1n, value + 2n ** 31n, 12345n]) {
            if (mod(other) === value) continue;
            const changed = witness.values.with(wire, mod(other));
            if ((among[wire] ?? []).every((constraint) => holds(constraint, changed))) accepted.push(wire);
          }
        }
        expect(accepted).to.deep.equal([]);
      });
    });
  }

  it("saturates where the models say so", () => {
    const outputs = (name: string) => {
      const { vector, inputs } = models[name] as { vector: ModelVector; inputs: number[] };
      return [...runModel(TINY, vector, inputs)];
    };
    expect(new Set(outputs("all outputs saturated upwards"))).to.deep.equal(new Set([OUTPUT_MAX]));
    expect(new Set(outputs("all outputs saturated downwards"))).to.deep.equal(new Set([OUTPUT_MIN]));
    const some = outputs("some outputs saturated");
    expect(some).to.include(OUTPUT_MAX).and.include(OUTPUT_MIN);
    expect(some.some((value) => value > OUTPUT_MIN && value < OUTPUT_MAX)).to.equal(true);
  });

  it("has every public signal in a constraint", () => {
    const among = constraintsByWire(circuit.constraints, circuit.wires);
    const unused = among.flatMap((found, wire) => (found.length === 0 ? [wire] : []));
    expect(unused).to.deep.equal([]);
  });

  it("has no witness for an input beyond its lane, even if the words are made to fit", () => {
    const { vector, inputs } = models["a random model"] as { vector: ModelVector; inputs: number[] };
    const witness = networkWitness(TINY, { vector, inputs, context: 9n });
    const firstInput = layout.count + 2;
    expect(mod(BigInt(inputs[0] as number))).to.equal(witness.values[firstInput]);
    // an input of 2^14 takes the next lane's lowest bit: the word is the same as for another pair of inputs
    const moved = witness.values
      .with(firstInput, mod((witness.values[firstInput] as bigint) + 2n ** 15n))
      .with(firstInput + 17, mod((witness.values[firstInput + 17] as bigint) - 1n));
    const broken = circuit.constraints.filter((constraint) => !holds(constraint, moved));
    expect(broken.length).to.be.greaterThan(0);
  });

  it("refuses contexts outside of the field", () => {
    const { vector, inputs } = models["a random model"] as { vector: ModelVector; inputs: number[] };
    for (const context of [-1n, SCALAR_FIELD]) {
      expect(() => networkWitness(TINY, { vector, inputs, context })).to.throw("Expected a context in [0, R)");
    }
  });
});
