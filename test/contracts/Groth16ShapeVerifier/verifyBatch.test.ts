import { bn254 } from "@noble/curves/bn254.js";
import { expect } from "chai";

import { fromG1, type G1Point, toG1 } from "../../../simulator/zkml/curve.ts";
import { SCALAR_FIELD } from "../../../simulator/zkml/field.ts";
import { freshState } from "../../support/freshState.ts";
import { OUTSIDE_SUBGROUP, rerandomised } from "../../support/zkForgery.ts";
import { allHold, claimOf, createStage, itemOf, type Claim, type Stage } from "./stage.ts";

/** Claims of one model and then of another. */
const claimsOf = (stage: Stage, count: number, first = 100): Claim[] =>
  Array.from({ length: count }, (_, i) => claimOf(stage, first + i, i < count / 2 ? 0 : 1));

const replaced = (claims: readonly Claim[], index: number, change: Partial<Claim>): Claim[] =>
  claims.with(index, { ...claims[index]!, ...change });

describe("Groth16ShapeVerifier.verifyBatch", () => {
  const state = freshState(createStage);

  it("verifyBatch_goodProofs_hold", async () => {
    const stage = state();
    for (const count of [1, 2, 3, 16]) {
      expect(await allHold(stage, claimsOf(stage, count)), `${count} proofs`).to.equal(true);
    }
  });

  it("verifyBatch_modelsInAnyOrder_hold", async () => {
    const stage = state();
    const claims = [0, 1, 0, 0, 1].map((model, i) => claimOf(stage, 200 + i, model as 0 | 1));
    expect(await allHold(stage, claims)).to.equal(true);
  });

  it("verifyBatch_theSameProofTwice_holds", async () => {
    const stage = state();
    const [claim] = claimsOf(stage, 1) as [Claim];
    expect(await allHold(stage, [claim, claim, { ...claim, proof: rerandomised(claim.proof) }])).to.equal(true);
  });

  it("verifyBatch_oneBadAmongMany_isFalse", async () => {
    const stage = state();
    for (const count of [1, 2, 5]) {
      const claims = claimsOf(stage, count);
      for (let i = 0; i < count; i++) {
        for (let j = 0; j < 4; j++) {
          const signals = claims[i]!.signals.with(j, claims[i]!.signals[j]! + 1n);
          expect(await allHold(stage, replaced(claims, i, { signals })), `${i} of ${count}`).to.equal(false);
        }
      }
    }
  });

  it("verifyBatch_swappedProofs_areFalse", async () => {
    const stage = state();
    const claims = claimsOf(stage, 4);
    const [first, second] = claims as [Claim, Claim];
    const swapped = [{ ...first, proof: second.proof }, { ...second, proof: first.proof }, ...claims.slice(2)];
    expect(await allHold(stage, swapped)).to.equal(false);
    const swappedSignals = replaced(replaced(claims, 0, { signals: second.signals }), 1, { signals: first.signals });
    expect(await allHold(stage, swappedSignals)).to.equal(false);
  });

  it("verifyBatch_swappedModels_areFalse", async () => {
    const stage = state();
    const claims = claimsOf(stage, 2);
    const [one, other] = stage.models;
    expect(await allHold(stage, replaced(replaced(claims, 0, { commitment: other }), 1, { commitment: one }))).to.equal(
      false,
    );
  });

  it("verifyBatch_errorsThatCancel_areFalse", async () => {
    // with equal coefficients each of these would pass: what is missing in one proof is in the other
    const stage = state();
    const claims = claimsOf(stage, 2);
    const shift = bn254.G1.Point.BASE.multiply(5n);
    const moved = (point: G1Point, by: typeof shift) => fromG1(toG1(point).add(by));
    const [one, other] = claims as [Claim, Claim];
    expect(
      await allHold(stage, [
        { ...one, proof: { ...one.proof, c: moved(one.proof.c, shift) } },
        { ...other, proof: { ...other.proof, c: moved(other.proof.c, shift.negate()) } },
      ]),
    ).to.equal(false);
    expect(
      await allHold(stage, [
        { ...one, signals: one.signals.with(0, one.signals[0]! + 1n) },
        { ...other, signals: other.signals.with(0, other.signals[0]! - 1n) },
      ]),
    ).to.equal(false);
    expect(
      await allHold(stage, [
        { ...one, commitment: moved(one.commitment, shift) },
        { ...other, commitment: moved(other.commitment, shift.negate()) },
      ]),
    ).to.equal(false);
  });

  it("verifyBatch_aliasesAndPointsThatAreNone_areFalse", async () => {
    const stage = state();
    const claims = claimsOf(stage, 3);
    for (const index of [0, 2]) {
      const { signals, proof, commitment } = claims[index]!;
      const { a, b, c } = proof;
      for (const change of [
        { signals: signals.with(0, signals[0]! + SCALAR_FIELD) },
        { signals: signals.with(3, 2n ** 256n - 1n) },
        { proof: { ...proof, a: [a[0], a[1] ^ 1n] as const } },
        { proof: { ...proof, a: [0n, 0n] as const } },
        { proof: { ...proof, a: [2n ** 256n - 1n, a[1]] as const } },
        { proof: { ...proof, b: OUTSIDE_SUBGROUP } },
        { proof: { ...proof, b: [b[0], b[1], b[2], b[3] ^ 1n] as const } },
        { proof: { ...proof, c: [c[0] ^ 1n, c[1]] as const } },
        { proof: { ...proof, c: [0n, 0n] as const } },
        { commitment: [commitment[0], commitment[1] ^ 1n] as const },
        { commitment: [0n, 0n] as const },
      ]) {
        expect(await allHold(stage, replaced(claims, index, change))).to.equal(false);
      }
    }
  });

  it("verifyBatch_noItemsOrPartOfOne_isFalse", async () => {
    const { verifier, ...stage } = state();
    const words = itemOf(claimOf({ verifier, ...stage }, 1));
    for (const items of [[], words.slice(0, -1), [...words, 0n], [...words, ...words.slice(0, 13)]]) {
      expect(await verifier.verifyBatch(items)).to.equal(false);
    }
  });

  it("verifyBatch_withTooLittleGasToTell_revertsAndNeverSaysFalse", async () => {
    const stage = state();
    const items = claimsOf(stage, 2).flatMap(itemOf);
    let answers = 0;
    for (let gasLimit = 100_000; gasLimit < 420_000; gasLimit += 5_000) {
      const answer = await stage.verifier.verifyBatch(items, { gasLimit }).catch(() => undefined);
      if (answer !== undefined) answers++;
      expect(answer, `${gasLimit} gas`).to.not.equal(false);
    }
    expect(answers).to.be.greaterThan(0);
  });
});
