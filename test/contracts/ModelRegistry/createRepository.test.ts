import { expect } from "chai";
import { ZeroAddress } from "ethers";

import { fieldsOf } from "../../support/fieldsOf.ts";
import { freshState } from "../../support/freshState.ts";
import { latestTimestamp } from "../../support/protocol.ts";
import { deployStage } from "../../support/stage.ts";

describe("ModelRegistry.createRepository", () => {
  const state = freshState(deployStage);

  it("createRepository_first_isNumberOne", async () => {
    const stage = state();
    const { models, modelOwner } = stage;
    await expect(models.connect(modelOwner).createRepository("og/risk", "MIT", "ipfs://card"))
      .to.emit(models, "RepositoryCreated")
      .withArgs(1n, modelOwner, "og/risk", "MIT", "ipfs://card");
    expect(await models.repositoryCount()).to.equal(1n);
    expect(fieldsOf(await models.repository(1))).to.deep.equal({
      owner: modelOwner.address,
      versions: 0n,
      createdAt: BigInt(await latestTimestamp(stage)),
      pendingOwner: ZeroAddress,
      name: "og/risk",
      licence: "MIT",
      metadataUri: "ipfs://card",
    });
  });

  it("createRepository_sameNameAgain_reverts", async () => {
    const { models, modelOwner } = state();
    await models.connect(modelOwner).createRepository("risk", "MIT", "");
    await expect(models.connect(modelOwner).createRepository("risk", "Apache-2.0", "x"))
      .to.be.revertedWithCustomError(models, "NameTaken")
      .withArgs(modelOwner, "risk");
  });

  it("createRepository_nameOfAnothers_succeeds", async () => {
    const { models, modelOwner, stranger } = state();
    await models.connect(stranger).createRepository("risk", "MIT", "");
    await expect(models.connect(modelOwner).createRepository("risk", "MIT", ""))
      .to.emit(models, "RepositoryCreated")
      .withArgs(2n, modelOwner, "risk", "MIT", "");
  });

  it("createRepository_nameOfNoOrTooManyBytes_reverts", async () => {
    const { models, modelOwner } = state();
    for (const length of [0, 129]) {
      await expect(models.connect(modelOwner).createRepository("n".repeat(length), "MIT", ""))
        .to.be.revertedWithCustomError(models, "InvalidName")
        .withArgs(length, 128);
    }
    await models.connect(modelOwner).createRepository("n".repeat(128), "MIT", "");
  });

  it("repository_unknown_isAllZero", async () => {
    const { models } = state();
    expect((await models.repository(7)).owner).to.equal(ZeroAddress);
  });
});
