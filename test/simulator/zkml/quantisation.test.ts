import { readFile } from "node:fs/promises";
import { expect } from "chai";
import { InferenceSession, Tensor } from "onnxruntime-node";

import { LIQUIDATION_RISK_MODEL } from "../../../simulator/models/liquidationRisk.ts";
import { SeededRandom } from "../../../simulator/models/SeededRandom.ts";
import { importModel } from "../../../simulator/zkml/quantise/importModel.ts";
import { piecewise } from "../../../simulator/zkml/quantise/piecewise.ts";
import { dequantiseOutputs, quantiseInputs, type ZkModel } from "../../../simulator/zkml/quantise/ZkModel.ts";
import { runModel } from "../../../simulator/zkml/runModel.ts";
import { defineShape, SHAPES } from "../../../simulator/zkml/shape.ts";
import { perceptron, pictureClassifier } from "../../support/onnxModels.ts";

const INPUTS = 1_000;

/** Inputs that quantisation hasn't seen, within what it was calibrated for. */
interface Subject {
  onnx: Uint8Array;
  dims: number[];
  draw: (random: SeededRandom) => number[];
}

/** Differences from onnxruntime over {@link INPUTS} random inputs. */
async function compare(model: ZkModel, { onnx, dims, draw }: Subject) {
  const session = await InferenceSession.create(onnx, { logSeverityLevel: 3 });
  const random = new SeededRandom(2);
  let [max, sum, count, agreed] = [0, 0, 0, 0];
  for (let run = 0; run < INPUTS; run++) {
    const input = draw(random);
    const feeds = { [session.inputNames[0] as string]: new Tensor("float32", Float32Array.from(input), dims) };
    const expected = [...((await session.run(feeds))[session.outputNames[0] as string]?.data as Float32Array)];
    const found = dequantiseOutputs(model, runModel(model.shape, model.vector, quantiseInputs(model, input)));
    found.forEach((value, i) => {
      const difference = Math.abs(value - (expected[i] as number));
      max = Math.max(max, difference);
      sum += difference;
      count++;
    });
    if (largest(found) === largest(expected)) agreed++;
  }
  await session.release();
  return { max, mean: sum / count, agreement: agreed / INPUTS };
}

const largest = (values: number[]) => values.indexOf(Math.max(...values));

function importSubject({ onnx, draw }: Subject) {
  const random = new SeededRandom(1);
  return importModel(onnx, { samples: Array.from({ length: 500 }, () => draw(random)) });
}

describe("quantised models", () => {
  const between = (length: number, reach: number) => (random: SeededRandom) =>
    Array.from({ length }, () => random.uniform(-reach, reach));

  it("a perceptron differs from onnxruntime by less than 0.001, and by less than its bound", async () => {
    const subject = { onnx: perceptron([12, 32, 24, 3], "Relu"), dims: [1, 12], draw: between(12, 3.9) };
    const { model, report } = importSubject(subject);
    expect(model.shape.name).to.equal("S");
    const { max, mean, agreement } = await compare(model, subject);
    expect(max).to.be.below(0.001).and.below(report.errorBound);
    expect(mean).to.be.below(0.0002);
    expect(agreement).to.be.at.least(0.999);
    expect(report.maxError).to.be.below(0.001);
  });

  it("a convolutional classifier agrees with onnxruntime on the class", async () => {
    const subject = { onnx: pictureClassifier(), dims: [1, 1, 6, 6], draw: between(36, 0.99) };
    const { model, report } = importSubject(subject);
    const { max, mean, agreement } = await compare(model, subject);
    expect(max).to.be.below(0.0005).and.below(report.errorBound);
    expect(mean).to.be.below(0.0001);
    expect(agreement).to.be.at.least(0.999);
  });

  it("the liquidation-risk model, with features from 0.005 to 180 and a sigmoid, differs by less than 0.003", async () => {
    const card = JSON.parse(await readFile(new URL("liquidation-risk.json", LIQUIDATION_RISK_MODEL), "utf8")) as {
      input: { features: { range: [number, number] }[] };
    };
    const ranges = card.input.features.map(({ range }) => range);
    const draw = (random: SeededRandom) => ranges.map(([low, high]) => random.uniform(low, high));
    const subject = { onnx: await readFile(LIQUIDATION_RISK_MODEL), dims: [1, 8], draw };
    // the ranges themselves too: a random input may come closer to their ends than any sample
    const random = new SeededRandom(1);
    const samples = [
      ...Array.from({ length: 500 }, () => draw(random)),
      ranges.map(([low]) => low),
      ranges.map(([, high]) => high),
    ];
    const { model, report } = importModel(subject.onnx, { samples });
    expect(model.shape.name).to.equal("M");
    expect(report.activations?.knots).to.equal(32);
    const { max, mean } = await compare(model, subject);
    expect(max).to.be.below(0.003).and.below(report.errorBound);
    expect(mean).to.be.below(0.001);
  });

  it("hidden tanh layers become ReLUs, more of them in a larger shape", async () => {
    const subject = { onnx: perceptron([6, 8, 2], "Tanh"), dims: [1, 6], draw: between(6, 1.9) };
    const random = new SeededRandom(1);
    const samples = Array.from({ length: 200 }, () => subject.draw(random));
    const small = importModel(subject.onnx, { samples });
    const large = importModel(subject.onnx, { samples, shapes: [SHAPES.L] });
    expect([small.model.shape.name, small.report.activations?.knots]).to.deep.equal(["M", 8]);
    expect([large.model.shape.name, large.report.activations?.knots]).to.deep.equal(["L", 16]);
    expect((await compare(small.model, subject)).max)
      .to.be.below(0.05)
      .and.below(small.report.errorBound);
    expect((await compare(large.model, subject)).max)
      .to.be.below(0.015)
      .and.below(large.report.errorBound);
  });

  it("weights beyond ±8 take a smaller scale than their input", async () => {
    const subject = { onnx: perceptron([6, 12, 2], "Relu", 1, 30), dims: [1, 6], draw: between(6, 0.99) };
    const { model } = importSubject(subject);
    const { max } = await compare(model, subject);
    // outputs are about 30² times as large as with ordinary weights
    expect(max / 900).to.be.below(0.001);
  });

  for (const activation of ["sigmoid", "tanh"] as const) {
    it(`${activation} is never further from its ReLUs than they say`, () => {
      const exact = activation === "tanh" ? Math.tanh : (x: number) => 1 / (1 + Math.exp(-x));
      for (const count of [8, 16, 32]) {
        const { start, knots, changes, error } = piecewise(activation, count);
        let worst = 0;
        for (let x = -20; x <= 20; x += 0.001) {
          const value = knots.reduce((sum, knot, k) => sum + (changes[k] as number) * Math.max(x - knot, 0), start);
          worst = Math.max(worst, Math.abs(value - exact(x)));
        }
        expect(worst)
          .to.be.at.most(error + 1e-12)
          .and.above(0.99 * error);
      }
    });
  }

  it("an identity layer after the network's last changes nothing", () => {
    const onnx = perceptron([8, 12, 4], "Relu");
    const random = new SeededRandom(3);
    const samples = Array.from({ length: 100 }, () => between(8, 2)(random));
    const exact = importModel(onnx, { samples, shapes: [defineShape("exact", [8, 12, 4])] }).model;
    const padded = importModel(onnx, { samples, shapes: [SHAPES.L] }).model;
    for (const sample of samples) {
      const [a, b] = [exact, padded].map((model) => runModel(model.shape, model.vector, quantiseInputs(model, sample)));
      expect([...(b as Int32Array).subarray(0, 4)]).to.deep.equal([...(a as Int32Array)]);
      expect([...(b as Int32Array).subarray(4)].every((value) => value === 0)).to.equal(true);
    }
  });

  it("a network that fits no shape is told what would", () => {
    expect(() => importModel(perceptron([16, 200, 4], "Relu"), { samples: [new Array<number>(16).fill(1)] }))
      .to.throw("A network of 16-200-4 fits no shape (S 16-32-32-16, M 32-64-64-32-16, L 64-128-128-64)")
      .with.property("code", "model_not_quantisable");
  });

  it("samples have to be inputs, and inputs have to be within the samples' scale", () => {
    const onnx = perceptron([2, 4, 1], "Relu");
    expect(() => importModel(onnx, { samples: [] })).to.throw("at least one sample");
    expect(() => importModel(onnx, { samples: [[1]] })).to.throw("sample 0 to be 2 finite numbers");
    expect(() => importModel(onnx, { samples: [[1, NaN]] })).to.throw("sample 0");
    const { model } = importModel(onnx, { samples: [[1, 1]] });
    expect(() => quantiseInputs(model, [1, 2.1]))
      .to.throw("input 1 between -2 and 1.9998")
      .with.property("code", "zk_value_out_of_range");
    expect(() => quantiseInputs(model, [NaN, 0])).to.throw("input 0");
  });
});
