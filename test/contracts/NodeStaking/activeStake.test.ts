import { expect } from "chai";

import { freshState } from "../../support/freshState.ts";
import { increaseTime, opgWei, Role, UNBONDING_SECONDS } from "../../support/protocol.ts";
import { deployStage, type Stage } from "../../support/stage.ts";

describe("NodeStaking.activeStake, delegationValue", () => {
  const state = freshState(async () => {
    const stage = await deployStage();
    const { staking, operator, delegator, slasher } = stage;
    await staking.setSlasher(slasher, true);
    await staking.connect(operator).stake(Role.Inference, opgWei(100));
    await staking.connect(delegator).delegate(operator, Role.Inference, opgWei(30), 0);
    return stage;
  });

  const active = ({ staking, operator }: Stage) => staking.activeStake(operator, Role.Inference);

  const slash = ({ staking, operator, slasher, challenger }: Stage, amount: bigint) =>
    staking.connect(slasher).slash([{ operator, role: Role.Inference, amount }], challenger, 0);

  it("activeStake_ownAndDelegated_areSummed", async () => {
    expect(await active(state())).to.equal(opgWei(130));
  });

  it("activeStake_ofNobody_isZero", async () => {
    const { staking, stranger } = state();
    expect(await staking.activeStake(stranger, Role.Inference)).to.equal(0n);
  });

  it("activeStake_matureButUnpaidTickets_stillDoNotCount", async () => {
    const stage = state();
    const { staking, operator, delegator } = stage;
    await staking.connect(operator).unstake(Role.Inference, opgWei(10));
    await staking.connect(delegator).undelegate(operator, Role.Inference, opgWei(10));
    await increaseTime(stage, 2 * UNBONDING_SECONDS);
    expect(await active(stage)).to.equal(opgWei(110));
    await staking.connect(operator).withdrawOwn(Role.Inference, 0);
    await staking.connect(delegator).withdraw(operator, Role.Inference, 0);
    expect(await active(stage)).to.equal(opgWei(110));
  });

  it("activeStake_slashBelowWhatLeaves_isZeroNotNegative", async () => {
    const stage = state();
    await stage.staking.connect(stage.operator).unstake(Role.Inference, opgWei(80));
    await slash(stage, opgWei(50));
    expect(await active(stage)).to.equal(opgWei(30));
  });

  it("activeStake_leavingUnits_areRoundedUp", async () => {
    const stage = state();
    const { staking, operator, delegator } = stage;
    await slash(stage, opgWei(110)); // leaves 20 of 30: a factor of 2/3, rounded down
    await staking.connect(delegator).undelegate(operator, Role.Inference, 1n);
    // one unit is worth 0.67 wei, and counts as one that leaves
    expect(await active(stage)).to.equal(opgWei(20) - 1n);
  });

  it("activeStake_newStakeWhileALossIsOutstanding_countsAboveTheTickets", async () => {
    const stage = state();
    const { staking, operator } = stage;
    await staking.connect(operator).unstake(Role.Inference, opgWei(100));
    await slash(stage, opgWei(100));
    await staking.connect(operator).stake(Role.Inference, opgWei(100));
    // the open ticket claims the new stake too, until it is paid
    expect(await active(stage)).to.equal(opgWei(30));
    await staking.connect(operator).stake(Role.Inference, opgWei(1));
    expect(await active(stage)).to.equal(opgWei(31));
  });

  it("delegationValue_withoutWhatLeaves", async () => {
    const stage = state();
    const { staking, operator, delegator, stranger } = stage;
    await staking.connect(delegator).undelegate(operator, Role.Inference, opgWei(10));
    expect(await staking.delegationValue(operator, Role.Inference, delegator)).to.equal(opgWei(20));
    expect(await staking.delegationValue(operator, Role.Inference, stranger)).to.equal(0n);
  });
});
