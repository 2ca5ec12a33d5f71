import { expect } from "chai";

import { freshState } from "../../support/freshState.ts";
import { deployStage } from "../../support/stage.ts";

describe("NodeStaking.setSlasher, ownership", () => {
  const state = freshState(deployStage);

  it("setSlasher_byOwner_allowsAndForbids", async () => {
    const { staking, slasher, challenger } = state();
    await expect(staking.setSlasher(slasher, true)).to.emit(staking, "SlasherSet").withArgs(slasher, true);
    expect(await staking.isSlasher(slasher)).to.equal(true);
    await staking.connect(slasher).slash([], challenger, 0);
    await expect(staking.setSlasher(slasher, false)).to.emit(staking, "SlasherSet").withArgs(slasher, false);
    await expect(staking.connect(slasher).slash([], challenger, 0))
      .to.be.revertedWithCustomError(staking, "NotSlasher")
      .withArgs(slasher);
  });

  it("setSlasher_byAnyoneElse_reverts", async () => {
    const { staking, slasher } = state();
    await expect(staking.connect(slasher).setSlasher(slasher, true))
      .to.be.revertedWithCustomError(staking, "OwnableUnauthorizedAccount")
      .withArgs(slasher);
  });

  it("transferOwnership_takesTwoSteps", async () => {
    const { staking, owner, stranger } = state();
    await staking.transferOwnership(stranger);
    expect(await staking.owner()).to.equal(owner);
    await staking.connect(stranger).acceptOwnership();
    expect(await staking.owner()).to.equal(stranger);
  });
});
