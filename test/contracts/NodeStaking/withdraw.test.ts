import { expect } from "chai";

import { freshState } from "../../support/freshState.ts";
import { increaseTime, opgWei, Role, UNBONDING_SECONDS } from "../../support/protocol.ts";
import { deployStage, nextBlockAt, type Stage } from "../../support/stage.ts";

describe("NodeStaking.withdraw", () => {
  const state = freshState(async () => {
    const stage = await deployStage();
    const { staking, operator, delegator, slasher } = stage;
    await staking.setSlasher(slasher, true);
    await staking.connect(operator).stake(Role.Inference, opgWei(1));
    await staking.connect(delegator).delegate(operator, Role.Inference, opgWei(10), 0);
    await staking.connect(delegator).undelegate(operator, Role.Inference, opgWei(4));
    return stage;
  });

  const withdraw = ({ staking, operator, delegator }: Stage, ticket = 0) =>
    staking.connect(delegator).withdraw(operator, Role.Inference, ticket);

  const slash = ({ staking, operator, slasher, challenger }: Stage, amount: bigint) =>
    staking.connect(slasher).slash([{ operator, role: Role.Inference, amount }], challenger, 0);

  it("withdraw_mature_paysTheUnitsWorth", async () => {
    const stage = state();
    const { connection, staking, opg, operator, delegator } = stage;
    await increaseTime(stage, UNBONDING_SECONDS);
    const tx = withdraw(stage);
    await expect(tx).to.emit(staking, "Withdrawn").withArgs(operator, Role.Inference, delegator, 0n, opgWei(4));
    await expect(tx).to.changeTokenBalances(connection.ethers, opg, [staking, delegator], [-opgWei(4), opgWei(4)]);
    const pool = await staking.pools(operator, Role.Inference);
    expect([pool.delegated, pool.unitsLeaving]).to.deep.equal([opgWei(6), 0n]);
  });

  it("withdraw_aSecondEarly_reverts", async () => {
    const stage = state();
    const { releaseAt } = await stage.staking.ticketOf(stage.operator, Role.Inference, stage.delegator, 0);
    await nextBlockAt(stage, releaseAt - 1n);
    await expect(withdraw(stage)).to.be.revertedWithCustomError(stage.staking, "TicketNotMature").withArgs(releaseAt);
  });

  it("withdraw_twice_reverts", async () => {
    const stage = state();
    await increaseTime(stage, UNBONDING_SECONDS);
    await withdraw(stage);
    await expect(withdraw(stage)).to.be.revertedWithCustomError(stage.staking, "TicketNotMature").withArgs(0n);
  });

  it("withdraw_somebodyElsesTicket_reverts", async () => {
    const stage = state();
    const { staking, operator, otherDelegator } = stage;
    await increaseTime(stage, UNBONDING_SECONDS);
    await expect(staking.connect(otherDelegator).withdraw(operator, Role.Inference, 0))
      .to.be.revertedWithCustomError(staking, "TicketNotMature")
      .withArgs(0n);
  });

  it("withdraw_slashedWhileLeaving_paysLess", async () => {
    const stage = state();
    await slash(stage, opgWei(1) + opgWei(5));
    await increaseTime(stage, UNBONDING_SECONDS);
    await expect(withdraw(stage)).to.changeTokenBalance(stage.connection.ethers, stage.opg, stage.delegator, opgWei(2));
  });

  it("withdraw_slashedAfterRelease_paysLessToo", async () => {
    const stage = state();
    await increaseTime(stage, UNBONDING_SECONDS);
    await slash(stage, opgWei(1) + opgWei(5));
    await expect(withdraw(stage)).to.changeTokenBalance(stage.connection.ethers, stage.opg, stage.delegator, opgWei(2));
  });

  it("withdraw_lostGeneration_paysZeroAndLeavesTheNextAlone", async () => {
    const stage = state();
    const { staking, operator, delegator, otherDelegator } = stage;
    await slash(stage, opgWei(11));
    await staking.connect(otherDelegator).delegate(operator, Role.Inference, opgWei(8), 0);
    await staking.connect(otherDelegator).undelegate(operator, Role.Inference, opgWei(3));
    await increaseTime(stage, UNBONDING_SECONDS);
    await expect(withdraw(stage)).to.emit(staking, "Withdrawn").withArgs(operator, Role.Inference, delegator, 0n, 0n);
    const pool = await staking.pools(operator, Role.Inference);
    expect([pool.delegated, pool.unitsLeaving]).to.deep.equal([opgWei(8), opgWei(3)]);
  });

  it("withdraw_ticketWorthLessThanAWei_paysZero", async () => {
    const stage = state();
    const { staking, operator, delegator } = stage;
    await slash(stage, opgWei(1) + opgWei(5));
    await staking.connect(delegator).undelegate(operator, Role.Inference, 1n);
    await increaseTime(stage, UNBONDING_SECONDS);
    await expect(withdraw(stage, 1))
      .to.emit(staking, "Withdrawn")
      .withArgs(operator, Role.Inference, delegator, 1n, 0n);
    expect((await staking.pools(operator, Role.Inference)).delegated).to.equal(opgWei(5));
  });
});
