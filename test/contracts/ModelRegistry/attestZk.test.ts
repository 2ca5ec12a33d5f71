import { expect } from "chai";
import { TypedDataEncoder } from "ethers";

import { freshState } from "../../support/freshState.ts";
import { DAY, domainOf, HOUR, increaseTime, latestTimestamp, ZK_TERMS } from "../../support/protocol.ts";
import { randomModel } from "../../support/zk.ts";
import {
  attestZk,
  createZkWorld,
  publishZkModel,
  registerZk,
  REPOSITORY_BONDS,
  usableZkModel,
  zkVotes,
  type ZkModel,
  type ZkWorld,
} from "../../support/zkModels.ts";

async function registered(world: ZkWorld): Promise<ZkModel> {
  const model = await publishZkModel(world);
  await registerZk(world, model);
  return model;
}

describe("ModelRegistry.attestZk, releaseZkBond", () => {
  const state = freshState(createZkWorld);

  it("zkCommitmentDigest_isWhatEthersHashes", async () => {
    const world = state();
    const model = await registered(world);
    const types = {
      ZkCommitment: [
        { name: "modelId", type: "bytes32" },
        { name: "x", type: "uint256" },
        { name: "y", type: "uint256" },
        { name: "setId", type: "uint32" },
      ],
    };
    const [x, y] = model.commitment;
    const value = { modelId: model.modelId, x, y, setId: 7 };
    expect(await world.models.zkCommitmentDigest(model.modelId, 7)).to.equal(
      TypedDataEncoder.hash(await domainOf(world.models), types, value),
    );
  });

  it("attestZk_byTwoThirdsOfTheStake_makesTheVersionUsable", async () => {
    const world = state();
    const { models } = world;
    const { modelId, commitment } = await registered(world);
    await expect(attestZk(world, modelId, [0, 2, 3]))
      .to.emit(models, "ZkAttested")
      .withArgs(modelId, world.setId, 0b1101n);
    const since = BigInt(await latestTimestamp(world));
    expect([...(await models.zkVersion(modelId))]).to.deep.equal([2n, 1n, since, 1n, 0b1101n, ...commitment]);
    expect(await models.isZkUsable(modelId)).to.equal(true);
    expect((await models.termsOf(modelId)).modes).to.equal(0b11n);
    const { verifier, x, y, inputWords, outputWords } = await models.zkCommitment(modelId);
    expect([verifier, x, y]).to.deep.equal([await world.shapeS.getAddress(), ...commitment]);
    expect([inputWords, outputWords]).to.deep.equal([1n, 2n]);
  });

  it("attestZk_byLess_reverts", async () => {
    const world = state();
    const { modelId } = await registered(world);
    for (const seats of [[], [0], [1, 3]]) {
      await expect(attestZk(world, modelId, seats)).to.be.revertedWithCustomError(world.models, "QuorumMissed");
    }
  });

  it("attestZk_twice_reverts", async () => {
    const world = state();
    const { modelId } = await registered(world);
    await attestZk(world, modelId, [0, 1, 2]);
    await expect(attestZk(world, modelId)).to.be.revertedWithCustomError(world.models, "WrongZkStatus").withArgs(2n);
  });

  it("attestZk_unregistered_reverts", async () => {
    const world = state();
    const { modelId } = await publishZkModel(world);
    await expect(attestZk(world, modelId)).to.be.revertedWithCustomError(world.models, "WrongZkStatus").withArgs(0n);
  });

  it("attestZk_votesForAnotherCommitmentModelOrSet_revert", async () => {
    const world = state();
    const { models, challenger, modelOwner, setId } = world;
    const model = await registered(world);
    const other = await registered(world);
    const caller = models.connect(challenger);
    const forOther = await zkVotes(world, other.modelId);
    await expect(caller.attestZk(model.modelId, setId, forOther.seats, forOther.signatures))
      .to.be.revertedWithCustomError(models, "InvalidVote")
      .withArgs(0n);
    const forOtherSet = await zkVotes(world, model.modelId, undefined, 2);
    await expect(
      caller.attestZk(model.modelId, setId, forOtherSet.seats, forOtherSet.signatures),
    ).to.be.revertedWithCustomError(models, "InvalidVote");
    // votes are on the way when the owner puts another commitment in the place of the one they are for
    const votes = await zkVotes(world, model.modelId);
    await increaseTime(world, ZK_TERMS.withdrawalDelay - 60);
    await world.settlement.snapshot();
    await increaseTime(world, 120);
    await models.connect(modelOwner).withdrawZk(model.modelId);
    await registerZk(world, { ...model, commitment: world.keyS.ic[0]! });
    await expect(caller.attestZk(model.modelId, setId, votes.seats, votes.signatures)).to.be.revertedWithCustomError(
      models,
      "SetNotUsable",
    );
    const renewed = { ...world, setId: 2 };
    const { seats, signatures } = votes;
    await expect(caller.attestZk(model.modelId, 2, seats, signatures)).to.be.revertedWithCustomError(
      models,
      "InvalidVote",
    );
    await attestZk(renewed, model.modelId);
  });

  it("attestZk_signaturesOfSeatsNotNamedOrNotThere_revert", async () => {
    const world = state();
    const { models, challenger, setId } = world;
    const { modelId } = await registered(world);
    const { signatures } = await zkVotes(world, modelId, [0, 1, 2]);
    const caller = models.connect(challenger);
    for (const seats of [0b1101n, 0b1110n]) {
      await expect(caller.attestZk(modelId, setId, seats, signatures)).to.be.revertedWithCustomError(
        models,
        "InvalidVote",
      );
    }
    await expect(caller.attestZk(modelId, setId, 1n << 4n, signatures))
      .to.be.revertedWithCustomError(models, "InvalidVote")
      .withArgs(4n);
    await expect(caller.attestZk(modelId, setId, 0b11n, signatures)).to.be.revertedWithCustomError(
      models,
      "InvalidVotesLength",
    );
    await expect(caller.attestZk(modelId, setId, 0b1111n, signatures)).to.be.revertedWithCustomError(
      models,
      "InvalidVotesLength",
    );
  });

  it("attestZk_setThatIsTooOld_reverts", async () => {
    const world = state();
    const { modelId } = await registered(world);
    await increaseTime(world, DAY + 1);
    await expect(attestZk(world, modelId)).to.be.revertedWithCustomError(world.models, "SetNotUsable").withArgs(1n);
    await expect(attestZk({ ...world, setId: 9 }, modelId))
      .to.be.revertedWithCustomError(world.models, "SetNotUsable")
      .withArgs(9n);
  });

  it("attestZk_setSupersededAnHourAgo_reverts", async () => {
    const world = state();
    const { modelId } = await registered(world);
    await increaseTime(world, 10 * 60);
    await world.settlement.snapshot();
    await increaseTime(world, HOUR - 60);
    const { seats, signatures } = await zkVotes(world, modelId);
    await world.models.attestZk.staticCall(modelId, 1, seats, signatures);
    await increaseTime(world, 61);
    await expect(attestZk(world, modelId)).to.be.revertedWithCustomError(world.models, "SetNotUsable").withArgs(1n);
  });

  it("attestZk_retiredShape_reverts", async () => {
    const world = state();
    const { modelId } = await registered(world);
    await world.models.retireShape(1);
    await expect(attestZk(world, modelId)).to.be.revertedWithCustomError(world.models, "ShapeNotUsable").withArgs(1n);
  });

  it("releaseZkBond_whenTheAccountabilityIsOver_freesTheBond", async () => {
    const world = state();
    const { models, challenger, repositoryId } = world;
    const { modelId } = await usableZkModel(world, { vector: randomModel(undefined, 4) });
    const until = (await latestTimestamp(world)) + ZK_TERMS.accountability;
    await expect(models.releaseZkBond(modelId)).to.be.revertedWithCustomError(models, "TooEarly").withArgs(until);
    await increaseTime(world, ZK_TERMS.accountability + 1);
    await expect(models.connect(challenger).releaseZkBond(modelId)).to.emit(models, "ZkBondReleased").withArgs(modelId);
    expect([...(await models.zkBonds(repositoryId))]).to.deep.equal([REPOSITORY_BONDS, 0n]);
    expect((await models.zkVersion(modelId)).status).to.equal(3n);
    expect(await models.isZkUsable(modelId)).to.equal(true);
    expect((await models.zkCommitment(modelId)).verifier).to.equal(await world.shapeS.getAddress());
    await expect(models.releaseZkBond(modelId)).to.be.revertedWithCustomError(models, "WrongZkStatus").withArgs(3n);
  });

  it("releaseZkBond_ofAnUnattestedVersion_reverts", async () => {
    const world = state();
    const { modelId } = await registered(world);
    await increaseTime(world, ZK_TERMS.accountability + 1);
    await expect(world.models.releaseZkBond(modelId))
      .to.be.revertedWithCustomError(world.models, "WrongZkStatus")
      .withArgs(1n);
  });
});
