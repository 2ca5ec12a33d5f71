import { expect } from "chai";
import { id } from "ethers";

import { freshState } from "../../../support/freshState.ts";
import { opgWei } from "../../../support/protocol.ts";
import { channelOf, claimOf, deployLocalStage, fund } from "../localStage.ts";

const TEN = opgWei(10);
const DELAY = 900;

describe("LocalBatchSettlement: withdrawal without the receiver", () => {
  const state = freshState(async () => {
    const stage = await deployLocalStage();
    const config = await channelOf(stage, { payerAuthorizer: stage.stranger.address });
    await fund(stage, config, TEN);
    const channelId = await stage.batch.getChannelId(config);
    return { ...stage, config, channelId, byPayer: stage.batch.connect(stage.payer) };
  });

  it("withdraw_afterTheDelay_paysThePayer", async () => {
    const { batch, byPayer, opg, config, channelId, payer, connection } = state();
    const before = await opg.balanceOf(payer);
    const transaction = await byPayer.initiateWithdraw(config, TEN);
    const { timestamp } = (await transaction.getBlock())!;
    await expect(transaction)
      .to.emit(batch, "WithdrawInitiated")
      .withArgs(channelId, TEN, timestamp + DELAY);
    expect(await batch.pendingWithdrawals(channelId)).to.deep.equal([TEN, BigInt(timestamp)]);
    await connection.networkHelpers.time.setNextBlockTimestamp(timestamp + DELAY - 1);
    await expect(byPayer.finalizeWithdraw(config))
      .to.be.revertedWithCustomError(batch, "WithdrawTooEarly")
      .withArgs(timestamp + DELAY - 1, timestamp + DELAY);
    await connection.networkHelpers.time.setNextBlockTimestamp(timestamp + DELAY);
    await expect(byPayer.finalizeWithdraw(config))
      .to.emit(batch, "WithdrawFinalized")
      .withArgs(channelId, payer, TEN)
      .and.to.emit(batch, "ChannelClosed");
    expect((await opg.balanceOf(payer)) - before).to.equal(TEN);
    expect(await batch.pendingWithdrawals(channelId)).to.deep.equal([0n, 0n]);
    await expect(byPayer.finalizeWithdraw(config)).to.be.revertedWithCustomError(batch, "NoWithdrawPending");
  });

  it("withdraw_byThePayersAuthorizer_paysThePayer", async () => {
    const { batch, opg, config, payer, stranger, connection } = state();
    const before = await opg.balanceOf(payer);
    await batch.connect(stranger).initiateWithdraw(config, TEN);
    await connection.networkHelpers.time.increase(DELAY);
    await batch.connect(stranger).finalizeWithdraw(config);
    expect((await opg.balanceOf(payer)) - before).to.equal(TEN);
  });

  it("withdraw_byAnyoneElse_reverts", async () => {
    const { batch, byPayer, config, receiver, authorizer, connection } = state();
    await byPayer.initiateWithdraw(config, 1n);
    await connection.networkHelpers.time.increase(DELAY);
    for (const other of [receiver, authorizer]) {
      await expect(batch.connect(other).initiateWithdraw(config, 1n)).to.be.revertedWithCustomError(
        batch,
        "Unauthorized",
      );
      await expect(batch.connect(other).finalizeWithdraw(config)).to.be.revertedWithCustomError(batch, "Unauthorized");
    }
  });

  it("initiateWithdraw_moreThanIsNotClaimed_reverts", async () => {
    const stage = state();
    const { batch, byPayer, config, receiver, stranger } = stage;
    await batch.connect(receiver).claim([await claimOf(stage, config, 100n, { signer: stranger })]);
    await expect(byPayer.initiateWithdraw(config, TEN - 99n))
      .to.be.revertedWithCustomError(batch, "WithdrawExceedsEscrow")
      .withArgs(TEN - 99n, TEN - 100n);
    await expect(byPayer.initiateWithdraw(config, 0n)).to.be.revertedWithCustomError(batch, "ZeroAmount");
  });

  it("initiateWithdraw_whileOneIsPending_reverts", async () => {
    const { batch, byPayer, config } = state();
    await byPayer.initiateWithdraw(config, 1n);
    await expect(byPayer.initiateWithdraw(config, TEN)).to.be.revertedWithCustomError(batch, "WithdrawPending");
  });

  it("finalizeWithdraw_receiverClaimedMeanwhile_paysTheRest", async () => {
    const stage = state();
    const { batch, byPayer, opg, config, channelId, payer, receiver, stranger, connection } = stage;
    await byPayer.initiateWithdraw(config, TEN);
    await connection.networkHelpers.time.increase(DELAY);
    await batch.connect(receiver).claim([await claimOf(stage, config, 100n, { signer: stranger })]);
    const before = await opg.balanceOf(payer);
    await byPayer.finalizeWithdraw(config);
    expect((await opg.balanceOf(payer)) - before).to.equal(TEN - 100n);
    expect(await batch.channels(channelId)).to.deep.equal([100n, 100n]);
  });

  it("finalizeWithdraw_receiverClaimedAll_paysNothingAndEnds", async () => {
    const stage = state();
    const { batch, byPayer, opg, config, payer, receiver, stranger, connection } = stage;
    await byPayer.initiateWithdraw(config, TEN);
    await batch.connect(receiver).claim([await claimOf(stage, config, TEN, { signer: stranger })]);
    await connection.networkHelpers.time.increase(DELAY);
    const before = await opg.balanceOf(payer);
    await byPayer.finalizeWithdraw(config);
    expect(await opg.balanceOf(payer)).to.equal(before);
  });

  it("finalizeWithdraw_afterATopUp_paysOnlyWhatWasAskedFor", async () => {
    const stage = state();
    const { byPayer, opg, config, payer, connection } = stage;
    await byPayer.initiateWithdraw(config, 4n);
    await fund(stage, config, TEN, 1n);
    await connection.networkHelpers.time.increase(DELAY);
    const before = await opg.balanceOf(payer);
    await byPayer.finalizeWithdraw(config);
    expect((await opg.balanceOf(payer)) - before).to.equal(4n);
  });

  it("refund_whileAWithdrawalIsPending_comesOutOfIt", async () => {
    const { batch, byPayer, config, channelId, receiver } = state();
    await byPayer.initiateWithdraw(config, 10n);
    await batch.connect(receiver).refund(config, 4n);
    expect((await batch.pendingWithdrawals(channelId)).amount).to.equal(6n);
    await batch.connect(receiver).refund(config, 6n);
    expect(await batch.pendingWithdrawals(channelId)).to.deep.equal([0n, 0n]);
    await expect(byPayer.finalizeWithdraw(config)).to.be.revertedWithCustomError(batch, "NoWithdrawPending");
  });

  it("withdraw_ofOneChannel_doesNotTouchAnother", async () => {
    const stage = state();
    const { batch, config, payer, connection } = stage;
    const other = await channelOf(stage, { salt: id("other") });
    await fund(stage, other, 7n, 1n);
    const byPayer = batch.connect(payer);
    await byPayer.initiateWithdraw(config, TEN);
    await connection.networkHelpers.time.increase(DELAY);
    await expect(byPayer.finalizeWithdraw(other)).to.be.revertedWithCustomError(batch, "NoWithdrawPending");
    await byPayer.finalizeWithdraw(config);
    expect((await batch.channels(await batch.getChannelId(other))).balance).to.equal(7n);
  });
});
