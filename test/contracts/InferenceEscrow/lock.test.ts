import { expect } from "chai";
import { ethers } from "ethers";

import { deployEscrowStage, LockStatus, lockedRequest, PRICE, requestOf, ROYALTY_BPS } from "../../support/escrow.ts";
import { fieldsOf } from "../../support/fieldsOf.ts";
import { freshState } from "../../support/freshState.ts";
import { latestTimestamp, opgWei, publishModel } from "../../support/protocol.ts";
import { nextBlockAt } from "../../support/stage.ts";

describe("InferenceEscrow.lock", () => {
  const state = freshState(deployEscrowStage);

  it("lock_byThePayer_takesTheMoneyAndFixesTheTerms", async () => {
    const stage = state();
    const { connection, escrow, opg, operator, payer } = stage;
    const request = await requestOf(stage);
    const requestId = await escrow.requestIdOf(request);
    const tx = escrow.connect(payer).lock(request);
    await expect(tx).to.emit(escrow, "RequestLocked").withArgs(requestId, operator, Object.values(request));
    await expect(tx).to.changeTokenBalances(connection.ethers, opg, [payer, escrow], [-opgWei(10), opgWei(10)]);
    expect(fieldsOf(await escrow.locks(requestId))).to.deep.equal({
      status: LockStatus.Locked,
      amount: opgWei(10),
      deadline: request.deadline,
      lockedAt: BigInt(await latestTimestamp(stage)),
    });
  });

  it("lock_returnsTheRequestId", async () => {
    const stage = state();
    const request = await requestOf(stage);
    expect(await stage.escrow.connect(stage.payer).lock.staticCall(request)).to.equal(
      await stage.escrow.requestIdOf(request),
    );
  });

  it("lock_byAnyoneElse_reverts", async () => {
    const stage = state();
    await expect(stage.escrow.connect(stage.stranger).lock(await requestOf(stage)))
      .to.be.revertedWithCustomError(stage.escrow, "NotPayer")
      .withArgs(stage.stranger, stage.payer);
  });

  it("lock_twice_reverts", async () => {
    const stage = state();
    const request = await lockedRequest(stage);
    await expect(stage.escrow.connect(stage.payer).lock(request))
      .to.be.revertedWithCustomError(stage.escrow, "WrongStatus")
      .withArgs(LockStatus.Locked);
  });

  it("lock_equalRequestWithAnotherSalt_succeeds", async () => {
    const stage = state();
    await lockedRequest(stage, {}, "one");
    await lockedRequest(stage, {}, "two");
    expect(await stage.opg.balanceOf(stage.escrow)).to.equal(opgWei(20));
  });

  it("lock_deadlineNow_reverts", async () => {
    const stage = state();
    const request = await requestOf(stage);
    await nextBlockAt(stage, request.deadline);
    await expect(stage.escrow.connect(stage.payer).lock(request))
      .to.be.revertedWithCustomError(stage.escrow, "DeadlinePassed")
      .withArgs(request.deadline);
  });

  it("lock_unknownModel_reverts", async () => {
    const stage = state();
    await expect(lockedRequest(stage, { modelId: ethers.id("?") }))
      .to.be.revertedWithCustomError(stage.models, "ModelNotFound")
      .withArgs(ethers.id("?"));
  });

  it("lock_royaltyToOrRateOtherThanTheRegistrys_reverts", async () => {
    const stage = state();
    for (const change of [{ royaltyTo: stage.payer.address }, { royaltyBps: 0 }, { royaltyBps: ROYALTY_BPS + 1 }]) {
      await expect(lockedRequest(stage, change))
        .to.be.revertedWithCustomError(stage.escrow, "TermsChanged")
        .withArgs(stage.modelOwner, ROYALTY_BPS);
    }
  });

  it("lock_afterTheRoyaltyWasAssigned_reverts", async () => {
    const stage = state();
    const request = await requestOf(stage);
    await stage.models.connect(stage.modelOwner).assignRoyalty(stage.modelId, stage.payee);
    await expect(stage.escrow.connect(stage.payer).lock(request))
      .to.be.revertedWithCustomError(stage.escrow, "TermsChanged")
      .withArgs(stage.payee, ROYALTY_BPS);
  });

  it("lock_lessThanThePrice_reverts", async () => {
    const stage = state();
    await expect(lockedRequest(stage, { maxFee: PRICE - 1n }))
      .to.be.revertedWithCustomError(stage.escrow, "PriceNotMet")
      .withArgs(PRICE - 1n, PRICE);
    await lockedRequest(stage, { maxFee: PRICE });
  });

  it("lock_modeTheModelDoesNotAllow_reverts", async () => {
    const stage = state();
    for (const mode of [1, 3, 8, 255]) {
      await expect(lockedRequest(stage, { mode }))
        .to.be.revertedWithCustomError(stage.escrow, "ModeNotAllowed")
        .withArgs(mode, 5);
    }
  });

  it("lock_freeModelForNothing_succeeds", async () => {
    const stage = state();
    const modelId = await publishModel(stage, stage.modelOwner);
    const request = await lockedRequest(stage, { modelId, royaltyBps: 0, maxFee: 0n });
    const { status, amount } = await stage.escrow.locks(await stage.escrow.requestIdOf(request));
    expect([status, amount]).to.deep.equal([LockStatus.Locked, 0n]);
  });

  it("lock_moreThanHeld_revertsAndStoresNothing", async () => {
    const stage = state();
    const request = await requestOf(stage, { maxFee: 2n ** 96n - 1n });
    await expect(stage.escrow.connect(stage.payer).lock(request))
      .to.be.revertedWithCustomError(stage.opg, "ERC20InsufficientBalance")
      .withArgs(stage.payer, opgWei(1_000_000), 2n ** 96n - 1n);
    expect((await stage.escrow.locks(await stage.escrow.requestIdOf(request))).status).to.equal(LockStatus.None);
  });

  it("lock_withoutAllowance_reverts", async () => {
    const stage = state();
    await stage.opg.connect(stage.payer).approve(stage.escrow, opgWei(1));
    await expect(lockedRequest(stage))
      .to.be.revertedWithCustomError(stage.opg, "ERC20InsufficientAllowance")
      .withArgs(stage.escrow, opgWei(1), opgWei(10));
  });

  it("lock_fieldWiderThanItsType_reverts", async () => {
    const stage = state();
    const { connection, escrow, payer } = stage;
    const request = await requestOf(stage);
    const honest = escrow.interface.encodeFunctionData("lock", [request]);
    const narrow = { payer: 0, operator: 1, maxFee: 5, deadline: 6, mode: 7, royaltyTo: 8, royaltyBps: 9 };
    for (const [field, word] of Object.entries(narrow)) {
      const at = 2 + 8 + 64 * word;
      const data = `${honest.slice(0, at)}01${honest.slice(at + 2)}`;
      await expect(payer.sendTransaction({ to: escrow, data, gasLimit: 500_000 }), field).to.revert(connection.ethers);
    }
    expect((await escrow.locks(await escrow.requestIdOf(request))).status).to.equal(LockStatus.None);
    await payer.sendTransaction({ to: escrow, data: honest });
    expect((await escrow.locks(await escrow.requestIdOf(request))).status).to.equal(LockStatus.Locked);
  });
});
