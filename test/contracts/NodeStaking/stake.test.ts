import { expect } from "chai";

import { fieldsOf } from "../../support/fieldsOf.ts";
import { freshState } from "../../support/freshState.ts";
import { opgWei, Role } from "../../support/protocol.ts";
import { deployStage } from "../../support/stage.ts";

const FIRST_FACTOR = 10n ** 18n;

describe("NodeStaking.stake", () => {
  const state = freshState(deployStage);

  it("stake_first_opensThePool", async () => {
    const { staking, operator } = state();
    await expect(staking.connect(operator).stake(Role.Inference, opgWei(100)))
      .to.emit(staking, "Staked")
      .withArgs(operator, Role.Inference, opgWei(100));
    const pool = await staking.pools(operator, Role.Inference);
    expect(fieldsOf(pool)).to.deep.equal({
      own: opgWei(100),
      delegated: 0n,
      factor: FIRST_FACTOR,
      generation: 0n,
      ownLeaving: 0n,
      unitsLeaving: 0n,
    });
  });

  it("stake_amount_isTakenFromTheCaller", async () => {
    const { connection, staking, opg, operator } = state();
    await expect(staking.connect(operator).stake(Role.Data, opgWei(100))).to.changeTokenBalances(
      connection.ethers,
      opg,
      [operator, staking],
      [-opgWei(100), opgWei(100)],
    );
  });

  it("stake_again_addsAndKeepsTheFactor", async () => {
    const { staking, operator, delegator, slasher, challenger } = state();
    await staking.connect(operator).stake(Role.Inference, opgWei(100));
    await staking.connect(delegator).delegate(operator, Role.Inference, opgWei(100), 0);
    await staking.setSlasher(slasher, true);
    await staking.connect(slasher).slash([{ operator, role: Role.Inference, amount: opgWei(150) }], challenger, 0);
    await staking.connect(operator).stake(Role.Inference, opgWei(7));
    const pool = await staking.pools(operator, Role.Inference);
    expect([pool.own, pool.delegated, pool.factor]).to.deep.equal([opgWei(7), opgWei(50), FIRST_FACTOR / 2n]);
  });

  it("stake_roles_arePoolsOfTheirOwn", async () => {
    const { staking, operator } = state();
    await staking.connect(operator).stake(Role.Inference, 1n);
    await staking.connect(operator).stake(Role.Verifier, 2n);
    expect(await staking.activeStake(operator, Role.Inference)).to.equal(1n);
    expect(await staking.activeStake(operator, Role.Data)).to.equal(0n);
    expect(await staking.activeStake(operator, Role.Verifier)).to.equal(2n);
  });

  it("stake_zero_reverts", async () => {
    const { staking, operator } = state();
    await expect(staking.connect(operator).stake(Role.Inference, 0))
      .to.be.revertedWithCustomError(staking, "AmountTooSmall")
      .withArgs(0n, 1n);
  });

  it("stake_beyond88Bits_reverts", async () => {
    const { staking, opg, owner } = state();
    const most = 2n ** 88n - 1n;
    expect(await opg.balanceOf(owner)).to.be.greaterThan(most);
    await staking.connect(owner).stake(Role.Inference, most);
    await expect(staking.connect(owner).stake(Role.Inference, 1n))
      .to.be.revertedWithCustomError(staking, "SafeCastOverflowedUintDowncast")
      .withArgs(88, most + 1n);
  });

  it("stake_moreThanHeld_reverts", async () => {
    const { staking, opg, operator } = state();
    await expect(staking.connect(operator).stake(Role.Inference, opgWei(1_000_001)))
      .to.be.revertedWithCustomError(opg, "ERC20InsufficientBalance")
      .withArgs(operator, opgWei(1_000_000), opgWei(1_000_001));
  });

  it("stake_withoutAllowance_reverts", async () => {
    const { staking, opg, operator } = state();
    await opg.connect(operator).approve(staking, 0);
    await expect(staking.connect(operator).stake(Role.Inference, 1n))
      .to.be.revertedWithCustomError(opg, "ERC20InsufficientAllowance")
      .withArgs(staking, 0n, 1n);
  });

  it("stake_unknownRole_reverts", async () => {
    const { connection, staking, operator } = state();
    await expect(staking.connect(operator).stake(3, 1n)).to.be.revertedWithoutReason(connection.ethers);
  });
});
