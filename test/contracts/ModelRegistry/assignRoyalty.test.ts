import { expect } from "chai";
import { id, ZeroAddress } from "ethers";

import { freshState } from "../../support/freshState.ts";
import { publishModel } from "../../support/protocol.ts";
import { deployStage } from "../../support/stage.ts";

describe("ModelRegistry.assignRoyalty", () => {
  const state = freshState(async () => {
    const stage = await deployStage();
    return { ...stage, modelId: await publishModel(stage, stage.modelOwner, { royaltyBps: 500 }) };
  });

  it("assignRoyalty_byItsReceiver_handsItOver", async () => {
    const { models, modelOwner, payee, modelId } = state();
    await expect(models.connect(modelOwner).assignRoyalty(modelId, payee))
      .to.emit(models, "RoyaltyAssigned")
      .withArgs(modelId, modelOwner, payee);
    expect((await models.termsOf(modelId)).royaltyTo).to.equal(payee);
  });

  it("assignRoyalty_byTheFormerReceiver_reverts", async () => {
    const { models, modelOwner, payee, modelId } = state();
    await models.connect(modelOwner).assignRoyalty(modelId, payee);
    await expect(models.connect(modelOwner).assignRoyalty(modelId, modelOwner))
      .to.be.revertedWithCustomError(models, "NotRoyaltyReceiver")
      .withArgs(modelOwner, payee);
    await models.connect(payee).assignRoyalty(modelId, modelOwner);
  });

  it("assignRoyalty_byAnyoneElse_reverts", async () => {
    const { models, modelOwner, stranger, modelId } = state();
    await expect(models.connect(stranger).assignRoyalty(modelId, stranger))
      .to.be.revertedWithCustomError(models, "NotRoyaltyReceiver")
      .withArgs(stranger, modelOwner);
  });

  it("assignRoyalty_toZero_reverts", async () => {
    // a version whose receiver is zero would read as one that does not exist
    const { models, modelOwner, modelId } = state();
    await expect(models.connect(modelOwner).assignRoyalty(modelId, ZeroAddress)).to.be.revertedWithCustomError(
      models,
      "InvalidRoyaltyReceiver",
    );
  });

  it("assignRoyalty_unknownModel_reverts", async () => {
    const { models, modelOwner } = state();
    await expect(models.connect(modelOwner).assignRoyalty(id("?"), modelOwner))
      .to.be.revertedWithCustomError(models, "NotRoyaltyReceiver")
      .withArgs(modelOwner, ZeroAddress);
  });

  it("assignRoyalty_termsOtherwise_areUnchanged", async () => {
    const { models, modelOwner, payee, modelId } = state();
    const before = await models.version(modelId);
    await models.connect(modelOwner).assignRoyalty(modelId, payee);
    const after = await models.version(modelId);
    expect([...after].slice(1)).to.deep.equal([...before].slice(1));
  });
});
