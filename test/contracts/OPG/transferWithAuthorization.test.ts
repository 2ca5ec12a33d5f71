import type { HardhatEthersSigner } from "@nomicfoundation/hardhat-ethers/types";
import { expect } from "chai";

import {
  authorizationArguments,
  authorize,
  malleableTwin,
  nonceOf,
  signAuthorization,
  type Authorization,
} from "../../support/authorizations.ts";
import { freshState } from "../../support/freshState.ts";
import { latestTimestamp, opgWei } from "../../support/protocol.ts";
import { deployStage, type Stage } from "../../support/stage.ts";

describe("OPG.transferWithAuthorization", () => {
  const state = freshState(deployStage);
  let stage: Stage;
  let payer: HardhatEthersSigner;
  let payee: HardhatEthersSigner;
  let relayer: HardhatEthersSigner;
  let authorization: Authorization;

  beforeEach(async () => {
    stage = state();
    ({ payer, payee, relayer } = stage);
    authorization = await authorize(payer, payee.address, opgWei(3), nonceOf("a"));
  });

  const sign = (message = authorization, signer = payer) =>
    signAuthorization(stage.opg, signer, "TransferWithAuthorization", message);

  const bring = async (message = authorization, signature = sign(message)) =>
    stage.opg.connect(relayer).transferWithAuthorization(...authorizationArguments(message, await signature));

  const setTime = (timestamp: bigint) => stage.connection.networkHelpers.time.setNextBlockTimestamp(timestamp);

  it("transferWithAuthorization_broughtByAnyone_movesTheMoney", async () => {
    const { opg, connection } = stage;
    const tx = bring();
    await expect(tx).to.emit(opg, "AuthorizationUsed").withArgs(payer, authorization.nonce);
    await expect(tx).to.emit(opg, "Transfer").withArgs(payer, payee, opgWei(3));
    await expect(tx).to.changeTokenBalances(
      connection.ethers,
      opg,
      [payer, payee, relayer],
      [-opgWei(3), opgWei(3), 0],
    );
    expect(await opg.authorizationState(payer, authorization.nonce)).to.equal(true);
  });

  it("transferWithAuthorization_randomNonces_needNoOrder", async () => {
    for (const label of ["z", "a", "m"]) await bring({ ...authorization, nonce: nonceOf(label) });
    expect(await stage.opg.balanceOf(payee)).to.equal(opgWei(1_000_009));
  });

  it("transferWithAuthorization_sameNonceOfTwoPayers_bothSucceed", async () => {
    const other = await authorize(relayer, payee.address, opgWei(1), authorization.nonce);
    await bring();
    await bring(other, sign(other, relayer));
    expect(await stage.opg.balanceOf(payee)).to.equal(opgWei(1_000_004));
  });

  it("transferWithAuthorization_zeroValue_usesTheNonce", async () => {
    const zero = { ...authorization, value: 0n };
    await bring(zero);
    expect(await stage.opg.authorizationState(payer, zero.nonce)).to.equal(true);
  });

  it("transferWithAuthorization_usedNonce_reverts", async () => {
    await bring();
    await expect(bring())
      .to.be.revertedWithCustomError(stage.opg, "ERC3009UsedAuthorization")
      .withArgs(payer, authorization.nonce);
  });

  it("transferWithAuthorization_usedNonceForOtherValue_reverts", async () => {
    await bring();
    await expect(bring({ ...authorization, value: 1n }))
      .to.be.revertedWithCustomError(stage.opg, "ERC3009UsedAuthorization")
      .withArgs(payer, authorization.nonce);
  });

  it("transferWithAuthorization_insufficientBalance_revertsAndKeepsTheNonce", async () => {
    const { opg } = stage;
    const tooMuch = { ...authorization, value: opgWei(1_000_001) };
    await expect(bring(tooMuch))
      .to.be.revertedWithCustomError(opg, "ERC20InsufficientBalance")
      .withArgs(payer, opgWei(1_000_000), opgWei(1_000_001));
    expect(await opg.authorizationState(payer, authorization.nonce)).to.equal(false);
  });

  it("transferWithAuthorization_timeBounds_areExclusive", async () => {
    const { opg } = stage;
    const now = BigInt(await latestTimestamp(stage));
    const window = { ...authorization, validAfter: now + 100n, validBefore: now + 200n };
    for (const timestamp of [now + 100n, now + 200n]) {
      await setTime(timestamp);
      await expect(bring(window))
        .to.be.revertedWithCustomError(opg, "ERC3009InvalidAuthorizationTime")
        .withArgs(window.validAfter, window.validBefore);
    }
  });

  it("transferWithAuthorization_firstAndLastValidSecond_succeed", async () => {
    const now = BigInt(await latestTimestamp(stage));
    const window = { ...authorization, validAfter: now + 100n, validBefore: now + 200n };
    await setTime(now + 101n);
    await bring(window);
    await setTime(now + 199n);
    await bring({ ...window, nonce: nonceOf("b") });
    expect(await stage.opg.balanceOf(payee)).to.equal(opgWei(1_000_006));
  });

  it("transferWithAuthorization_blockNumberFlagInOneBoundOnly_isUnreachable", async () => {
    // OpenZeppelin reads both bounds as block numbers when bit 47 is set in both; unix seconds never reach that bit
    const flag = 2n ** 47n;
    const mixed = { ...authorization, validAfter: flag };
    await expect(bring(mixed)).to.be.revertedWithCustomError(stage.opg, "ERC3009InvalidAuthorizationTime");
    await bring({ ...authorization, validAfter: flag, validBefore: flag + 2n ** 40n });
    expect(await stage.opg.authorizationState(payer, authorization.nonce)).to.equal(true);
  });

  it("transferWithAuthorization_strangersSignature_reverts", async () => {
    await expect(bring(authorization, sign(authorization, relayer))).to.be.revertedWithCustomError(
      stage.opg,
      "ERC3009InvalidSignature",
    );
  });

  it("transferWithAuthorization_anyFieldBent_reverts", async () => {
    const signature = sign();
    const bent: Partial<Authorization>[] = [
      { from: relayer.address },
      { to: relayer.address },
      { value: authorization.value + 1n },
      { validAfter: 1n },
      { validBefore: authorization.validBefore + 1n },
      { nonce: nonceOf("other") },
    ];
    for (const change of bent) {
      await expect(bring({ ...authorization, ...change }, signature)).to.be.revertedWithCustomError(
        stage.opg,
        "ERC3009InvalidSignature",
      );
    }
  });

  it("transferWithAuthorization_malleableTwin_reverts", async () => {
    const twin = malleableTwin(await sign());
    await expect(
      stage.opg.transferWithAuthorization(...authorizationArguments(authorization, twin)),
    ).to.be.revertedWithCustomError(stage.opg, "ECDSAInvalidSignatureS");
  });

  it("transferWithAuthorization_receiveSignature_reverts", async () => {
    const signature = signAuthorization(stage.opg, payer, "ReceiveWithAuthorization", authorization);
    await expect(bring(authorization, signature)).to.be.revertedWithCustomError(stage.opg, "ERC3009InvalidSignature");
  });
});
