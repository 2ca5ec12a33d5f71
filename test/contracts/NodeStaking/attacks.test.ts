import type { HardhatEthersSigner } from "@nomicfoundation/hardhat-ethers/types";
import { expect } from "chai";
import { MaxUint256, ZeroAddress } from "ethers";

import { freshState } from "../../support/freshState.ts";
import { increaseTime, opgWei, Role, UNBONDING_SECONDS } from "../../support/protocol.ts";
import { deployStage, type Stage } from "../../support/stage.ts";

describe("NodeStaking attacks", () => {
  const state = freshState(async () => {
    const stage = await deployStage();
    const { staking, operator, slasher } = stage;
    await staking.setSlasher(slasher, true);
    await staking.connect(operator).stake(Role.Inference, opgWei(100));
    return stage;
  });

  const delegate = ({ staking, operator }: Stage, who: HardhatEthersSigner, amount: bigint, minUnits = 0n) =>
    staking.connect(who).delegate(operator, Role.Inference, amount, minUnits);

  const slash = ({ staking, operator, slasher, challenger }: Stage, amount: bigint) =>
    staking.connect(slasher).slash([{ operator, role: Role.Inference, amount }], challenger, 2_000);

  const value = ({ staking, operator }: Stage, who: HardhatEthersSigner) =>
    staking.delegationValue(operator, Role.Inference, who);

  /** Draws everything `who` delegated, waits, withdraws and returns what was paid. */
  async function leave(stage: Stage, who: HardhatEthersSigner): Promise<bigint> {
    const { staking, opg, operator } = stage;
    const { units, tickets } = await staking.positions(operator, Role.Inference, who);
    await staking.connect(who).undelegate(operator, Role.Inference, units);
    await increaseTime(stage, UNBONDING_SECONDS);
    const before = await opg.balanceOf(who);
    await staking.connect(who).withdraw(operator, Role.Inference, tickets);
    return (await opg.balanceOf(who)) - before;
  }

  it("donation_toTheContract_movesNoPool", async () => {
    const stage = state();
    const { opg, staking, delegator, stranger } = stage;
    await delegate(stage, delegator, opgWei(1));
    await opg.connect(stranger).transfer(staking, opgWei(1_000));
    expect(await value(stage, delegator)).to.equal(opgWei(1));
    await delegate(stage, stranger, opgWei(1), opgWei(1));
  });

  it("firstDelegatorWithDust_cannotRoundOthersToNothing", async () => {
    const stage = state();
    const { staking, operator, stranger, delegator } = stage;
    // share inflation needs a unit worth a fortune: leave one wei of units behind, then let the pool be slashed
    await delegate(stage, stranger, opgWei(1));
    await staking.connect(stranger).undelegate(operator, Role.Inference, opgWei(1) - 1n);
    await increaseTime(stage, UNBONDING_SECONDS);
    await staking.connect(stranger).withdraw(operator, Role.Inference, 0);
    await delegate(stage, delegator, opgWei(3) + 7n);
    expect(await value(stage, delegator)).to.equal(opgWei(3) + 7n);
  });

  it("slashBeforeADelegation_isBoundedByMinUnits", async () => {
    const stage = state();
    const { staking, delegator, otherDelegator } = stage;
    await delegate(stage, otherDelegator, opgWei(10));
    await slash(stage, opgWei(105));
    // units got cheaper, never dearer: the bound holds, and the value is what was paid
    await delegate(stage, delegator, opgWei(10), opgWei(10));
    expect(await value(stage, delegator)).to.equal(opgWei(10));
    await slash(stage, MaxUint256);
    // a generation that ended starts over at one unit a wei
    await expect(delegate(stage, delegator, opgWei(10), opgWei(20)))
      .to.be.revertedWithCustomError(staking, "InsufficientUnits")
      .withArgs(opgWei(10), opgWei(20));
  });

  it("enteringAndLeaving_neverGains", async () => {
    const stage = state();
    const { delegator, otherDelegator } = stage;
    await delegate(stage, otherDelegator, opgWei(7));
    await slash(stage, opgWei(100) + 333_333_333_333_333_333n);
    const paid = opgWei(5) + 3n;
    await delegate(stage, delegator, paid);
    const got = await leave(stage, delegator);
    expect(got).to.be.at.most(paid);
    expect(paid - got).to.be.at.most(1n);
  });

  it("leavingInManyTickets_neverGains", async () => {
    const stage = state();
    const { opg, staking, operator, delegator } = stage;
    await delegate(stage, delegator, opgWei(1));
    await slash(stage, opgWei(100) + 1n);
    const whole = await value(stage, delegator);
    const { units } = await staking.positions(operator, Role.Inference, delegator);
    const part = units / 5n;
    for (let i = 0; i < 5; ++i) await staking.connect(delegator).undelegate(operator, Role.Inference, part);
    await increaseTime(stage, UNBONDING_SECONDS);
    const before = await opg.balanceOf(delegator);
    for (let i = 0; i < 5; ++i) await staking.connect(delegator).withdraw(operator, Role.Inference, i);
    expect((await opg.balanceOf(delegator)) - before).to.be.at.most(whole);
  });

  it("leavingBeforeTheSlash_doesNotEscapeIt", async () => {
    const stage = state();
    const { connection, opg, staking, operator, delegator, otherDelegator } = stage;
    await delegate(stage, delegator, opgWei(10));
    await delegate(stage, otherDelegator, opgWei(10));
    await staking.connect(delegator).undelegate(operator, Role.Inference, opgWei(10));
    await slash(stage, opgWei(110));
    await increaseTime(stage, UNBONDING_SECONDS);
    await expect(staking.connect(delegator).withdraw(operator, Role.Inference, 0)).to.changeTokenBalance(
      connection.ethers,
      opg,
      delegator,
      opgWei(5),
    );
  });

  it("unstakingBeforeTheSlash_doesNotEscapeIt", async () => {
    const stage = state();
    const { connection, opg, staking, operator } = stage;
    await staking.connect(operator).unstake(Role.Inference, opgWei(100));
    await slash(stage, opgWei(70));
    await increaseTime(stage, UNBONDING_SECONDS);
    await expect(staking.connect(operator).withdrawOwn(Role.Inference, 0)).to.changeTokenBalance(
      connection.ethers,
      opg,
      operator,
      opgWei(30),
    );
  });

  it("delegatingToOneself_doesNotMakeOwnStakeLessOfAFirstLoss", async () => {
    const stage = state();
    const { staking, operator, delegator } = stage;
    await delegate(stage, operator, opgWei(100));
    await delegate(stage, delegator, opgWei(100));
    await slash(stage, opgWei(150));
    expect((await staking.pools(operator, Role.Inference)).own).to.equal(0n);
    expect(await value(stage, operator)).to.equal(await value(stage, delegator));
  });

  it("strangers_cannotWriteIntoAnotherPositionOrTicketList", async () => {
    const stage = state();
    const { staking, operator, delegator, stranger } = stage;
    await delegate(stage, delegator, opgWei(2));
    const before = await staking.positions(operator, Role.Inference, delegator);
    await delegate(stage, stranger, opgWei(2));
    for (let i = 0; i < 3; ++i) await staking.connect(stranger).undelegate(operator, Role.Inference, 1n);
    expect(await staking.positions(operator, Role.Inference, delegator)).to.deep.equal(before);
    expect(await staking.ownTickets(operator, Role.Inference)).to.equal(0n);
    expect((await staking.ticketOf(operator, Role.Inference, delegator, 0)).releaseAt).to.equal(0n);
  });

  it("ownAndDelegatedTickets_haveKeysApart", async () => {
    const stage = state();
    const { staking, operator } = stage;
    await delegate(stage, operator, opgWei(5));
    await staking.connect(operator).undelegate(operator, Role.Inference, opgWei(5));
    await increaseTime(stage, UNBONDING_SECONDS);
    await expect(staking.connect(operator).withdrawOwn(Role.Inference, 0))
      .to.be.revertedWithCustomError(staking, "TicketNotMature")
      .withArgs(0n);
    expect((await staking.ticketOf(operator, Role.Inference, ZeroAddress, 0)).releaseAt).to.equal(0n);
  });

  it("ticketOfALostGeneration_neverComesBackToLife", async () => {
    const stage = state();
    const { connection, opg, staking, operator, delegator, otherDelegator } = stage;
    await delegate(stage, delegator, opgWei(10));
    await staking.connect(delegator).undelegate(operator, Role.Inference, opgWei(10));
    for (let i = 0; i < 3; ++i) {
      await slash(stage, MaxUint256);
      await delegate(stage, otherDelegator, opgWei(10));
    }
    await increaseTime(stage, UNBONDING_SECONDS);
    await expect(staking.connect(delegator).withdraw(operator, Role.Inference, 0)).to.changeTokenBalance(
      connection.ethers,
      opg,
      delegator,
      0,
    );
    expect(await value(stage, otherDelegator)).to.equal(opgWei(10));
  });

  it("manyDeepSlashes_neitherOverflowUnitsNorStopSlashing", async () => {
    const stage = state();
    const { staking, operator, owner } = stage;
    await delegate(stage, owner, opgWei(100_000));
    await slash(stage, opgWei(100) + opgWei(99_999.9999)); // factor 1e9, the lowest there is
    expect((await staking.pools(operator, Role.Inference)).factor).to.equal(10n ** 9n);
    await delegate(stage, owner, opgWei(300_000_000));
    const { units } = await staking.positions(operator, Role.Inference, owner);
    expect(units).to.be.lessThan(2n ** 128n);
    await slash(stage, opgWei(1));
    await slash(stage, MaxUint256);
    expect(await staking.activeStake(operator, Role.Inference)).to.equal(0n);
  });

  it("slasherThatIsItsOwnVictim_losesFourFifths", async () => {
    const stage = state();
    const { connection, opg, staking, operator, slasher } = stage;
    await staking
      .connect(slasher)
      .slash([{ operator, role: Role.Inference, amount: MaxUint256 }], operator, MaxUint256);
    await expect(staking.connect(operator).claim(operator)).to.changeTokenBalance(
      connection.ethers,
      opg,
      operator,
      opgWei(20),
    );
  });

  it("everythingThatWentIn_comesOutOrIsBurned", async () => {
    const stage = state();
    const { opg, staking, operator, delegator, otherDelegator, challenger } = stage;
    const supply = await opg.totalSupply();
    await delegate(stage, delegator, opgWei(10) + 1n);
    await delegate(stage, otherDelegator, opgWei(20) + 3n);
    await slash(stage, opgWei(107) + 5n);
    await leave(stage, delegator);
    await leave(stage, otherDelegator);
    await staking.connect(challenger).claim(challenger);
    // what is left is what rounding down kept back, and belongs to the pool
    const pool = await staking.pools(operator, Role.Inference);
    expect(await opg.balanceOf(staking)).to.equal(pool.own + pool.delegated);
    expect(pool.own).to.equal(0n);
    expect(pool.delegated).to.be.lessThan(64n);
    expect(supply - (await opg.totalSupply())).to.equal(opgWei(107) + 5n - (opgWei(107) + 5n) / 5n);
    await slash(stage, MaxUint256);
    await staking.connect(challenger).claim(challenger);
    expect(await opg.balanceOf(staking)).to.equal(0n);
  });
});
