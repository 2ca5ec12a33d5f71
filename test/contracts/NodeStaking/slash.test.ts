import { expect } from "chai";
import { MaxUint256, ZeroAddress } from "ethers";

import { fieldsOf } from "../../support/fieldsOf.ts";
import { freshState } from "../../support/freshState.ts";
import { increaseTime, opgWei, Role, UNBONDING_SECONDS } from "../../support/protocol.ts";
import { deployStage, type Stage } from "../../support/stage.ts";

const REWARD_BPS = 2_000;

describe("NodeStaking.slash", () => {
  const state = freshState(async () => {
    const stage = await deployStage();
    const { staking, operator, delegator, otherDelegator, slasher } = stage;
    await staking.setSlasher(slasher, true);
    await staking.connect(operator).stake(Role.Inference, opgWei(100));
    await staking.connect(delegator).delegate(operator, Role.Inference, opgWei(100), 0);
    await staking.connect(otherDelegator).delegate(operator, Role.Inference, opgWei(300), 0);
    return stage;
  });

  const slash = ({ staking, operator, slasher, challenger }: Stage, amount: bigint, rewardBps = REWARD_BPS) =>
    staking.connect(slasher).slash([{ operator, role: Role.Inference, amount }], challenger, rewardBps);

  const sides = async ({ staking, operator }: Stage): Promise<[bigint, bigint]> => {
    const { own, delegated } = await staking.pools(operator, Role.Inference);
    return [own, delegated];
  };

  it("slash_lessThanOwnStake_leavesDelegationsAlone", async () => {
    const stage = state();
    await expect(slash(stage, opgWei(60)))
      .to.emit(stage.staking, "Slashed")
      .withArgs(stage.operator, Role.Inference, opgWei(60), 0n);
    expect(await sides(stage)).to.deep.equal([opgWei(40), opgWei(400)]);
    const { factor } = await stage.staking.pools(stage.operator, Role.Inference);
    expect(factor).to.equal(10n ** 18n);
  });

  it("slash_moreThanOwnStake_takesTheRestFromAllDelegationsAlike", async () => {
    const stage = state();
    const { staking, operator, delegator, otherDelegator } = stage;
    await expect(slash(stage, opgWei(200)))
      .to.emit(staking, "Slashed")
      .withArgs(operator, Role.Inference, opgWei(100), opgWei(100));
    expect(await staking.delegationValue(operator, Role.Inference, delegator)).to.equal(opgWei(75));
    expect(await staking.delegationValue(operator, Role.Inference, otherDelegator)).to.equal(opgWei(225));
  });

  it("slash_part_isCreditedAndTheRestBurned", async () => {
    const stage = state();
    const { staking, opg, challenger } = stage;
    const supply = await opg.totalSupply();
    const held = await opg.balanceOf(staking);
    const tx = slash(stage, opgWei(200));
    await expect(tx).to.emit(staking, "SlashSettled").withArgs(challenger, opgWei(40), opgWei(160));
    await expect(tx).to.emit(opg, "Transfer").withArgs(staking, ZeroAddress, opgWei(160));
    expect(await staking.credits(challenger)).to.equal(opgWei(40));
    expect(await opg.totalSupply()).to.equal(supply - opgWei(160));
    expect(await opg.balanceOf(staking)).to.equal(held - opgWei(160));
  });

  it("slash_rewardAboveAFifth_countsAsAFifth", async () => {
    const stage = state();
    for (const rewardBps of [2_001n, 10_000n, MaxUint256]) {
      await stage.staking
        .connect(stage.slasher)
        .slash([{ operator: stage.operator, role: Role.Inference, amount: opgWei(10) }], stage.challenger, rewardBps);
    }
    expect(await stage.staking.credits(stage.challenger)).to.equal(opgWei(6));
  });

  it("slash_withoutReward_burnsAll", async () => {
    const stage = state();
    await expect(slash(stage, opgWei(10), 0))
      .to.emit(stage.staking, "SlashSettled")
      .withArgs(stage.challenger, 0n, opgWei(10));
    expect(await stage.staking.credits(stage.challenger)).to.equal(0n);
  });

  it("slash_rewardOfDust_roundsDown", async () => {
    const stage = state();
    await expect(slash(stage, 9n)).to.emit(stage.staking, "SlashSettled").withArgs(stage.challenger, 1n, 8n);
    await expect(slash(stage, 4n)).to.emit(stage.staking, "SlashSettled").withArgs(stage.challenger, 0n, 4n);
  });

  it("slash_moreThanThereIs_takesWhatThereIs", async () => {
    const stage = state();
    const { staking, operator, slasher, challenger } = stage;
    const targets = [{ operator, role: Role.Inference, amount: MaxUint256 }];
    expect(await staking.connect(slasher).slash.staticCall(targets, challenger, 0)).to.equal(opgWei(500));
    const tx = slash(stage, MaxUint256);
    await expect(tx).to.emit(staking, "Slashed").withArgs(operator, Role.Inference, opgWei(100), opgWei(400));
    await expect(tx).to.emit(staking, "GenerationEnded").withArgs(operator, Role.Inference, 0n);
    expect(await sides(stage)).to.deep.equal([0n, 0n]);
    expect(await staking.activeStake(operator, Role.Inference)).to.equal(0n);
  });

  it("slash_again_takesNothingAndDoesNotRevert", async () => {
    const stage = state();
    await slash(stage, MaxUint256);
    await expect(slash(stage, MaxUint256)).not.to.emit(stage.staking, "SlashSettled");
    const { generation } = await stage.staking.pools(stage.operator, Role.Inference);
    expect(generation).to.equal(1n);
  });

  it("slash_zeroOrNobody_takesNothingAndDoesNotRevert", async () => {
    const stage = state();
    const { staking, slasher, challenger, stranger } = stage;
    await expect(slash(stage, 0n)).not.to.emit(staking, "Slashed");
    await expect(
      staking.connect(slasher).slash([{ operator: stranger, role: Role.Data, amount: 1n }], challenger, 0),
    ).not.to.emit(staking, "Slashed");
    await expect(staking.connect(slasher).slash([], challenger, 0)).not.to.emit(staking, "SlashSettled");
  });

  it("slash_allDelegations_endsTheGeneration", async () => {
    const stage = state();
    const { staking, operator, delegator } = stage;
    await slash(stage, opgWei(500));
    const pool = await staking.pools(operator, Role.Inference);
    expect(fieldsOf(pool)).to.deep.equal({
      own: 0n,
      delegated: 0n,
      factor: 10n ** 18n,
      generation: 1n,
      ownLeaving: 0n,
      unitsLeaving: 0n,
    });
    expect(await staking.delegationValue(operator, Role.Inference, delegator)).to.equal(0n);
  });

  it("slash_belowABillionth_takesTheRemainderToo", async () => {
    const stage = state();
    // leaves 4e-10 of the delegations, which units could no longer express with nine digits
    const left = 160_000_000_000n;
    await expect(slash(stage, opgWei(500) - left))
      .to.emit(stage.staking, "Slashed")
      .withArgs(stage.operator, Role.Inference, opgWei(100), opgWei(400));
    expect(await sides(stage)).to.deep.equal([0n, 0n]);
  });

  it("slash_aboveABillionth_keepsTheGeneration", async () => {
    const stage = state();
    const left = 400_000_000_000n;
    await slash(stage, opgWei(500) - left);
    const { delegated, factor, generation } = await stage.staking.pools(stage.operator, Role.Inference);
    expect([delegated, factor, generation]).to.deep.equal([left, 10n ** 9n, 0n]);
  });

  it("slash_poolAlreadyNearABillionth_mayLoseMoreThanWasAsked", async () => {
    const stage = state();
    const { staking, operator, delegator } = stage;
    await slash(stage, opgWei(500) - 600_000_000_000n);
    expect((await staking.pools(operator, Role.Inference)).factor).to.equal(1_500_000_000n);
    await staking.connect(delegator).delegate(operator, Role.Inference, opgWei(100), 0);
    await slash(stage, opgWei(20));
    expect(await staking.activeStake(operator, Role.Inference)).to.equal(opgWei(80) + 600_000_000_000n);
    await expect(slash(stage, opgWei(20)))
      .to.emit(staking, "Slashed")
      .withArgs(operator, Role.Inference, 0n, opgWei(80) + 600_000_000_000n);
  });

  it("slash_leavingStake_isSlashedLikeAnyOther", async () => {
    const stage = state();
    const { connection, staking, opg, operator, delegator } = stage;
    await staking.connect(operator).unstake(Role.Inference, opgWei(100));
    await staking.connect(delegator).undelegate(operator, Role.Inference, opgWei(100));
    await slash(stage, opgWei(300));
    await increaseTime(stage, UNBONDING_SECONDS);
    await expect(staking.connect(operator).withdrawOwn(Role.Inference, 0)).to.changeTokenBalance(
      connection.ethers,
      opg,
      operator,
      0,
    );
    await expect(staking.connect(delegator).withdraw(operator, Role.Inference, 0)).to.changeTokenBalance(
      connection.ethers,
      opg,
      delegator,
      opgWei(50),
    );
  });

  it("slash_otherRolesAndOperators_areUntouched", async () => {
    const stage = state();
    const { staking, operator, otherOperator } = stage;
    await staking.connect(operator).stake(Role.Verifier, opgWei(7));
    await staking.connect(otherOperator).stake(Role.Inference, opgWei(8));
    await slash(stage, MaxUint256);
    expect(await staking.activeStake(operator, Role.Verifier)).to.equal(opgWei(7));
    expect(await staking.activeStake(otherOperator, Role.Inference)).to.equal(opgWei(8));
  });

  it("slash_severalTargets_areSettledTogether", async () => {
    const { staking, operator, otherOperator, slasher, challenger } = state();
    await staking.connect(otherOperator).stake(Role.Verifier, opgWei(50));
    const targets = [
      { operator, role: Role.Inference, amount: opgWei(10) },
      { operator: otherOperator, role: Role.Verifier, amount: opgWei(20) },
      { operator, role: Role.Inference, amount: opgWei(30) },
    ];
    await expect(staking.connect(slasher).slash(targets, challenger, 1_000))
      .to.emit(staking, "SlashSettled")
      .withArgs(challenger, opgWei(6), opgWei(54));
    expect(await staking.activeStake(operator, Role.Inference)).to.equal(opgWei(460));
    expect(await staking.activeStake(otherOperator, Role.Verifier)).to.equal(opgWei(30));
  });

  it("slash_byAnyoneElse_reverts", async () => {
    const { staking, owner, operator, challenger } = state();
    for (const caller of [owner, operator, challenger]) {
      await expect(staking.connect(caller).slash([], challenger, 0))
        .to.be.revertedWithCustomError(staking, "NotSlasher")
        .withArgs(caller);
    }
  });

  it("slash_unknownRole_reverts", async () => {
    const { connection, staking, operator, slasher, challenger } = state();
    await expect(
      staking.connect(slasher).slash([{ operator, role: 3, amount: 1n }], challenger, 0),
    ).to.be.revertedWithoutReason(connection.ethers);
  });
});
