import { expect } from "chai";
import { ethers, ZeroAddress } from "ethers";

import {
  answerTo,
  deployEscrowStage,
  fulfil,
  lockByAuthorization,
  lockedRequest,
  LockStatus,
  requestOf,
  signReceipt,
} from "../../support/escrow.ts";
import { freshState } from "../../support/freshState.ts";
import { addKey } from "../../support/nodes.ts";
import { HOUR, latestTimestamp, opgWei, publishModel, registerNode, testKey } from "../../support/protocol.ts";
import { nextBlockAt } from "../../support/stage.ts";

describe("InferenceEscrow.fulfil", () => {
  const state = freshState(deployEscrowStage);

  it("fulfil_wholeFee_isSplitBetweenOperatorModelAndProtocol", async () => {
    const stage = state();
    const { escrow, operator, modelOwner, payer, key } = stage;
    const request = await lockedRequest(stage);
    const answer = await answerTo(stage);
    const requestId = await escrow.requestIdOf(request);
    await expect(fulfil(stage, request, answer))
      .to.emit(escrow, "RequestFulfilled")
      .withArgs(requestId, key, answer.outputHash, answer.outputBlobId, opgWei(10));
    expect(await escrow.credits(operator)).to.equal(opgWei("8.9"));
    expect(await escrow.credits(modelOwner)).to.equal(opgWei(1));
    expect(await escrow.protocolCredit()).to.equal(opgWei("0.1"));
    expect(await escrow.credits(payer)).to.equal(0n);
    expect((await escrow.locks(requestId)).status).to.equal(LockStatus.Fulfilled);
  });

  it("fulfil_partOfTheFee_creditsThePayerTheRest", async () => {
    const stage = state();
    const { escrow, operator, payer } = stage;
    const request = await lockedRequest(stage);
    await fulfil(stage, request, await answerTo(stage, { fee: opgWei(4) }));
    expect(await escrow.credits(payer)).to.equal(opgWei(6));
    expect(await escrow.credits(operator)).to.equal(opgWei("3.56"));
  });

  it("fulfil_forNothing_creditsThePayerAll", async () => {
    const stage = state();
    const { escrow, operator, modelOwner, payer } = stage;
    const request = await lockedRequest(stage);
    await fulfil(stage, request, await answerTo(stage, { fee: 0n }));
    expect(await escrow.credits(payer)).to.equal(opgWei(10));
    expect((await escrow.credits(operator)) + (await escrow.credits(modelOwner))).to.equal(0n);
  });

  it("fulfil_feeOfAFewWei_roundsInTheOperatorsFavour", async () => {
    const stage = state();
    const { escrow, operator, modelOwner } = stage;
    const request = await lockedRequest(stage);
    await fulfil(stage, request, await answerTo(stage, { fee: 19n }));
    expect(await escrow.credits(modelOwner)).to.equal(1n);
    expect(await escrow.protocolCredit()).to.equal(0n);
    expect(await escrow.credits(operator)).to.equal(18n);
  });

  it("fulfil_lockedByAuthorization_succeeds", async () => {
    const stage = state();
    const request = await requestOf(stage);
    await lockByAuthorization(stage, request);
    await expect(fulfil(stage, request, await answerTo(stage))).to.emit(stage.escrow, "RequestFulfilled");
  });

  it("fulfil_atTheDeadline_succeeds", async () => {
    const stage = state();
    const request = await lockedRequest(stage);
    const answer = await answerTo(stage, { servedAt: request.deadline });
    await nextBlockAt(stage, request.deadline);
    await expect(fulfil(stage, request, answer)).to.emit(stage.escrow, "RequestFulfilled");
  });

  it("fulfil_afterTheDeadline_reverts", async () => {
    const stage = state();
    const request = await lockedRequest(stage);
    const answer = await answerTo(stage);
    await nextBlockAt(stage, request.deadline + 1n);
    await expect(fulfil(stage, request, answer))
      .to.be.revertedWithCustomError(stage.escrow, "DeadlinePassed")
      .withArgs(request.deadline);
  });

  it("fulfil_unlocked_reverts", async () => {
    const stage = state();
    await expect(fulfil(stage, await requestOf(stage), await answerTo(stage)))
      .to.be.revertedWithCustomError(stage.escrow, "WrongStatus")
      .withArgs(LockStatus.None);
  });

  it("fulfil_twice_reverts", async () => {
    const stage = state();
    const request = await lockedRequest(stage);
    const answer = await answerTo(stage);
    await fulfil(stage, request, answer);
    await expect(fulfil(stage, request, answer))
      .to.be.revertedWithCustomError(stage.escrow, "WrongStatus")
      .withArgs(LockStatus.Fulfilled);
  });

  it("fulfil_afterRefund_reverts", async () => {
    const stage = state();
    const request = await lockedRequest(stage);
    await nextBlockAt(stage, request.deadline + 1n);
    await stage.escrow.refund(request);
    await expect(fulfil(stage, request, await answerTo(stage)))
      .to.be.revertedWithCustomError(stage.escrow, "WrongStatus")
      .withArgs(LockStatus.Refunded);
  });

  it("fulfil_feeAboveWhatIsLocked_reverts", async () => {
    const stage = state();
    const request = await lockedRequest(stage);
    for (const fee of [opgWei(10) + 1n, 2n ** 96n - 1n]) {
      await expect(fulfil(stage, request, await answerTo(stage, { fee })))
        .to.be.revertedWithCustomError(stage.escrow, "FeeTooHigh")
        .withArgs(fee, opgWei(10));
    }
  });

  it("fulfil_servedBeforeTheLockOrInTheFuture_reverts", async () => {
    const stage = state();
    const request = await lockedRequest(stage);
    const lockedAt = BigInt(await latestTimestamp(stage));
    const now = lockedAt + 100n;
    for (const servedAt of [0n, lockedAt - 1n, now + 1n, 2n ** 64n - 1n]) {
      await nextBlockAt(stage, now);
      await expect(fulfil(stage, request, await answerTo(stage, { servedAt })))
        .to.be.revertedWithCustomError(stage.escrow, "InvalidServedAt")
        .withArgs(servedAt, lockedAt, now);
    }
  });

  it("fulfil_signedByAStranger_reverts", async () => {
    const stage = state();
    const request = await lockedRequest(stage);
    const answer = await answerTo(stage);
    const signature = await signReceipt(stage, request, answer, { signer: testKey(9) });
    await expect(fulfil(stage, request, answer, signature))
      .to.be.revertedWithCustomError(stage.escrow, "InvalidSigner")
      .withArgs(testKey(9), stage.operator);
  });

  it("fulfil_signedForAnotherOperator_reverts", async () => {
    const stage = state();
    const signer = testKey(2);
    await registerNode(stage, stage.otherOperator, signer);
    const request = await lockedRequest(stage);
    const answer = await answerTo(stage);
    const signature = await signReceipt(stage, request, answer, { signer });
    await expect(fulfil(stage, request, answer, signature))
      .to.be.revertedWithCustomError(stage.escrow, "InvalidSigner")
      .withArgs(signer, stage.operator);
  });

  it("fulfil_byAnyKeyOfTheOperator_succeeds", async () => {
    const stage = state();
    const signer = testKey(2);
    await addKey(stage, stage.operator, stage.nodeId, signer);
    const request = await lockedRequest(stage);
    const answer = await answerTo(stage);
    const signature = await signReceipt(stage, request, answer, { signer });
    await expect(fulfil(stage, request, answer, signature)).to.emit(stage.escrow, "RequestFulfilled");
  });

  it("fulfil_modeTheKeyMayNotSign_reverts", async () => {
    const stage = state();
    const request = await lockedRequest(stage, { mode: 2 });
    await expect(fulfil(stage, request, await answerTo(stage)))
      .to.be.revertedWithCustomError(stage.escrow, "InvalidSigner")
      .withArgs(stage.key, stage.operator);
  });

  it("fulfil_keyExpiredWhenServed_reverts", async () => {
    const stage = state();
    const signer = testKey(2);
    const expiry = (await latestTimestamp(stage)) + HOUR / 2;
    await addKey(stage, stage.operator, stage.nodeId, signer, expiry);
    const request = await lockedRequest(stage);
    await nextBlockAt(stage, expiry + 10);
    const late = await answerTo(stage, { servedAt: BigInt(expiry) });
    await expect(fulfil(stage, request, late, await signReceipt(stage, request, late, { signer })))
      .to.be.revertedWithCustomError(stage.escrow, "InvalidSigner")
      .withArgs(signer, stage.operator);
    const inTime = { ...late, servedAt: BigInt(expiry - 1) };
    await fulfil(stage, request, inTime, await signReceipt(stage, request, inTime, { signer }));
  });

  it("fulfil_operatorZero_canNeverBeAnswered", async () => {
    const stage = state();
    const request = await lockedRequest(stage, { operator: ZeroAddress });
    const answer = await answerTo(stage);
    await expect(fulfil(stage, request, answer, { r: ethers.ZeroHash, vs: ethers.ZeroHash }))
      .to.be.revertedWithCustomError(stage.escrow, "InvalidSigner")
      .withArgs(ZeroAddress, ZeroAddress);
    const signature = await signReceipt(stage, request, answer, { signer: testKey(9) });
    await expect(fulfil(stage, request, answer, signature))
      .to.be.revertedWithCustomError(stage.escrow, "InvalidSigner")
      .withArgs(testKey(9), ZeroAddress);
  });

  it("fulfil_withoutRoyalty_paysOperatorAndProtocolOnly", async () => {
    const stage = state();
    const modelId = await publishModel(stage, stage.modelOwner);
    const request = await lockedRequest(stage, { modelId, royaltyBps: 0 });
    await fulfil(stage, request, await answerTo(stage));
    expect(await stage.escrow.credits(stage.modelOwner)).to.equal(0n);
    expect(await stage.escrow.credits(stage.operator)).to.equal(opgWei("9.9"));
  });
});
