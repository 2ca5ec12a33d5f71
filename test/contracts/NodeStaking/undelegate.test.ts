import { expect } from "chai";

import { fieldsOf } from "../../support/fieldsOf.ts";
import { freshState } from "../../support/freshState.ts";
import { latestTimestamp, opgWei, Role, UNBONDING_SECONDS } from "../../support/protocol.ts";
import { deployStage, nextBlockAt, type Stage } from "../../support/stage.ts";

describe("NodeStaking.undelegate", () => {
  const state = freshState(async () => {
    const stage = await deployStage();
    const { staking, operator, delegator, slasher } = stage;
    await staking.setSlasher(slasher, true);
    await staking.connect(operator).stake(Role.Inference, opgWei(1));
    await staking.connect(delegator).delegate(operator, Role.Inference, opgWei(10), 0);
    return stage;
  });

  const undelegate = ({ staking, operator, delegator }: Stage, units: bigint) =>
    staking.connect(delegator).undelegate(operator, Role.Inference, units);

  it("undelegate_part_drawsATicket", async () => {
    const stage = state();
    const { staking, operator, delegator } = stage;
    const now = (await latestTimestamp(stage)) + 10;
    await nextBlockAt(stage, now);
    await expect(undelegate(stage, opgWei(4)))
      .to.emit(staking, "UndelegateRequested")
      .withArgs(operator, Role.Inference, delegator, 0n, opgWei(4), now + UNBONDING_SECONDS);
    const ticket = await staking.ticketOf(operator, Role.Inference, delegator, 0);
    expect(fieldsOf(ticket)).to.deep.equal({
      units: opgWei(4),
      releaseAt: BigInt(now + UNBONDING_SECONDS),
      generation: 0n,
    });
    const position = await staking.positions(operator, Role.Inference, delegator);
    expect(fieldsOf(position)).to.deep.equal({ units: opgWei(6), generation: 0n, tickets: 1n });
  });

  it("undelegate_part_backsNothingButStaysInThePool", async () => {
    const stage = state();
    const { staking, operator } = stage;
    await undelegate(stage, opgWei(4));
    const pool = await staking.pools(operator, Role.Inference);
    expect([pool.delegated, pool.unitsLeaving]).to.deep.equal([opgWei(10), opgWei(4)]);
    expect(await staking.activeStake(operator, Role.Inference)).to.equal(opgWei(7));
  });

  it("undelegate_tickets_areCountedPerDelegatorAndPool", async () => {
    const stage = state();
    const { staking, operator, delegator, otherDelegator } = stage;
    await staking.connect(otherDelegator).delegate(operator, Role.Inference, opgWei(1), 0);
    await undelegate(stage, 1n);
    expect(await staking.connect(delegator).undelegate.staticCall(operator, Role.Inference, 1n)).to.equal(1n);
    expect(await staking.connect(otherDelegator).undelegate.staticCall(operator, Role.Inference, 1n)).to.equal(0n);
  });

  it("undelegate_zero_reverts", async () => {
    const stage = state();
    await expect(undelegate(stage, 0n)).to.be.revertedWithCustomError(stage.staking, "AmountTooSmall").withArgs(0n, 1n);
  });

  it("undelegate_moreThanHeld_reverts", async () => {
    const stage = state();
    await undelegate(stage, opgWei(4));
    for (const units of [opgWei(6) + 1n, 2n ** 128n, 2n ** 128n + 1n]) {
      await expect(undelegate(stage, units))
        .to.be.revertedWithCustomError(stage.staking, "InsufficientUnits")
        .withArgs(opgWei(6), units);
    }
  });

  it("undelegate_byAStranger_reverts", async () => {
    const { staking, operator, stranger } = state();
    await expect(staking.connect(stranger).undelegate(operator, Role.Inference, 1n))
      .to.be.revertedWithCustomError(staking, "InsufficientUnits")
      .withArgs(0n, 1n);
  });

  it("undelegate_unitsOfALostGeneration_reverts", async () => {
    const stage = state();
    const { staking, operator, slasher, challenger } = stage;
    await staking.connect(slasher).slash([{ operator, role: Role.Inference, amount: opgWei(11) }], challenger, 0);
    await expect(undelegate(stage, 1n)).to.be.revertedWithCustomError(staking, "InsufficientUnits").withArgs(0n, 1n);
  });
});
