import { expect } from "chai";
import { ZeroAddress } from "ethers";

import { freshState } from "../../support/freshState.ts";
import { DAY, HOUR, UNBONDING_SECONDS } from "../../support/protocol.ts";
import { deployStage } from "../../support/stage.ts";
import { NodeStaking__factory } from "../../../typechain-types/index.ts";

describe("NodeStaking constructor", () => {
  const state = freshState(deployStage);

  it("constructor_settings_areStored", async () => {
    const { staking, opg, owner } = state();
    expect(await staking.token()).to.equal(opg);
    expect(await staking.owner()).to.equal(owner);
    expect(await staking.unbonding()).to.equal(UNBONDING_SECONDS);
  });

  it("constructor_unbondingOutOfRange_reverts", async () => {
    const { staking, opg, owner } = state();
    const factory = new NodeStaking__factory(owner);
    for (const unbonding of [0, HOUR - 1, 365 * DAY + 1, 2n ** 64n]) {
      await expect(factory.deploy(opg, owner, unbonding))
        .to.be.revertedWithCustomError(staking, "UnbondingOutOfRange")
        .withArgs(unbonding, HOUR, 365 * DAY);
    }
  });

  it("constructor_unbondingAtBounds_succeeds", async () => {
    const { opg, owner } = state();
    const factory = new NodeStaking__factory(owner);
    for (const unbonding of [HOUR, 365 * DAY]) {
      const staking = await factory.deploy(opg, owner, unbonding);
      expect(await staking.unbonding()).to.equal(unbonding);
    }
  });

  it("constructor_zeroOwner_reverts", async () => {
    const { staking, opg, owner } = state();
    await expect(new NodeStaking__factory(owner).deploy(opg, ZeroAddress, DAY))
      .to.be.revertedWithCustomError(staking, "OwnableInvalidOwner")
      .withArgs(ZeroAddress);
  });
});
