import { expect } from "chai";
import { ethers } from "ethers";

import { BASE_FIELD } from "../../../simulator/zkml/field.ts";
import { freshState } from "../../support/freshState.ts";
import { increaseTime, latestTimestamp, opgWei, publishModel, ZK_TERMS } from "../../support/protocol.ts";
import { randomModel } from "../../support/zk.ts";
import {
  attestZk,
  createZkWorld,
  publishZkModel,
  registerZk,
  REPOSITORY_BONDS,
  usableZkModel,
} from "../../support/zkModels.ts";

describe("ModelRegistry.registerZk, withdrawZk", () => {
  const state = freshState(createZkWorld);

  it("registerZk_byTheOwner_locksABondAndIsNotUsableYet", async () => {
    const world = state();
    const { models, repositoryId } = world;
    const model = await publishZkModel(world);
    const [x, y] = model.commitment;
    const manifest = Object.values(model.manifest);
    await expect(registerZk(world, model))
      .to.emit(models, "ZkRegistered")
      .withArgs(model.modelId, repositoryId, manifest, x, y);
    const since = BigInt(await latestTimestamp(world));
    expect([...(await models.zkVersion(model.modelId))]).to.deep.equal([1n, 1n, since, 0n, 0n, x, y]);
    expect([...(await models.zkBonds(repositoryId))]).to.deep.equal([REPOSITORY_BONDS - ZK_TERMS.bond, ZK_TERMS.bond]);
    expect(await models.isZkUsable(model.modelId)).to.equal(false);
    expect((await models.termsOf(model.modelId)).modes).to.equal(1n);
  });

  it("registerZk_pricesAndRoyalties_stay", async () => {
    const world = state();
    const model = await publishZkModel(world);
    const before = (await world.models.termsOf(model.modelId)).slice(0, 3);
    await registerZk(world, model);
    await attestZk(world, model.modelId);
    expect((await world.models.termsOf(model.modelId)).slice(0, 3)).to.deep.equal(before);
  });

  it("registerZk_byAnyoneElse_reverts", async () => {
    const world = state();
    const { models, challenger, modelOwner } = world;
    const model = await publishZkModel(world);
    await expect(registerZk(world, model, challenger))
      .to.be.revertedWithCustomError(models, "NotRepositoryOwner")
      .withArgs(challenger, modelOwner);
  });

  it("registerZk_sameContentInARepositoryOfOnesOwn_isAnotherVersion", async () => {
    const world = state();
    const { models, challenger, modelOwner } = world;
    const model = await publishZkModel(world);
    await models.connect(challenger).createRepository("copy", "MIT", "");
    const repositoryId = await models.repositoryCount();
    await models.connect(challenger).depositZkBond(repositoryId, ZK_TERMS.bond);
    const { contentHash, blobId } = await models.version(model.modelId);
    const terms = { contentHash, blobId, price: 0n, royaltyBps: 0, modes: 1 };
    await models.connect(challenger).publishVersion(repositoryId, terms);
    const copy = await models.modelIdOf(repositoryId, 1);
    await models.connect(challenger).registerZk(copy, model.manifest, ...model.commitment);
    expect((await models.zkVersion(model.modelId)).status).to.equal(0n);
    await registerZk(world, model, modelOwner);
    expect((await models.zkVersion(model.modelId)).status).to.equal(1n);
  });

  it("registerZk_unknownVersion_reverts", async () => {
    const world = state();
    const model = await publishZkModel(world);
    await expect(
      world.models.connect(world.modelOwner).registerZk(ethers.id("none"), model.manifest, ...model.commitment),
    ).to.be.revertedWithCustomError(world.models, "NotRepositoryOwner");
  });

  it("registerZk_anotherManifestThanPublished_reverts", async () => {
    const world = state();
    const model = await publishZkModel(world);
    for (const [field, value] of Object.entries({ weightsHash: ethers.id("x"), outputs: 15, inputScale: 9 })) {
      const manifest = { ...model.manifest, [field]: value };
      await expect(registerZk(world, { ...model, manifest })).to.be.revertedWithCustomError(
        world.models,
        "ManifestMismatch",
      );
    }
    const other = await publishModel(world, world.modelOwner);
    await expect(
      world.models.connect(world.modelOwner).registerZk(other, model.manifest, ...model.commitment),
    ).to.be.revertedWithCustomError(world.models, "ManifestMismatch");
  });

  it("registerZk_unknownOrRetiredShape_reverts", async () => {
    const world = state();
    for (const shape of [0, 2, 65_535]) {
      const model = await publishZkModel(world, { manifest: { shape } });
      await expect(registerZk(world, model))
        .to.be.revertedWithCustomError(world.models, "ShapeNotUsable")
        .withArgs(shape);
    }
    const model = await publishZkModel(world);
    await world.models.retireShape(1);
    await expect(registerZk(world, model)).to.be.revertedWithCustomError(world.models, "ShapeNotUsable").withArgs(1);
  });

  it("registerZk_moreLanesThanTheShapeHas_reverts", async () => {
    const world = state();
    for (const lanes of [{ inputs: 17 }, { outputs: 17 }, { inputs: 0 }, { outputs: 0 }]) {
      const model = await publishZkModel(world, { manifest: lanes });
      await expect(registerZk(world, model)).to.be.revertedWithCustomError(world.models, "ManifestOutOfShape");
    }
  });

  it("registerZk_whatIsNoPoint_reverts", async () => {
    const world = state();
    const model = await publishZkModel(world);
    const [x, y] = model.commitment;
    for (const commitment of [
      [0n, 0n],
      [x, y ^ 1n],
      [x + BASE_FIELD, y],
      [x, y + BASE_FIELD],
      [2n ** 256n - 1n, 2n],
    ] as const) {
      await expect(registerZk(world, { ...model, commitment }))
        .to.be.revertedWithCustomError(world.models, "InvalidCommitment")
        .withArgs(...commitment);
    }
  });

  it("registerZk_twice_reverts", async () => {
    const world = state();
    const model = await publishZkModel(world);
    await registerZk(world, model);
    await expect(registerZk(world, model)).to.be.revertedWithCustomError(world.models, "WrongZkStatus").withArgs(1n);
    await attestZk(world, model.modelId);
    await expect(registerZk(world, model)).to.be.revertedWithCustomError(world.models, "WrongZkStatus").withArgs(2n);
  });

  it("registerZk_withoutABond_reverts", async () => {
    const world = state();
    const { models, modelOwner, repositoryId } = world;
    const model = await publishZkModel(world);
    const left = ZK_TERMS.bond - 1n;
    await models.connect(modelOwner).withdrawZkBond(repositoryId, REPOSITORY_BONDS - left, modelOwner);
    await expect(registerZk(world, model))
      .to.be.revertedWithCustomError(models, "InsufficientBond")
      .withArgs(left, ZK_TERMS.bond);
  });

  it("withdrawZk_afterTheDelay_freesTheBondAndLetsItBeMadeAgain", async () => {
    const world = state();
    const { models, modelOwner, repositoryId, challenger } = world;
    const model = await publishZkModel(world);
    await registerZk(world, model);
    const until = (await latestTimestamp(world)) + ZK_TERMS.withdrawalDelay;
    const owned = models.connect(modelOwner);
    await expect(owned.withdrawZk(model.modelId)).to.be.revertedWithCustomError(models, "TooEarly").withArgs(until);
    await increaseTime(world, ZK_TERMS.withdrawalDelay + 1);
    await expect(models.connect(challenger).withdrawZk(model.modelId)).to.be.revertedWithCustomError(
      models,
      "NotRepositoryOwner",
    );
    await expect(owned.withdrawZk(model.modelId)).to.emit(models, "ZkWithdrawn").withArgs(model.modelId);
    expect([...(await models.zkBonds(repositoryId))]).to.deep.equal([REPOSITORY_BONDS, 0n]);
    expect([...(await models.zkVersion(model.modelId))]).to.deep.equal([0n, 0n, 0n, 0n, 0n, 0n, 0n]);
    await expect(owned.withdrawZk(model.modelId)).to.be.revertedWithCustomError(models, "WrongZkStatus").withArgs(0n);
    await registerZk(world, model);
    expect((await models.zkVersion(model.modelId)).status).to.equal(1n);
  });

  it("withdrawZk_ofAnAttestedVersion_reverts", async () => {
    const world = state();
    const model = await usableZkModel(world, { vector: randomModel(undefined, 3) });
    await increaseTime(world, ZK_TERMS.withdrawalDelay + 1);
    await expect(world.models.connect(world.modelOwner).withdrawZk(model.modelId))
      .to.be.revertedWithCustomError(world.models, "WrongZkStatus")
      .withArgs(2n);
  });

  it("depositZkBond_forARepositoryThatDoesNotExist_reverts", async () => {
    const { models, modelOwner } = state();
    await expect(models.connect(modelOwner).depositZkBond(99, 1n))
      .to.be.revertedWithCustomError(models, "RepositoryNotFound")
      .withArgs(99n);
  });

  it("withdrawZkBond_paysOnlyTheOwnerAndOnlyWhatNothingHolds", async () => {
    const world = state();
    const { models, modelOwner, repositoryId, opg, challenger } = world;
    await registerZk(world, await publishZkModel(world));
    const free = REPOSITORY_BONDS - ZK_TERMS.bond;
    const owned = models.connect(modelOwner);
    await expect(owned.withdrawZkBond(repositoryId, free + 1n, modelOwner))
      .to.be.revertedWithCustomError(models, "InsufficientBond")
      .withArgs(free, free + 1n);
    await expect(models.connect(challenger).withdrawZkBond(repositoryId, 1n, challenger)).to.be.revertedWithCustomError(
      models,
      "NotRepositoryOwner",
    );
    await expect(owned.withdrawZkBond(repositoryId, free, challenger)).to.changeTokenBalances(
      world.connection.ethers,
      opg,
      [models, challenger],
      [-free, free],
    );
    expect(await opg.balanceOf(models)).to.equal(ZK_TERMS.bond);
  });

  it("bonds_ofARepositoryThatIsHandedOver_goWithIt", async () => {
    const { models, modelOwner, repositoryId, challenger } = state();
    await models.connect(modelOwner).offerOwnership(repositoryId, challenger);
    await models.connect(challenger)["acceptOwnership(uint256)"](repositoryId);
    await expect(models.connect(modelOwner).withdrawZkBond(repositoryId, 1n, modelOwner)).to.be.revertedWithCustomError(
      models,
      "NotRepositoryOwner",
    );
    await models.connect(challenger).withdrawZkBond(repositoryId, opgWei(1), challenger);
  });
});
