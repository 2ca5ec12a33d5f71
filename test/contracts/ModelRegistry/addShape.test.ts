import { expect } from "chai";

import {
  DevelopmentShapeL__factory,
  DevelopmentShapeM__factory,
  DevelopmentShapeS__factory,
  ModelRegistry__factory,
} from "../../../typechain-types/index.ts";
import type { ZkTermsStruct } from "../../../typechain-types/models/ModelRegistry.ts";
import { fieldsOf } from "../../support/fieldsOf.ts";
import { freshState } from "../../support/freshState.ts";
import { DAY, deployProtocol, HOUR, UNBONDING_SECONDS, ZK_TERMS, type Protocol } from "../../support/protocol.ts";

describe("ModelRegistry.addShape, retireShape", () => {
  const state = freshState(deployProtocol);

  it("addShape_byTheOwner_getsTheNextNumber", async () => {
    const { models, owner } = state();
    for (const [index, factory] of [
      DevelopmentShapeS__factory,
      DevelopmentShapeM__factory,
      DevelopmentShapeL__factory,
    ].entries()) {
      const verifier = await new factory(owner).deploy();
      await expect(models.addShape(verifier))
        .to.emit(models, "ShapeAdded")
        .withArgs(index + 1, verifier, await verifier.keyHash());
    }
    expect(await models.shapeCount()).to.equal(3n);
    const [, slots, inputs, outputs, inputWords, outputWords, retired] = await models.shape(3);
    expect([slots, inputs, outputs, inputWords, outputWords, retired]).to.deep.equal([
      33_090n,
      64n,
      64n,
      4n,
      8n,
      false,
    ]);
  });

  it("addShape_byAnyoneElse_reverts", async () => {
    const { models, owner, accounts } = state();
    const verifier = await new DevelopmentShapeS__factory(owner).deploy();
    await expect(models.connect(accounts[1]).addShape(verifier))
      .to.be.revertedWithCustomError(models, "OwnableUnauthorizedAccount")
      .withArgs(accounts[1]!);
    await expect(models.connect(accounts[1]).retireShape(1)).to.be.revertedWithCustomError(
      models,
      "OwnableUnauthorizedAccount",
    );
  });

  it("addShape_aKeyThatIsThereAlready_reverts", async () => {
    const { models, owner } = state();
    const deploy = () => new DevelopmentShapeS__factory(owner).deploy();
    const first = await deploy();
    await models.addShape(first);
    await expect(models.addShape(await deploy()))
      .to.be.revertedWithCustomError(models, "ShapeKnown")
      .withArgs(await first.keyHash());
    await models.retireShape(1);
    await expect(models.addShape(first)).to.be.revertedWithCustomError(models, "ShapeKnown");
  });

  it("addShape_developmentKeyOnAPublicChain_reverts", async () => {
    // its own constructor refuses too, so the code is put there as a fork of the chain's state might have it
    const { owner } = state();
    const local = await new DevelopmentShapeS__factory(owner).deploy();
    const code = await owner.provider!.getCode(local);
    const protocol = await deployProtocol({ chainId: 8453 });
    try {
      await protocol.connection.networkHelpers.setCode(await local.getAddress(), code);
      await expect(protocol.models.addShape(await local.getAddress()))
        .to.be.revertedWithCustomError(protocol.models, "DevelopmentKey")
        .withArgs(8453n);
    } finally {
      await protocol.connection.close();
    }
  });

  it("addShape_whatIsNoVerifier_reverts", async () => {
    const { models, opg, connection } = state();
    await expect(models.addShape(opg)).to.revert(connection.ethers);
  });

  it("retireShape_isForEver", async () => {
    const { models, owner } = state();
    await models.addShape(await new DevelopmentShapeS__factory(owner).deploy());
    await expect(models.retireShape(1)).to.emit(models, "ShapeRetired").withArgs(1n);
    expect((await models.shape(1)).retired).to.equal(true);
    for (const number of [0, 1, 2]) {
      await expect(models.retireShape(number)).to.be.revertedWithCustomError(models, "ShapeNotUsable").withArgs(number);
    }
  });

  describe("constructor", () => {
    const deploy = ({ opg, staking, settlement, owner }: Protocol, terms: Partial<ZkTermsStruct>) =>
      new ModelRegistry__factory(owner).deploy(opg, staking, settlement, owner, { ...ZK_TERMS, ...terms });

    it("constructor_terms_areStored", async () => {
      const { models, opg, staking, settlement } = state();
      expect(fieldsOf(await models.zkTerms())).to.deep.equal(
        Object.fromEntries(Object.entries(ZK_TERMS).map(([name, value]) => [name, BigInt(value)])),
      );
      expect(await models.token()).to.equal(await opg.getAddress());
      expect(await models.staking()).to.equal(await staking.getAddress());
      expect(await models.verifierSets()).to.equal(await settlement.getAddress());
    });

    it("constructor_accountabilityThatStakeDoesNotOutlast_reverts", async () => {
      const longest = UNBONDING_SECONDS - DAY - HOUR;
      await deploy(state(), { accountability: longest });
      for (const terms of [
        { accountability: longest + 1 },
        { accountability: 0 },
        { bond: 0n },
        { rewardBps: 2_001 },
        { voterSlashBps: 10_001 },
        { withdrawalDelay: 30 * DAY + 1 },
      ]) {
        await expect(deploy(state(), terms)).to.be.revertedWithCustomError(state().models, "InvalidZkTerms");
      }
    });
  });
});
