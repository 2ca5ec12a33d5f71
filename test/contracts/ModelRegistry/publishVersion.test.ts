import { expect } from "chai";
import { ethers } from "ethers";

import { fieldsOf } from "../../support/fieldsOf.ts";
import { freshState } from "../../support/freshState.ts";
import { latestTimestamp } from "../../support/protocol.ts";
import { deployStage, type Stage } from "../../support/stage.ts";

const TERMS = {
  contentHash: ethers.id("weights"),
  blobId: ethers.id("blob"),
  price: 5_000_000_000n,
  royaltyBps: 500n,
  modes: 5n,
};

describe("ModelRegistry.publishVersion", () => {
  const state = freshState(async () => {
    const stage = await deployStage();
    await stage.models.connect(stage.modelOwner).createRepository("risk", "MIT", "");
    return stage;
  });

  const publish = ({ models, modelOwner }: Stage, change: Partial<typeof TERMS> = {}) =>
    models.connect(modelOwner).publishVersion(1, { ...TERMS, ...change });

  async function expectedId({ models, connection }: Stage, number: number): Promise<string> {
    const { chainId } = await connection.ethers.provider.getNetwork();
    return ethers.keccak256(
      ethers.AbiCoder.defaultAbiCoder().encode(
        ["uint256", "address", "uint256", "uint32", "bytes32", "bytes32"],
        [chainId, await models.getAddress(), 1, number, TERMS.contentHash, TERMS.blobId],
      ),
    );
  }

  it("publishVersion_first_storesEverything", async () => {
    const stage = state();
    const { models, modelOwner } = stage;
    const modelId = await expectedId(stage, 1);
    await expect(publish(stage))
      .to.emit(models, "VersionPublished")
      .withArgs(modelId, 1n, 1n, TERMS.contentHash, TERMS.blobId, TERMS.price, TERMS.royaltyBps, TERMS.modes);
    expect(fieldsOf(await models.version(modelId))).to.deep.equal({
      royaltyTo: modelOwner.address,
      priceGwei: 5n,
      royaltyBps: TERMS.royaltyBps,
      modes: TERMS.modes,
      repositoryId: 1n,
      publishedAt: BigInt(await latestTimestamp(stage)),
      number: 1n,
      zkStatus: 0n,
      zkShape: 0n,
      zkSince: 0n,
      contentHash: TERMS.contentHash,
      blobId: TERMS.blobId,
    });
    expect(await models.modelIdOf(1, 1)).to.equal(modelId);
  });

  it("publishVersion_sameContentAgain_isAnotherModel", async () => {
    const stage = state();
    await publish(stage);
    await publish(stage);
    expect(await stage.models.modelIdOf(1, 2)).to.equal(await expectedId(stage, 2));
    expect((await stage.models.repository(1)).versions).to.equal(2n);
    expect(await stage.models.modelIdOf(1, 3)).to.equal(ethers.ZeroHash);
  });

  it("publishVersion_byAnyoneElse_reverts", async () => {
    const { models, modelOwner, stranger } = state();
    await expect(models.connect(stranger).publishVersion(1, TERMS))
      .to.be.revertedWithCustomError(models, "NotRepositoryOwner")
      .withArgs(stranger, modelOwner);
  });

  it("publishVersion_unknownRepository_reverts", async () => {
    const { models, modelOwner } = state();
    // 2^64 + 1 would be repository 1 if the id were cut to 64 bits
    for (const repositoryId of [0n, 2n, 2n ** 64n + 1n]) {
      await expect(models.connect(modelOwner).publishVersion(repositoryId, TERMS))
        .to.be.revertedWithCustomError(models, "NotRepositoryOwner")
        .withArgs(modelOwner, ethers.ZeroAddress);
    }
  });

  it("publishVersion_withoutContentHash_reverts", async () => {
    const stage = state();
    await expect(publish(stage, { contentHash: ethers.ZeroHash })).to.be.revertedWithCustomError(
      stage.models,
      "MissingContentHash",
    );
  });

  it("publishVersion_withoutBlob_succeeds", async () => {
    await expect(publish(state(), { blobId: ethers.ZeroHash })).to.emit(state().models, "VersionPublished");
  });

  it("publishVersion_royaltyAboveAFifth_reverts", async () => {
    const stage = state();
    await expect(publish(stage, { royaltyBps: 2_001n }))
      .to.be.revertedWithCustomError(stage.models, "RoyaltyTooHigh")
      .withArgs(2_001n, 2_000n);
    await publish(stage, { royaltyBps: 2_000n });
  });

  it("publishVersion_priceThatIsNotWholeGweiOf64Bits_reverts", async () => {
    const stage = state();
    for (const price of [1n, 10n ** 9n + 1n, 2n ** 64n * 10n ** 9n]) {
      await expect(publish(stage, { price }))
        .to.be.revertedWithCustomError(stage.models, "InvalidPrice")
        .withArgs(price);
    }
    const most = (2n ** 64n - 1n) * 10n ** 9n;
    await publish(stage, { price: most });
    const { price } = await stage.models.termsOf(await stage.models.modelIdOf(1, 1));
    expect(price).to.equal(most);
  });

  it("publishVersion_modesNoneOrUndeclarable_reverts", async () => {
    const stage = state();
    for (const modes of [0n, 2n, 7n, 8n, 255n]) {
      await expect(publish(stage, { modes }))
        .to.be.revertedWithCustomError(stage.models, "InvalidModes")
        .withArgs(modes, 5n);
    }
    for (const modes of [1n, 4n, 5n]) await publish(stage, { modes });
  });
});
