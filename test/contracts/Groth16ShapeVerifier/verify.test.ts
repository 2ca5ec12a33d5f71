import { expect } from "chai";

import { G2_GENERATOR } from "../../../simulator/zkml/curve.ts";
import { BASE_FIELD, SCALAR_FIELD } from "../../../simulator/zkml/field.ts";
import { SHAPES } from "../../../simulator/zkml/shape.ts";
import { verifyProof } from "../../../simulator/zkml/verifyProof.ts";
import { DevelopmentShapeL__factory, DevelopmentShapeM__factory } from "../../../typechain-types/index.ts";
import { freshState } from "../../support/freshState.ts";
import { gasOfCall } from "../../support/gasOfCall.ts";
import { commitmentFor, developmentKey, provedSample, randomModel } from "../../support/zk.ts";
import { forgedProof, OUTSIDE_SUBGROUP, rerandomised } from "../../support/zkForgery.ts";
import { proofStruct } from "../../support/zkModels.ts";
import { claimOf, createStage, holds, itemOf, type Claim } from "./stage.ts";

const NEGATED = (y: bigint) => BASE_FIELD - y;
describe("Groth16ShapeVerifier.verify", () => {
  const state = freshState(createStage);

  it("verify_proofsOfTheProver_holdForTheirModelOnly", async () => {
    const stage = state();
    const sample = await provedSample({ context: 42n });
    expect(await holds(stage, sample)).to.equal(true);
    expect(await holds(stage, { ...sample, commitment: stage.models[1] })).to.equal(false);
  });

  it("verify_anotherSignal_isFalse", async () => {
    const stage = state();
    const claim = claimOf(stage, 1);
    expect(await holds(stage, claim)).to.equal(true);
    for (let i = 0; i < claim.signals.length; i++) {
      for (const signal of [claim.signals[i]! + 1n, 0n, SCALAR_FIELD - 1n]) {
        const signals = claim.signals.with(i, signal);
        expect(await holds(stage, { ...claim, signals }), `signal ${i}`).to.equal(false);
      }
    }
  });

  it("verify_aliasesOfSignals_areFalse", async () => {
    const stage = state();
    const claim = claimOf(stage, 2);
    for (let i = 0; i < claim.signals.length; i++) {
      const signals = claim.signals.with(i, claim.signals[i]! + SCALAR_FIELD);
      expect(await holds(stage, { ...claim, signals }), `signal ${i}`).to.equal(false);
    }
    const zero = { ...claim, signals: claim.signals.with(0, 0n) };
    zero.proof = forgedProof(stage.key, zero.commitment, zero.signals);
    expect(await holds(stage, zero)).to.equal(true);
    expect(await holds(stage, { ...zero, signals: zero.signals.with(0, SCALAR_FIELD) })).to.equal(false);
    expect(await holds(stage, { ...zero, signals: zero.signals.with(0, 2n ** 256n - 1n) })).to.equal(false);
  });

  it("verify_moreOrFewerSignals_isFalse", async () => {
    const stage = state();
    const claim = claimOf(stage, 3);
    for (const signals of [[], claim.signals.slice(0, 3), [...claim.signals, 0n]]) {
      expect(await holds(stage, { ...claim, signals })).to.equal(false);
    }
  });

  /** Every way to write a point that is not the proof's own, by the field it goes to. */
  const POINTS: Record<string, (claim: Claim) => Partial<Claim["proof"]>> = {
    "negated A": ({ proof: { a } }) => ({ a: [a[0], NEGATED(a[1])] }),
    "negated C": ({ proof: { c } }) => ({ c: [c[0], NEGATED(c[1])] }),
    "negated B": ({ proof: { b } }) => ({ b: [b[0], b[1], NEGATED(b[2]), NEGATED(b[3])] }),
    "identity for A": () => ({ a: [0n, 0n] }),
    "identity for B": () => ({ b: [0n, 0n, 0n, 0n] }),
    "identity for C": () => ({ c: [0n, 0n] }),
    "identity everywhere": () => ({ a: [0n, 0n], b: [0n, 0n, 0n, 0n], c: [0n, 0n] }),
    "A off the curve": ({ proof: { a } }) => ({ a: [a[0], a[1] ^ 1n] }),
    "C off the curve": ({ proof: { c } }) => ({ c: [c[0] ^ 1n, c[1]] }),
    "B off the curve": ({ proof: { b } }) => ({ b: [b[0], b[1], b[2], b[3] ^ 1n] }),
    "B outside the subgroup": () => ({ b: OUTSIDE_SUBGROUP }),
    "generator for B": () => ({ b: G2_GENERATOR }),
    "A's x plus the modulus": ({ proof: { a } }) => ({ a: [a[0] + BASE_FIELD, a[1]] }),
    "A's y plus the modulus": ({ proof: { a } }) => ({ a: [a[0], a[1] + BASE_FIELD] }),
    "C's y plus the modulus": ({ proof: { c } }) => ({ c: [c[0], c[1] + BASE_FIELD] }),
    "B's x plus the modulus": ({ proof: { b } }) => ({ b: [b[0] + BASE_FIELD, b[1], b[2], b[3]] }),
    "B's parts swapped": ({ proof: { b } }) => ({ b: [b[1], b[0], b[3], b[2]] }),
    "A and C swapped": ({ proof: { a, c } }) => ({ a: c, c: a }),
    "the greatest words": () => ({ a: [2n ** 256n - 1n, 2n ** 256n - 1n] }),
  };

  for (const [what, change] of Object.entries(POINTS)) {
    it(`verify_${what}_isFalse`, async () => {
      const stage = state();
      const claim = claimOf(stage, 4);
      const changed = { ...claim, proof: { ...claim.proof, ...change(claim) } };
      expect(await holds(stage, changed)).to.equal(false);
      expect(verifyProof(stage.key, changed.commitment, changed.proof, changed.signals)).to.equal(false);
    });
  }

  it("verify_commitmentThatIsNone_isFalse", async () => {
    const stage = state();
    const claim = claimOf(stage, 5);
    const [x, y] = claim.commitment;
    for (const commitment of [
      [x, y ^ 1n],
      [x + BASE_FIELD, y],
      [x, NEGATED(y)],
      [0n, 0n],
    ] as const) {
      expect(await holds(stage, { ...claim, commitment })).to.equal(false);
    }
  });

  it("verify_aProofInOtherClothes_holds", async () => {
    const stage = state();
    const claim = claimOf(stage, 6);
    const proof = rerandomised(claim.proof);
    expect(proof).to.not.deep.equal(claim.proof);
    expect(await holds(stage, { ...claim, proof })).to.equal(true);
  });

  it("verify_whatNobleSays_isWhatTheChainSays", async () => {
    const stage = state();
    for (let seed = 10; seed < 22; seed++) {
      const claim = claimOf(stage, seed, seed % 2 === 0 ? 0 : 1);
      // every third one is false in one of its signals
      if (seed % 3 === 0) claim.signals[seed % 4]! ^= 1n << BigInt(seed);
      const expected = verifyProof(stage.key, claim.commitment, claim.proof, claim.signals);
      expect(expected).to.equal(seed % 3 !== 0);
      expect(await holds(stage, claim), `seed ${seed}`).to.equal(expected);
    }
  });

  it("verify_shapesMAndL_holdForProofsOfTheirKeys", async () => {
    const [deployer] = await state().connection.ethers.getSigners();
    for (const [shape, factory] of [
      [SHAPES.M, DevelopmentShapeM__factory],
      [SHAPES.L, DevelopmentShapeL__factory],
    ] as const) {
      const { key } = await developmentKey(shape);
      const verifier = await new factory(deployer!).deploy();
      const commitment = await commitmentFor(randomModel(shape), shape);
      const signals = Array.from({ length: shape.requestSignals }, (_, i) => BigInt(i + 1));
      const proof = forgedProof(key, commitment, signals);
      expect(await verifier.verify(...commitment, proofStruct(proof), signals)).to.equal(true);
      for (let i = 0; i < signals.length; i++) {
        expect(await verifier.verify(...commitment, proofStruct(proof), signals.with(i, 0n)), `signal ${i}`).to.equal(
          false,
        );
      }
      const item = itemOf({ commitment, proof, signals });
      expect(await verifier.verifyBatch([...item, ...item])).to.equal(true);
      expect(await verifier.verifyBatch([...item, ...item.with(-1, 0n)])).to.equal(false);
    }
  });

  describe("gas", () => {
    it("verify_proofThatFailsInAPrecompile_doesNotTakeAllGas", async () => {
      const { connection, verifier, ...stage } = state();
      const claim = claimOf({ connection, verifier, ...stage }, 7);
      const to = await verifier.getAddress();
      const gasOf = (proof: Claim["proof"]) => {
        const data = verifier.interface.encodeFunctionData("verify", [
          ...claim.commitment,
          proofStruct(proof),
          claim.signals,
        ]);
        return gasOfCall(connection, { to, data });
      };
      const good = await gasOf(claim.proof);
      expect(good).to.be.lessThan(212_000);
      expect(await gasOf({ ...claim.proof, b: OUTSIDE_SUBGROUP })).to.be.lessThan(3 * good);
    });

    it("verify_withTooLittleGasToTell_revertsAndNeverSaysFalse", async () => {
      const stage = state();
      const { verifier } = stage;
      const { commitment, proof, signals } = claimOf(stage, 8);
      let answers = 0;
      // below this the precompiles cannot all run; the base fee and the calldata come on top
      for (let gasLimit = 60_000; gasLimit < 260_000; gasLimit += 2_500) {
        const answer = await verifier
          .verify(...commitment, proofStruct(proof), signals, { gasLimit })
          .catch(() => undefined);
        if (answer !== undefined) answers++;
        expect(answer, `${gasLimit} gas`).to.not.equal(false);
      }
      expect(answers).to.be.greaterThan(0);
    });

    it("verify_badProofWithLittleGas_revertsInsufficientGas", async () => {
      const stage = state();
      const { verifier } = stage;
      const { commitment, proof, signals } = claimOf(stage, 9);
      const bad = proofStruct({ ...proof, b: OUTSIDE_SUBGROUP });
      await expect(verifier.verify(...commitment, bad, signals, { gasLimit: 300_000 })).to.be.revertedWithCustomError(
        verifier,
        "InsufficientGas",
      );
      expect(await verifier.verify(...commitment, bad, signals, { gasLimit: 1_000_000 })).to.equal(false);
    });
  });
});
