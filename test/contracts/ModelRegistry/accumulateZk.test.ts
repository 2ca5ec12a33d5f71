import { expect } from "chai";

import { fromG1, type G1Point, toG1 } from "../../../simulator/zkml/curve.ts";
import { modelBase } from "../../../simulator/zkml/keys/ShapeKey.ts";
import type { ModelVector } from "../../../simulator/zkml/modelVector.ts";
import { weightsHash } from "../../../simulator/zkml/modelVector.ts";
import { SHAPES } from "../../../simulator/zkml/shape.ts";
import { VERIFIER_STAKE } from "../../support/batches.ts";
import { fieldsOf } from "../../support/fieldsOf.ts";
import { freshState } from "../../support/freshState.ts";
import { increaseTime, Role, ZK_TERMS } from "../../support/protocol.ts";
import { commitmentFor, prover, developmentKey, randomModel } from "../../support/zk.ts";
import {
  attestZk,
  challengeZk,
  createZkWorld,
  publishZkModel,
  registerZk,
  REPOSITORY_BONDS,
  STEP_ENTRIES,
  usableZkModel,
  zkStep,
  type ZkModel,
  type ZkWorld,
} from "../../support/zkModels.ts";

const LENGTH = SHAPES.S.modelLength;
const REWARD = (ZK_TERMS.bond * BigInt(ZK_TERMS.rewardBps)) / 10_000n;
/** What a verifier loses for its vote. */
const SLASH = (VERIFIER_STAKE * BigInt(ZK_TERMS.voterSlashBps)) / 10_000n;

/** Attested though it is another model's. */
const wrongModel = async (world: ZkWorld): Promise<ZkModel> =>
  usableZkModel(world, { commitment: await commitmentFor(randomModel(undefined, 2)) });

/** The sum that is a vector's commitment, whatever its entries are; it differs in few from an ordinary one. */
async function sumOf(world: ZkWorld, vector: ModelVector): Promise<G1Point> {
  const base = randomModel();
  let sum = toG1(await commitmentFor(base));
  vector.forEach((entry, i) => {
    const delta = BigInt(entry - base[i]!);
    if (delta === 0n) return;
    const point = toG1(modelBase(world.keyS, i)).multiply(delta < 0n ? -delta : delta);
    sum = sum.add(delta < 0n ? point.negate() : point);
  });
  return fromG1(sum);
}

describe("ModelRegistry.accumulateZk", function () {
  // two thousand multiplications a challenge
  this.timeout(300_000);
  const state = freshState(createZkWorld);

  it("accumulateZk_wrongCommitment_endsTheVersionPaysAndSlashes", async () => {
    const world = state();
    const { models, opg, staking, repositoryId, challenger, verifiers } = world;
    const { modelId, ...model } = await wrongModel(world);
    const supply = await opg.totalSupply();
    const held = await opg.balanceOf(challenger);
    await expect(challengeZk(world, { modelId, ...model }))
      .to.emit(models, "ZkProvenWrong")
      .withArgs(modelId, challenger, REWARD, 4n * SLASH);
    expect((await models.zkVersion(modelId)).status).to.equal(4n);
    expect(await models.isZkUsable(modelId)).to.equal(false);
    expect((await models.termsOf(modelId)).modes).to.equal(1n);
    expect([...(await models.zkBonds(repositoryId))]).to.deep.equal([REPOSITORY_BONDS - ZK_TERMS.bond, 0n]);
    for (const { operator } of verifiers) {
      expect(await staking.activeStake(operator, Role.Verifier)).to.equal(VERIFIER_STAKE - SLASH);
    }
    const rewarded = (4n * SLASH * BigInt(ZK_TERMS.rewardBps)) / 10_000n;
    expect(await staking.credits(challenger)).to.equal(rewarded);
    expect(await opg.balanceOf(challenger)).to.equal(held + REWARD);
    expect(await opg.totalSupply()).to.equal(supply - (ZK_TERMS.bond - REWARD) - (4n * SLASH - rewarded));
    expect(await opg.balanceOf(models)).to.equal(REPOSITORY_BONDS - ZK_TERMS.bond);
    // for ever
    await expect(registerZk(world, { modelId, ...model }))
      .to.be.revertedWithCustomError(models, "WrongZkStatus")
      .withArgs(4n);
    await expect(zkStep(world, { modelId, ...model }, 0, 128))
      .to.be.revertedWithCustomError(models, "WrongZkStatus")
      .withArgs(4n);
  });

  it("accumulateZk_rightCommitment_reverts", async () => {
    const world = state();
    const model = await usableZkModel(world);
    await expect(challengeZk(world, model))
      .to.be.revertedWithCustomError(world.models, "CommitmentHolds")
      .withArgs(model.modelId);
    expect(await world.models.isZkUsable(model.modelId)).to.equal(true);
  });

  it("accumulateZk_sum_isTheProversCommitment", async () => {
    const world = state();
    const { models, challenger } = world;
    const model = await usableZkModel(world);
    await zkStep(world, model, 0, STEP_ENTRIES);
    const half = fieldsOf(await models.zkChallenge(model.modelId, challenger));
    const cut = model.vector.map((entry, i) => (i < STEP_ENTRIES ? entry : 0));
    const { file } = await developmentKey();
    expect([half.x, half.y]).to.deep.equal(await prover.fold(SHAPES.S, file, cut));
    expect([half.entries, half.outOfRange]).to.deep.equal([BigInt(STEP_ENTRIES), false]);
  });

  it("accumulateZk_ofARegistrationNobodyAttested_takesTheBondOnly", async () => {
    const world = state();
    const model = await publishZkModel(world, { commitment: world.keyS.ic[0]! });
    await registerZk(world, model);
    await expect(challengeZk(world, model))
      .to.emit(world.models, "ZkProvenWrong")
      .withArgs(model.modelId, world.challenger, REWARD, 0n);
    expect([...(await world.models.zkBonds(world.repositoryId))]).to.deep.equal([REPOSITORY_BONDS - ZK_TERMS.bond, 0n]);
  });

  it("accumulateZk_afterTheRelease_stillEndsTheVersion", async () => {
    const world = state();
    const { models, staking, verifiers } = world;
    const model = await wrongModel(world);
    await increaseTime(world, ZK_TERMS.accountability + 1);
    await models.releaseZkBond(model.modelId);
    await expect(challengeZk(world, model))
      .to.emit(models, "ZkProvenWrong")
      .withArgs(model.modelId, world.challenger, 0n, 0n);
    expect(await models.isZkUsable(model.modelId)).to.equal(false);
    expect(await staking.activeStake(verifiers[0]!.operator, Role.Verifier)).to.equal(VERIFIER_STAKE);
    expect([...(await models.zkBonds(world.repositoryId))]).to.deep.equal([REPOSITORY_BONDS, 0n]);
  });

  it("accumulateZk_afterTheAccountabilityBeforeTheRelease_takesTheBondOnly", async () => {
    const world = state();
    const model = await wrongModel(world);
    await increaseTime(world, ZK_TERMS.accountability + 1);
    await expect(challengeZk(world, model))
      .to.emit(world.models, "ZkProvenWrong")
      .withArgs(model.modelId, world.challenger, REWARD, 0n);
    await expect(world.models.releaseZkBond(model.modelId)).to.be.revertedWithCustomError(
      world.models,
      "WrongZkStatus",
    );
  });

  it("accumulateZk_onlyApprovingVerifiers_areSlashed", async () => {
    const world = state();
    const { staking, verifiers } = world;
    const model = await publishZkModel(world, { commitment: world.keyS.ic[0]! });
    await registerZk(world, model);
    await attestZk(world, model.modelId, [0, 2, 3]);
    await challengeZk(world, model);
    const stakes = await Promise.all(verifiers.map(({ operator }) => staking.activeStake(operator, Role.Verifier)));
    expect(stakes.map((stake) => VERIFIER_STAKE - stake)).to.deep.equal([SLASH, 0n, SLASH, SLASH]);
  });

  /** Places of the vector of shape S, and an entry that none of them may have. */
  const OUT_OF_RANGE: Record<string, [index: number, entry: number]> = {
    "a weight of 2^15": [5, 2 ** 15],
    "a weight of -2^15": [511, -(2 ** 15)],
    "a bias of 2^29": [512, 2 ** 29],
    "the least int32 as a bias": [543, -(2 ** 31)],
    "a weight of the last layer": [1_600, -(2 ** 15)],
    "a flag of 2": [LENGTH - 1, 2],
    "a flag of -1": [LENGTH - 2, -1],
  };

  for (const [what, [index, entry]] of Object.entries(OUT_OF_RANGE)) {
    it(`accumulateZk_${what}_isAFaultThoughTheSumIsRight`, async () => {
      const world = state();
      const vector = randomModel().with(index, entry);
      const manifest = { weightsHash: weightsHash(vector) };
      const model = await usableZkModel(world, { vector, manifest, commitment: await sumOf(world, vector) });
      await expect(challengeZk(world, model)).to.emit(world.models, "ZkProvenWrong");
    });
  }

  it("accumulateZk_greatestEntriesInRange_areNoFault", async () => {
    const world = state();
    const vector = randomModel();
    const extremes = [
      [0, 2 ** 15 - 1],
      [511, -(2 ** 15) + 1],
      [512, 2 ** 29 - 1],
      [543, -(2 ** 29) + 1],
      [544, 2 ** 15 - 1],
      [LENGTH - 2, 0],
      [LENGTH - 1, 1],
    ] as const;
    for (const [index, entry] of extremes) vector[index] = entry;
    const manifest = { weightsHash: weightsHash(vector) };
    const model = await usableZkModel(world, { vector, manifest, commitment: await sumOf(world, vector) });
    await expect(challengeZk(world, model)).to.be.revertedWithCustomError(world.models, "CommitmentHolds");
  });

  it("accumulateZk_otherWeightsThanTheManifests_revert", async () => {
    const world = state();
    const model = await usableZkModel(world);
    const vector = model.vector.with(2_000, model.vector[2_000]! ^ 1);
    await expect(challengeZk(world, model, { vector })).to.be.revertedWithCustomError(world.models, "WeightsMismatch");
  });

  it("accumulateZk_otherBasesThanTheShapes_revert", async () => {
    const world = state();
    const model = await usableZkModel(world);
    // the first two points changed places
    const bases = Uint8Array.from(world.keyS.modelBases);
    bases.set(world.keyS.modelBases.subarray(0, 64), 64);
    bases.set(world.keyS.modelBases.subarray(64, 128), 0);
    await expect(challengeZk(world, model, { bases })).to.be.revertedWithCustomError(world.models, "BasesMismatch");
  });

  it("accumulateZk_anotherManifest_reverts", async () => {
    const world = state();
    const model = await usableZkModel(world);
    const manifest = { ...model.manifest, weightsHash: weightsHash(randomModel(undefined, 2)) };
    await expect(zkStep(world, { ...model, manifest }, 0, 128)).to.be.revertedWithCustomError(
      world.models,
      "ManifestMismatch",
    );
  });

  it("accumulateZk_stepsOutOfOrder_revert", async () => {
    const world = state();
    const { models, modelOwner } = world;
    const model = await usableZkModel(world);
    await expect(zkStep(world, model, 128, 128))
      .to.be.revertedWithCustomError(models, "WrongPosition")
      .withArgs(0n, 128n);
    await zkStep(world, model, 0, 256);
    await expect(zkStep(world, model, 128, 128))
      .to.be.revertedWithCustomError(models, "WrongPosition")
      .withArgs(256n, 128n);
    // others' steps are their own
    await expect(zkStep(world, model, 256, 128, { challenger: modelOwner })).to.be.revertedWithCustomError(
      models,
      "WrongPosition",
    );
    await zkStep(world, model, 0, 128);
    expect(fieldsOf(await models.zkChallenge(model.modelId, world.challenger)).entries).to.equal(128n);
  });

  it("accumulateZk_partsOfChunksOrNothing_revert", async () => {
    const world = state();
    const { models, challenger } = world;
    const model = await usableZkModel(world);
    for (const count of [0, 1, 127, 129]) {
      await expect(zkStep(world, model, 0, count), `${count}`).to.be.revertedWithCustomError(models, "InvalidChunk");
    }
    const { modelId, manifest } = model;
    const step = (weights: number, bases: number) =>
      models.connect(challenger).accumulateZk(modelId, manifest, 0, new Uint8Array(weights), new Uint8Array(bases));
    await expect(step(513, 8_192)).to.be.revertedWithCustomError(models, "InvalidChunk").withArgs(512n, 513n);
    await expect(step(512, 8_191)).to.be.revertedWithCustomError(models, "InvalidChunk").withArgs(8_192n, 8_191n);
    await expect(step(4 * (LENGTH + 1), 0)).to.be.revertedWithCustomError(models, "WrongPosition");
  });

  it("accumulateZk_aBaseThatIsNoPoint_reverts", async () => {
    const world = state();
    const model = await usableZkModel(world);
    const bases = Uint8Array.from(world.keyS.modelBases);
    bases[63]! ^= 1;
    await expect(zkStep(world, model, 0, 128, { bases })).to.be.revertedWithCustomError(world.models, "NotOnCurve");
  });
});
