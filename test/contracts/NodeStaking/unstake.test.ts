import { expect } from "chai";
import { ZeroAddress } from "ethers";

import { fieldsOf } from "../../support/fieldsOf.ts";
import { freshState } from "../../support/freshState.ts";
import { latestTimestamp, opgWei, Role, UNBONDING_SECONDS } from "../../support/protocol.ts";
import { deployStage, nextBlockAt, type Stage } from "../../support/stage.ts";

describe("NodeStaking.unstake", () => {
  const state = freshState(async () => {
    const stage = await deployStage();
    await stage.staking.connect(stage.operator).stake(Role.Inference, opgWei(100));
    return stage;
  });

  const unstake = ({ staking, operator }: Stage, amount: bigint) =>
    staking.connect(operator).unstake(Role.Inference, amount);

  it("unstake_part_drawsATicket", async () => {
    const stage = state();
    const { staking, operator } = stage;
    const now = (await latestTimestamp(stage)) + 10;
    await nextBlockAt(stage, now);
    await expect(unstake(stage, opgWei(40)))
      .to.emit(staking, "UnstakeRequested")
      .withArgs(operator, Role.Inference, 0n, opgWei(40), now + UNBONDING_SECONDS);
    const ticket = await staking.ticketOf(operator, Role.Inference, ZeroAddress, 0);
    expect(fieldsOf(ticket)).to.deep.equal({
      units: opgWei(40),
      releaseAt: BigInt(now + UNBONDING_SECONDS),
      generation: 0n,
    });
  });

  it("unstake_part_backsNothingButStaysInThePool", async () => {
    const stage = state();
    await unstake(stage, opgWei(40));
    const pool = await stage.staking.pools(stage.operator, Role.Inference);
    expect([pool.own, pool.ownLeaving]).to.deep.equal([opgWei(100), opgWei(40)]);
    expect(await stage.staking.activeStake(stage.operator, Role.Inference)).to.equal(opgWei(60));
  });

  it("unstake_paysNothingYet", async () => {
    const stage = state();
    await expect(unstake(stage, opgWei(40))).to.changeTokenBalance(
      stage.connection.ethers,
      stage.opg,
      stage.operator,
      0,
    );
  });

  it("unstake_tickets_areCountedPerRole", async () => {
    const stage = state();
    const { staking, operator } = stage;
    await staking.connect(operator).stake(Role.Data, 5n);
    await unstake(stage, 1n);
    expect(await staking.connect(operator).unstake.staticCall(Role.Inference, 1n)).to.equal(1n);
    expect(await staking.connect(operator).unstake.staticCall(Role.Data, 1n)).to.equal(0n);
    expect(await staking.ownTickets(operator, Role.Inference)).to.equal(1n);
  });

  it("unstake_zero_reverts", async () => {
    const stage = state();
    await expect(unstake(stage, 0n)).to.be.revertedWithCustomError(stage.staking, "AmountTooSmall").withArgs(0n, 1n);
  });

  it("unstake_moreThanIsFree_reverts", async () => {
    const stage = state();
    await unstake(stage, opgWei(40));
    await expect(unstake(stage, opgWei(60) + 1n))
      .to.be.revertedWithCustomError(stage.staking, "InsufficientStake")
      .withArgs(opgWei(60), opgWei(60) + 1n);
  });

  it("unstake_moreThan128Bits_reverts", async () => {
    const stage = state();
    await expect(unstake(stage, 2n ** 128n + 1n))
      .to.be.revertedWithCustomError(stage.staking, "InsufficientStake")
      .withArgs(opgWei(100), 2n ** 128n + 1n);
  });

  it("unstake_afterASlashBelowWhatLeaves_reverts", async () => {
    const stage = state();
    const { staking, operator, slasher, challenger } = stage;
    await unstake(stage, opgWei(40));
    await staking.setSlasher(slasher, true);
    await staking.connect(slasher).slash([{ operator, role: Role.Inference, amount: opgWei(80) }], challenger, 0);
    await expect(unstake(stage, 1n)).to.be.revertedWithCustomError(staking, "InsufficientStake").withArgs(0n, 1n);
  });

  it("unstake_withoutAPool_reverts", async () => {
    const { staking, stranger } = state();
    await expect(staking.connect(stranger).unstake(Role.Inference, 1n))
      .to.be.revertedWithCustomError(staking, "InsufficientStake")
      .withArgs(0n, 1n);
  });
});
