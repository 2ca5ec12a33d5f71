import { expect } from "chai";
import { ethers } from "ethers";

import {
  deployEscrowStage,
  lockByAuthorization,
  lockedRequest,
  LockStatus,
  PRICE,
  requestOf,
} from "../../support/escrow.ts";
import { freshState } from "../../support/freshState.ts";
import { latestTimestamp, opgWei } from "../../support/protocol.ts";
import { nextBlockAt } from "../../support/stage.ts";

describe("InferenceEscrow.lockWithAuthorization", () => {
  const state = freshState(deployEscrowStage);

  it("lockWithAuthorization_broughtByAnyone_locksThePayersMoney", async () => {
    const stage = state();
    const { connection, escrow, opg, operator, payer, relayer } = stage;
    await opg.connect(payer).approve(escrow, 0);
    const request = await requestOf(stage);
    const requestId = await escrow.requestIdOf(request);
    const tx = lockByAuthorization(stage, request);
    await expect(tx).to.emit(escrow, "RequestLocked").withArgs(requestId, operator, Object.values(request));
    await expect(tx).to.emit(opg, "AuthorizationUsed").withArgs(payer, requestId);
    await expect(tx).to.changeTokenBalances(
      connection.ethers,
      opg,
      [payer, escrow, relayer],
      [-opgWei(10), opgWei(10), 0],
    );
    const { status, amount } = await escrow.locks(requestId);
    expect([status, amount]).to.deep.equal([LockStatus.Locked, opgWei(10)]);
  });

  it("lockWithAuthorization_forAnotherNonce_reverts", async () => {
    const stage = state();
    await expect(
      lockByAuthorization(stage, await requestOf(stage), { nonce: ethers.id("nonce") }),
    ).to.be.revertedWithCustomError(stage.opg, "ERC3009InvalidSignature");
  });

  it("lockWithAuthorization_forAnotherValue_reverts", async () => {
    const stage = state();
    const request = await requestOf(stage);
    for (const value of [request.maxFee - 1n, request.maxFee + 1n]) {
      await expect(lockByAuthorization(stage, request, { value })).to.be.revertedWithCustomError(
        stage.opg,
        "ERC3009InvalidSignature",
      );
    }
  });

  it("lockWithAuthorization_signedByAnyoneElse_reverts", async () => {
    const stage = state();
    await expect(
      lockByAuthorization(stage, await requestOf(stage), { signer: stage.stranger }),
    ).to.be.revertedWithCustomError(stage.opg, "ERC3009InvalidSignature");
  });

  it("lockWithAuthorization_outsideItsTime_reverts", async () => {
    const stage = state();
    const request = await requestOf(stage);
    const now = BigInt(await latestTimestamp(stage)) + 10n;
    for (const [validAfter, validBefore] of [
      [now, now + 10n],
      [0n, now],
    ] as const) {
      await nextBlockAt(stage, now);
      await expect(lockByAuthorization(stage, request, { validAfter, validBefore }))
        .to.be.revertedWithCustomError(stage.opg, "ERC3009InvalidAuthorizationTime")
        .withArgs(validAfter, validBefore);
    }
  });

  it("lockWithAuthorization_twice_reverts", async () => {
    const stage = state();
    const request = await requestOf(stage);
    await lockByAuthorization(stage, request);
    await expect(lockByAuthorization(stage, request))
      .to.be.revertedWithCustomError(stage.escrow, "WrongStatus")
      .withArgs(LockStatus.Locked);
  });

  it("lockWithAuthorization_afterLock_takesNothingMore", async () => {
    const stage = state();
    const request = await lockedRequest(stage);
    await expect(lockByAuthorization(stage, request))
      .to.be.revertedWithCustomError(stage.escrow, "WrongStatus")
      .withArgs(LockStatus.Locked);
    expect(await stage.opg.balanceOf(stage.escrow)).to.equal(opgWei(10));
  });

  it("lockWithAuthorization_terms_areCheckedAsInLock", async () => {
    const stage = state();
    await expect(lockByAuthorization(stage, await requestOf(stage, { maxFee: PRICE - 1n })))
      .to.be.revertedWithCustomError(stage.escrow, "PriceNotMet")
      .withArgs(PRICE - 1n, PRICE);
    await expect(lockByAuthorization(stage, await requestOf(stage, { mode: 1 })))
      .to.be.revertedWithCustomError(stage.escrow, "ModeNotAllowed")
      .withArgs(1, 5);
    await expect(lockByAuthorization(stage, await requestOf(stage, { deadline: 1n })))
      .to.be.revertedWithCustomError(stage.escrow, "DeadlinePassed")
      .withArgs(1n);
  });
});
