import { expect } from "chai";
import fc from "fast-check";

import { INPUT_MAX, INPUT_MIN, OUTPUT_MAX, OUTPUT_MIN } from "../../../simulator/zkml/fixedPoint.ts";
import { packInputs, packOutputs, unpackInputs, unpackOutputs } from "../../../simulator/zkml/packing.ts";
import { defineShape, SHAPES } from "../../../simulator/zkml/shape.ts";
import { SCALAR_FIELD } from "../../../simulator/zkml/field.ts";

describe("packed tensors", () => {
  // 18 inputs and 9 outputs: a full word and one with few lanes
  const shape = defineShape("odd", [18, 9]);

  it("come back as they were", () => {
    const inputs = fc.array(fc.integer({ min: INPUT_MIN, max: INPUT_MAX }), { minLength: 18, maxLength: 18 });
    const outputs = fc.array(fc.integer({ min: OUTPUT_MIN, max: OUTPUT_MAX }), { minLength: 9, maxLength: 9 });
    fc.assert(
      fc.property(inputs, outputs, (x, y) => {
        expect([...unpackInputs(shape, packInputs(shape, x))]).to.deep.equal(x);
        expect([...unpackOutputs(shape, packOutputs(shape, y))]).to.deep.equal(y);
      }),
    );
  });

  it("have element i, plus half the lane's range, at bit 15 i of an input word and 31 i of an output word", () => {
    const inputs = Array.from({ length: 18 }, (_, i) => i);
    const outputs = Array.from({ length: 9 }, (_, i) => -i);
    const sum = (values: number[], bits: number) =>
      values.reduce((word, x, i) => word + BigInt(x + 2 ** (bits - 1)) * 2n ** BigInt(bits * i), 0n);
    expect(packInputs(shape, inputs)).to.deep.equal([sum(inputs.slice(0, 16), 15), sum(inputs.slice(16), 15)]);
    expect(packOutputs(shape, outputs)).to.deep.equal([sum(outputs.slice(0, 8), 31), sum(outputs.slice(8), 31)]);
  });

  it("are field elements, whatever they hold", () => {
    const largest = packOutputs(SHAPES.S, new Array(16).fill(OUTPUT_MAX));
    expect(largest).to.have.length(2);
    expect(largest.every((word) => word < SCALAR_FIELD)).to.equal(true);
  });

  for (const [what, values] of Object.entries({
    "too small": [INPUT_MIN - 1],
    "too large": [INPUT_MAX + 1],
    "not whole": [0.5],
    "not a number": [NaN],
  })) {
    it(`refuse an element that is ${what}`, () => {
      const x = [...new Array<number>(17).fill(0), ...values];
      expect(() => packInputs(shape, x))
        .to.throw("element 17")
        .with.property("code", "zk_value_out_of_range");
    });
  }

  it("refuse tensors and words of another length, and words with more than the lanes", () => {
    expect(() => packInputs(shape, [1])).to.throw("Expected 18 input elements, found 1");
    expect(() => unpackInputs(shape, [0n])).to.throw("Expected 2 input words, found 1");
    expect(() => unpackOutputs(shape, [0n, 1n << 31n])).to.throw("word 1 to hold 1 lanes of 31 bits");
    expect(() => unpackOutputs(shape, [-1n, 0n])).to.throw("word 0");
  });
});
