import { expect } from "chai";
import { ZeroAddress } from "ethers";

import { freshState } from "../../support/freshState.ts";
import { publishModel } from "../../support/protocol.ts";
import { deployStage } from "../../support/stage.ts";

describe("ModelRegistry.offerOwnership, acceptOwnership", () => {
  const state = freshState(async () => {
    const stage = await deployStage();
    return { ...stage, modelId: await publishModel(stage, stage.modelOwner, { royaltyBps: 500 }) };
  });

  it("offerOwnership_changesNothingYet", async () => {
    const { models, modelOwner, payee } = state();
    await expect(models.connect(modelOwner).offerOwnership(1, payee))
      .to.emit(models, "OwnershipOffered")
      .withArgs(1n, modelOwner, payee);
    const repository = await models.repository(1);
    expect([repository.owner, repository.pendingOwner]).to.deep.equal([modelOwner.address, payee.address]);
  });

  it("offerOwnership_byAnyoneElse_reverts", async () => {
    const { models, modelOwner, stranger } = state();
    await expect(models.connect(stranger).offerOwnership(1, stranger))
      .to.be.revertedWithCustomError(models, "NotRepositoryOwner")
      .withArgs(stranger, modelOwner);
  });

  it("offerOwnership_unknownRepository_reverts", async () => {
    const { models, stranger } = state();
    await expect(models.connect(stranger).offerOwnership(2, stranger))
      .to.be.revertedWithCustomError(models, "NotRepositoryOwner")
      .withArgs(stranger, ZeroAddress);
  });

  it("acceptOwnership_byWhomItWasOffered_movesTheRightToPublish", async () => {
    const { models, modelOwner, payee } = state();
    await models.connect(modelOwner).offerOwnership(1, payee);
    await expect(models.connect(payee)["acceptOwnership(uint256)"](1))
      .to.emit(models, "OwnershipAccepted")
      .withArgs(1n, modelOwner, payee);
    const repository = await models.repository(1);
    expect([repository.owner, repository.pendingOwner]).to.deep.equal([payee.address, ZeroAddress]);
    await expect(models.connect(modelOwner).offerOwnership(1, modelOwner))
      .to.be.revertedWithCustomError(models, "NotRepositoryOwner")
      .withArgs(modelOwner, payee);
  });

  it("acceptOwnership_royaltiesOfPublishedVersions_stay", async () => {
    const { models, modelOwner, payee, modelId } = state();
    await models.connect(modelOwner).offerOwnership(1, payee);
    await models.connect(payee)["acceptOwnership(uint256)"](1);
    expect((await models.termsOf(modelId)).royaltyTo).to.equal(modelOwner);
  });

  it("acceptOwnership_byAnyoneElse_reverts", async () => {
    const { models, modelOwner, payee, stranger } = state();
    await expect(models.connect(stranger)["acceptOwnership(uint256)"](1))
      .to.be.revertedWithCustomError(models, "NotPendingOwner")
      .withArgs(stranger, ZeroAddress);
    await models.connect(modelOwner).offerOwnership(1, payee);
    await expect(models.connect(stranger)["acceptOwnership(uint256)"](1))
      .to.be.revertedWithCustomError(models, "NotPendingOwner")
      .withArgs(stranger, payee);
  });

  it("acceptOwnership_twice_reverts", async () => {
    const { models, modelOwner, payee } = state();
    await models.connect(modelOwner).offerOwnership(1, payee);
    await models.connect(payee)["acceptOwnership(uint256)"](1);
    await expect(models.connect(payee)["acceptOwnership(uint256)"](1))
      .to.be.revertedWithCustomError(models, "NotPendingOwner")
      .withArgs(payee, ZeroAddress);
  });

  it("offerOwnership_toZero_withdrawsTheOffer", async () => {
    const { models, modelOwner, payee } = state();
    await models.connect(modelOwner).offerOwnership(1, payee);
    await models.connect(modelOwner).offerOwnership(1, ZeroAddress);
    await expect(models.connect(payee)["acceptOwnership(uint256)"](1))
      .to.be.revertedWithCustomError(models, "NotPendingOwner")
      .withArgs(payee, ZeroAddress);
  });
});
