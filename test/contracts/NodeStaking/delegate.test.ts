import { expect } from "chai";

import { fieldsOf } from "../../support/fieldsOf.ts";
import { freshState } from "../../support/freshState.ts";
import { opgWei, Role } from "../../support/protocol.ts";
import { deployStage, type Stage } from "../../support/stage.ts";

describe("NodeStaking.delegate", () => {
  const state = freshState(async () => {
    const stage = await deployStage();
    await stage.staking.setSlasher(stage.slasher, true);
    await stage.staking.connect(stage.operator).stake(Role.Inference, 1n);
    return stage;
  });

  const delegate = ({ staking, operator, delegator }: Stage, amount: bigint, minUnits = 0n) =>
    staking.connect(delegator).delegate(operator, Role.Inference, amount, minUnits);

  /** Takes the own stake and `amount` of the delegations. */
  const slashDelegations = ({ staking, operator, slasher, challenger }: Stage, amount: bigint) =>
    staking.connect(slasher).slash([{ operator, role: Role.Inference, amount: amount + 1n }], challenger, 0);

  it("delegate_first_givesAUnitPerWei", async () => {
    const stage = state();
    const { connection, staking, opg, operator, delegator } = stage;
    const tx = delegate(stage, opgWei(10));
    await expect(tx)
      .to.emit(staking, "Delegated")
      .withArgs(operator, Role.Inference, delegator, opgWei(10), opgWei(10));
    await expect(tx).to.changeTokenBalances(connection.ethers, opg, [delegator, staking], [-opgWei(10), opgWei(10)]);
    const position = await staking.positions(operator, Role.Inference, delegator);
    expect(fieldsOf(position)).to.deep.equal({ units: opgWei(10), generation: 0n, tickets: 0n });
    expect((await staking.pools(operator, Role.Inference)).delegated).to.equal(opgWei(10));
  });

  it("delegate_again_adds", async () => {
    const stage = state();
    await delegate(stage, opgWei(10));
    await delegate(stage, opgWei(5));
    expect(await stage.staking.delegationValue(stage.operator, Role.Inference, stage.delegator)).to.equal(opgWei(15));
  });

  it("delegate_afterASlash_givesMoreUnitsOfLessWorth", async () => {
    const stage = state();
    const { staking, operator, otherDelegator } = stage;
    await delegate(stage, opgWei(10));
    await slashDelegations(stage, opgWei(5));
    await expect(staking.connect(otherDelegator).delegate(operator, Role.Inference, opgWei(10), opgWei(20)))
      .to.emit(staking, "Delegated")
      .withArgs(operator, Role.Inference, otherDelegator, opgWei(10), opgWei(20));
    expect(await staking.delegationValue(operator, Role.Inference, otherDelegator)).to.equal(opgWei(10));
  });

  it("delegate_unitsRoundDown_neverWorthMoreThanPaid", async () => {
    const stage = state();
    const { staking, operator, delegator, otherDelegator } = stage;
    await delegate(stage, opgWei(3));
    await slashDelegations(stage, opgWei(1));
    const amount = opgWei(1) + 1n;
    await staking.connect(otherDelegator).delegate(operator, Role.Inference, amount, 0);
    const { factor } = await staking.pools(operator, Role.Inference);
    expect(factor).to.equal(666_666_666_666_666_666n);
    const { units } = await staking.positions(operator, Role.Inference, otherDelegator);
    expect(units).to.equal((amount * 10n ** 18n) / factor);
    expect(await staking.delegationValue(operator, Role.Inference, otherDelegator)).to.be.at.most(amount);
    expect(await staking.delegationValue(operator, Role.Inference, delegator)).to.be.at.most(opgWei(2));
  });

  it("delegate_lessUnitsThanDemanded_reverts", async () => {
    const stage = state();
    await expect(delegate(stage, opgWei(10), opgWei(10) + 1n))
      .to.be.revertedWithCustomError(stage.staking, "InsufficientUnits")
      .withArgs(opgWei(10), opgWei(10) + 1n);
  });

  it("delegate_belowOneOPG_reverts", async () => {
    const stage = state();
    await expect(delegate(stage, opgWei(1) - 1n))
      .to.be.revertedWithCustomError(stage.staking, "AmountTooSmall")
      .withArgs(opgWei(1) - 1n, opgWei(1));
  });

  it("delegate_toAPoolNobodyOpened_reverts", async () => {
    const { staking, operator, delegator } = state();
    await expect(staking.connect(delegator).delegate(operator, Role.Data, opgWei(1), 0))
      .to.be.revertedWithCustomError(staking, "PoolNotOpen")
      .withArgs(operator, Role.Data);
  });

  it("delegate_toAnOperatorWithoutOwnStake_succeeds", async () => {
    const stage = state();
    const { staking, operator, slasher, challenger } = stage;
    await staking.connect(slasher).slash([{ operator, role: Role.Inference, amount: 1n }], challenger, 0);
    await delegate(stage, opgWei(1));
    expect(await staking.activeStake(operator, Role.Inference)).to.equal(opgWei(1));
  });

  it("delegate_toOneself_isAPositionLikeAnyOther", async () => {
    const { staking, operator } = state();
    await staking.connect(operator).delegate(operator, Role.Inference, opgWei(2), 0);
    expect(await staking.delegationValue(operator, Role.Inference, operator)).to.equal(opgWei(2));
    expect((await staking.pools(operator, Role.Inference)).own).to.equal(1n);
  });

  it("delegate_beyond88Bits_reverts", async () => {
    const { staking, owner, operator } = state();
    const most = 2n ** 88n - 1n;
    await staking.connect(owner).delegate(operator, Role.Inference, most, 0);
    await expect(staking.connect(owner).delegate(operator, Role.Inference, opgWei(1), 0))
      .to.be.revertedWithCustomError(staking, "SafeCastOverflowedUintDowncast")
      .withArgs(88, most + opgWei(1));
  });

  it("delegate_afterItsGenerationWasLost_startsAfresh", async () => {
    const stage = state();
    const { staking, operator, delegator } = stage;
    await delegate(stage, opgWei(10));
    await staking.connect(delegator).undelegate(operator, Role.Inference, opgWei(1));
    await slashDelegations(stage, opgWei(10));
    await delegate(stage, opgWei(4));
    const position = await staking.positions(operator, Role.Inference, delegator);
    expect(fieldsOf(position)).to.deep.equal({ units: opgWei(4), generation: 1n, tickets: 1n });
    expect(await staking.delegationValue(operator, Role.Inference, delegator)).to.equal(opgWei(4));
  });
});
