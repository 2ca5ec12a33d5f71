import { expect } from "chai";
import { ZeroAddress } from "ethers";

import { freshState } from "../../support/freshState.ts";
import { increaseTime, latestTimestamp, opgWei, Role, UNBONDING_SECONDS } from "../../support/protocol.ts";
import { deployStage, nextBlockAt, type Stage } from "../../support/stage.ts";

describe("NodeStaking.withdrawOwn", () => {
  const state = freshState(async () => {
    const stage = await deployStage();
    await stage.staking.setSlasher(stage.slasher, true);
    await stage.staking.connect(stage.operator).stake(Role.Inference, opgWei(100));
    await stage.staking.connect(stage.operator).unstake(Role.Inference, opgWei(40));
    return stage;
  });

  const withdraw = ({ staking, operator }: Stage, ticket = 0) =>
    staking.connect(operator).withdrawOwn(Role.Inference, ticket);

  const slash = ({ staking, operator, slasher, challenger }: Stage, amount: bigint) =>
    staking.connect(slasher).slash([{ operator, role: Role.Inference, amount }], challenger, 0);

  it("withdrawOwn_mature_paysTheTicket", async () => {
    const stage = state();
    const { connection, staking, opg, operator } = stage;
    await increaseTime(stage, UNBONDING_SECONDS);
    const tx = withdraw(stage);
    await expect(tx).to.emit(staking, "Withdrawn").withArgs(operator, Role.Inference, operator, 0n, opgWei(40));
    await expect(tx).to.changeTokenBalances(connection.ethers, opg, [staking, operator], [-opgWei(40), opgWei(40)]);
    const pool = await staking.pools(operator, Role.Inference);
    expect([pool.own, pool.ownLeaving]).to.deep.equal([opgWei(60), 0n]);
    expect((await staking.ticketOf(operator, Role.Inference, ZeroAddress, 0)).releaseAt).to.equal(0n);
  });

  it("withdrawOwn_aSecondEarly_reverts", async () => {
    const stage = state();
    const { releaseAt } = await stage.staking.ticketOf(stage.operator, Role.Inference, ZeroAddress, 0);
    await nextBlockAt(stage, releaseAt - 1n);
    await expect(withdraw(stage)).to.be.revertedWithCustomError(stage.staking, "TicketNotMature").withArgs(releaseAt);
  });

  it("withdrawOwn_atRelease_pays", async () => {
    const stage = state();
    await nextBlockAt(stage, (await latestTimestamp(stage)) + UNBONDING_SECONDS);
    await expect(withdraw(stage)).to.emit(stage.staking, "Withdrawn");
  });

  it("withdrawOwn_twice_reverts", async () => {
    const stage = state();
    await increaseTime(stage, UNBONDING_SECONDS);
    await withdraw(stage);
    await expect(withdraw(stage)).to.be.revertedWithCustomError(stage.staking, "TicketNotMature").withArgs(0n);
  });

  it("withdrawOwn_ticketOfNobody_reverts", async () => {
    const stage = state();
    await increaseTime(stage, UNBONDING_SECONDS);
    await expect(withdraw(stage, 1)).to.be.revertedWithCustomError(stage.staking, "TicketNotMature").withArgs(0n);
  });

  it("withdrawOwn_otherRole_reverts", async () => {
    const stage = state();
    await increaseTime(stage, UNBONDING_SECONDS);
    await expect(stage.staking.connect(stage.operator).withdrawOwn(Role.Data, 0))
      .to.be.revertedWithCustomError(stage.staking, "TicketNotMature")
      .withArgs(0n);
  });

  it("withdrawOwn_afterASlashTheRestCovers_paysInFull", async () => {
    const stage = state();
    await slash(stage, opgWei(60));
    await increaseTime(stage, UNBONDING_SECONDS);
    await expect(withdraw(stage)).to.changeTokenBalance(stage.connection.ethers, stage.opg, stage.operator, opgWei(40));
  });

  it("withdrawOwn_afterADeeperSlash_paysWhatIsLeft", async () => {
    const stage = state();
    await slash(stage, opgWei(75));
    await increaseTime(stage, UNBONDING_SECONDS);
    await expect(withdraw(stage)).to.changeTokenBalance(stage.connection.ethers, stage.opg, stage.operator, opgWei(25));
    const pool = await stage.staking.pools(stage.operator, Role.Inference);
    expect([pool.own, pool.ownLeaving]).to.deep.equal([0n, 0n]);
  });

  it("withdrawOwn_afterALossOfAll_paysZeroAndEndsTheTicket", async () => {
    const stage = state();
    await slash(stage, opgWei(100));
    await increaseTime(stage, UNBONDING_SECONDS);
    await expect(withdraw(stage))
      .to.emit(stage.staking, "Withdrawn")
      .withArgs(stage.operator, Role.Inference, stage.operator, 0n, 0n);
    expect((await stage.staking.pools(stage.operator, Role.Inference)).ownLeaving).to.equal(0n);
  });

  it("withdrawOwn_severalTicketsAfterASlash_theLastOnesMissIt", async () => {
    const stage = state();
    await stage.staking.connect(stage.operator).unstake(Role.Inference, opgWei(60));
    await slash(stage, opgWei(50));
    await increaseTime(stage, UNBONDING_SECONDS);
    const { opg, connection, operator } = stage;
    await expect(withdraw(stage, 1)).to.changeTokenBalance(connection.ethers, opg, operator, opgWei(50));
    await expect(withdraw(stage, 0)).to.changeTokenBalance(connection.ethers, opg, operator, 0);
  });
});
