import { expect } from "chai";

import { commitmentOf } from "../../../simulator/zkml/commitment.ts";
import { contextSignal } from "../../../simulator/zkml/context.ts";
import type { G1Point, Groth16Proof } from "../../../simulator/zkml/curve.ts";
import { BASE_FIELD, SCALAR_FIELD } from "../../../simulator/zkml/field.ts";
import type { ShapeKey } from "../../../simulator/zkml/keys/ShapeKey.ts";
import { unpackOutputs } from "../../../simulator/zkml/packing.ts";
import { runModel } from "../../../simulator/zkml/runModel.ts";
import { SHAPES } from "../../../simulator/zkml/shape.ts";
import { verifyProof } from "../../../simulator/zkml/verifyProof.ts";
import { ANY_CONTEXT, developmentKey, provedSample, type ProvedSample, prover, randomModel } from "../../support/zk.ts";

describe("a proof of shape S", () => {
  let key: ShapeKey;
  let file: string;
  let sample: ProvedSample;

  before(async () => {
    ({ key, file } = await developmentKey());
    sample = await provedSample({ context: ANY_CONTEXT });
  });

  const accepts = (changed: { commitment?: G1Point; proof?: Groth16Proof; signals?: bigint[] }) =>
    verifyProof(
      key,
      changed.commitment ?? sample.commitment,
      changed.proof ?? sample.proof,
      changed.signals ?? sample.signals,
    );

  it("verifies, and its output is the integer model's", () => {
    expect(accepts({})).to.equal(true);
    expect(unpackOutputs(SHAPES.S, sample.outWords)).to.deep.equal(runModel(SHAPES.S, sample.vector, sample.inputs));
    expect(sample.signals[2]).to.equal(contextSignal(ANY_CONTEXT));
  });

  it("has the commitment that the prover folds", async () => {
    expect(await prover.fold(SHAPES.S, file, sample.vector)).to.deep.equal(sample.commitment);
  });

  for (const [what, index] of Object.entries({ "first output": 0, "last output": 1, context: 2, input: 3 })) {
    it(`fails with another ${what}`, () => {
      for (const delta of [1n, -1n, 2n ** 60n]) {
        const signals = sample.signals.with(index, (sample.signals[index] as bigint) + delta);
        expect(accepts({ signals }), `${delta}`).to.equal(false);
      }
    });

    it(`fails with an alias of its ${what}`, () => {
      const signals = sample.signals.with(index, (sample.signals[index] as bigint) + SCALAR_FIELD);
      expect(accepts({ signals })).to.equal(false);
    });
  }

  it("fails with its context negated", () => {
    const signals = sample.signals.with(2, SCALAR_FIELD - (sample.signals[2] as bigint));
    expect(accepts({ signals })).to.equal(false);
  });

  it("fails with more or fewer signals", () => {
    expect(accepts({ signals: sample.signals.slice(0, 3) })).to.equal(false);
    expect(accepts({ signals: [...sample.signals, 0n] })).to.equal(false);
  });

  it("fails for another model, even one that differs in a single entry", () => {
    expect(accepts({ commitment: commitmentOf(key, randomModel(SHAPES.S, 2)) })).to.equal(false);
    const close = sample.vector.with(77, (sample.vector[77] as number) + 1);
    expect(accepts({ commitment: commitmentOf(key, close) })).to.equal(false);
  });

  it("fails with points that are off the curve, out of range, or others", () => {
    const { a, b, c } = sample.proof;
    const wrong: Record<string, Groth16Proof> = {
      "off the curve": { a: [a[0], a[1] + 1n], b, c },
      "x beyond the field": { a: [a[0] + BASE_FIELD, a[1]], b, c },
      negated: { a: [a[0], BASE_FIELD - a[1]], b, c },
      "a for c": { a: c, b, c: a },
      identity: { a: [0n, 0n], b, c },
      "all identities": { a: [0n, 0n], b: [0n, 0n, 0n, 0n], c: [0n, 0n] },
      "real and imaginary parts exchanged": { a, b: [b[1], b[0], b[3], b[2]], c },
      "G2 beyond the field": { a, b: [b[0] + BASE_FIELD, b[1], b[2], b[3]], c },
    };
    for (const [what, proof] of Object.entries(wrong)) expect(accepts({ proof }), what).to.equal(false);
    expect(accepts({ commitment: [1n, 1n] })).to.equal(false);
  });
});
