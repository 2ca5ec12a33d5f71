import { expect } from "chai";

import { answerTo, deployEscrowStage, fulfil, lockedRequest, LockStatus, requestOf } from "../../support/escrow.ts";
import { freshState } from "../../support/freshState.ts";
import { opgWei } from "../../support/protocol.ts";
import { nextBlockAt } from "../../support/stage.ts";

describe("InferenceEscrow.refund", () => {
  const state = freshState(deployEscrowStage);

  it("refund_afterTheDeadline_creditsThePayerWhoeverCalls", async () => {
    const stage = state();
    const { escrow, payer, stranger } = stage;
    const request = await lockedRequest(stage);
    const requestId = await escrow.requestIdOf(request);
    await nextBlockAt(stage, request.deadline + 1n);
    await expect(escrow.connect(stranger).refund(request))
      .to.emit(escrow, "RequestRefunded")
      .withArgs(requestId, payer, opgWei(10));
    expect(await escrow.credits(payer)).to.equal(opgWei(10));
    expect(await escrow.credits(stranger)).to.equal(0n);
    expect((await escrow.locks(requestId)).status).to.equal(LockStatus.Refunded);
  });

  it("refund_atTheDeadline_reverts", async () => {
    const stage = state();
    const request = await lockedRequest(stage);
    await nextBlockAt(stage, request.deadline);
    await expect(stage.escrow.connect(stage.payer).refund(request))
      .to.be.revertedWithCustomError(stage.escrow, "DeadlineOpen")
      .withArgs(request.deadline);
  });

  it("refund_twice_reverts", async () => {
    const stage = state();
    const request = await lockedRequest(stage);
    await nextBlockAt(stage, request.deadline + 1n);
    await stage.escrow.refund(request);
    await expect(stage.escrow.refund(request))
      .to.be.revertedWithCustomError(stage.escrow, "WrongStatus")
      .withArgs(LockStatus.Refunded);
  });

  it("refund_fulfilled_reverts", async () => {
    const stage = state();
    const request = await lockedRequest(stage);
    await fulfil(stage, request, await answerTo(stage));
    await nextBlockAt(stage, request.deadline + 1n);
    await expect(stage.escrow.refund(request))
      .to.be.revertedWithCustomError(stage.escrow, "WrongStatus")
      .withArgs(LockStatus.Fulfilled);
  });

  it("refund_neverLocked_reverts", async () => {
    const stage = state();
    await expect(stage.escrow.refund(await requestOf(stage, { deadline: 1n })))
      .to.be.revertedWithCustomError(stage.escrow, "WrongStatus")
      .withArgs(LockStatus.None);
  });

  it("lock_afterRefund_reverts", async () => {
    // the status stays: a request's id is used once, ever
    const stage = state();
    const request = await lockedRequest(stage);
    await nextBlockAt(stage, request.deadline + 1n);
    await stage.escrow.refund(request);
    await expect(stage.escrow.connect(stage.payer).lock(request))
      .to.be.revertedWithCustomError(stage.escrow, "WrongStatus")
      .withArgs(LockStatus.Refunded);
  });
});
