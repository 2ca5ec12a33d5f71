import { expect } from "chai";

import { freshState } from "../../../support/freshState.ts";
import { opgWei } from "../../../support/protocol.ts";
import { channelOf, claimOf, deployLocalStage, fund, signClaims, signRefund } from "../localStage.ts";

const TEN = opgWei(10);

describe("LocalBatchSettlement.refund", () => {
  const state = freshState(async () => {
    const stage = await deployLocalStage();
    const config = await channelOf(stage);
    await fund(stage, config, TEN);
    return { ...stage, config, channelId: await stage.batch.getChannelId(config) };
  });

  it("refund_byReceiverOrItsAuthorizer_paysThePayer", async () => {
    const { batch, opg, config, channelId, payer, receiver, authorizer } = state();
    const before = await opg.balanceOf(payer);
    await expect(batch.connect(receiver).refund(config, 4n))
      .to.emit(batch, "Refunded")
      .withArgs(channelId, payer, 4n)
      .and.not.to.emit(batch, "ChannelClosed");
    await batch.connect(authorizer).refund(config, 5n);
    expect((await opg.balanceOf(payer)) - before).to.equal(9n);
    expect(await batch.channels(channelId)).to.deep.equal([TEN - 9n, 0n]);
    expect(await batch.refundNonce(channelId)).to.equal(2n);
  });

  it("refund_byAnyoneElse_reverts", async () => {
    const { batch, config, payer, stranger } = state();
    for (const other of [payer, stranger]) {
      await expect(batch.connect(other).refund(config, 1n)).to.be.revertedWithCustomError(batch, "Unauthorized");
    }
  });

  it("refund_moreThanIsLeft_paysWhatIsNotClaimed", async () => {
    const stage = state();
    const { batch, opg, config, channelId, payer, receiver } = stage;
    await batch.connect(receiver).claim([await claimOf(stage, config, 100n)]);
    const before = await opg.balanceOf(payer);
    await batch.connect(receiver).refund(config, TEN * 2n);
    expect((await opg.balanceOf(payer)) - before).to.equal(TEN - 100n);
    expect(await batch.channels(channelId)).to.deep.equal([100n, 100n]);
    await batch.settle(receiver, opg);
    expect(await opg.balanceOf(batch)).to.equal(0n);
  });

  it("refund_ofAll_closesTheChannel", async () => {
    const { batch, config, channelId, receiver } = state();
    await expect(batch.connect(receiver).refund(config, TEN))
      .to.emit(batch, "ChannelClosed")
      .withArgs(channelId, Object.values(config));
  });

  it("refund_nothingLeft_usesUpTheNonceAndMovesNothing", async () => {
    const stage = state();
    const { batch, config, channelId, receiver } = stage;
    await batch.connect(receiver).refund(config, TEN);
    await expect(batch.connect(receiver).refund(config, 1n)).not.to.emit(batch, "Refunded");
    expect(await batch.refundNonce(channelId)).to.equal(2n);
  });

  it("refund_ofNothing_reverts", async () => {
    const { batch, config, receiver } = state();
    await expect(batch.connect(receiver).refund(config, 0n)).to.be.revertedWithCustomError(batch, "ZeroAmount");
  });

  it("refundWithSignature_byAnybody_paysOnce", async () => {
    const stage = state();
    const { batch, opg, config, payer, stranger } = stage;
    const signature = await signRefund(stage, config, 4n, 0n);
    const before = await opg.balanceOf(payer);
    await batch.connect(stranger).refundWithSignature(config, 4n, 0n, signature);
    await expect(batch.refundWithSignature(config, 4n, 0n, signature))
      .to.be.revertedWithCustomError(batch, "RefundNonceMismatch")
      .withArgs(0n, 1n);
    await expect(batch.refundWithSignature(config, 4n, 1n, signature)).to.be.revertedWithCustomError(
      batch,
      "InvalidSignature",
    );
    expect((await opg.balanceOf(payer)) - before).to.equal(4n);
  });

  it("refundWithSignature_afterADirectRefund_isVoid", async () => {
    const stage = state();
    const { batch, config, receiver } = stage;
    const signature = await signRefund(stage, config, 4n, 0n);
    await batch.connect(receiver).refund(config, 1n);
    await expect(batch.refundWithSignature(config, 4n, 0n, signature)).to.be.revertedWithCustomError(
      batch,
      "RefundNonceMismatch",
    );
  });

  it("refundWithSignature_signedOtherwise_reverts", async () => {
    const stage = state();
    const { batch, config, receiver, stranger, payer } = stage;
    const claims = [await claimOf(stage, config, 4n)];
    for (const signature of [
      await signRefund(stage, config, 5n, 0n),
      await signRefund(stage, config, 4n, 1n),
      await signRefund(stage, config, 4n, 0n, receiver),
      await signRefund(stage, config, 4n, 0n, payer),
      await signRefund(stage, config, 4n, 0n, stranger),
      await signClaims(stage, claims),
    ]) {
      await expect(batch.refundWithSignature(config, 4n, 0n, signature)).to.be.revertedWithCustomError(
        batch,
        "InvalidSignature",
      );
    }
  });

  it("multicall_claimAndRefund_areOneTransaction", async () => {
    const stage = state();
    const { batch, opg, config, channelId, payer } = stage;
    const claims = [await claimOf(stage, config, 100n)];
    const before = await opg.balanceOf(payer);
    await batch.multicall([
      batch.interface.encodeFunctionData("claimWithSignature", [claims, await signClaims(stage, claims)]),
      batch.interface.encodeFunctionData("refundWithSignature", [
        config,
        TEN,
        0n,
        await signRefund(stage, config, TEN, 0n),
      ]),
    ]);
    expect(await batch.channels(channelId)).to.deep.equal([100n, 100n]);
    expect((await opg.balanceOf(payer)) - before).to.equal(TEN - 100n);
  });
});
