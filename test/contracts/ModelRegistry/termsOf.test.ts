import { expect } from "chai";
import { id, ZeroAddress, ZeroHash } from "ethers";

import { fieldsOf } from "../../support/fieldsOf.ts";
import { freshState } from "../../support/freshState.ts";
import { opgWei, publishModel } from "../../support/protocol.ts";
import { deployStage } from "../../support/stage.ts";

describe("ModelRegistry.termsOf, version", () => {
  const state = freshState(deployStage);

  it("termsOf_published_isWhatWasPublished", async () => {
    const stage = state();
    const modelId = await publishModel(stage, stage.modelOwner, { price: opgWei("0.25"), royaltyBps: 500, modes: 4 });
    expect(fieldsOf(await stage.models.termsOf(modelId))).to.deep.equal({
      royaltyTo: stage.modelOwner.address,
      royaltyBps: 500n,
      price: opgWei("0.25"),
      modes: 4n,
    });
  });

  it("termsOf_unknown_reverts", async () => {
    const { models } = state();
    for (const modelId of [ZeroHash, id("?")]) {
      await expect(models.termsOf(modelId)).to.be.revertedWithCustomError(models, "ModelNotFound").withArgs(modelId);
    }
  });

  it("version_unknown_isAllZero", async () => {
    const version = await state().models.version(id("?"));
    expect([version.royaltyTo, version.contentHash, version.number]).to.deep.equal([ZeroAddress, ZeroHash, 0n]);
  });
});
