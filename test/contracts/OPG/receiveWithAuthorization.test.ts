import type { HardhatEthersSigner } from "@nomicfoundation/hardhat-ethers/types";
import { expect } from "chai";
import type { Signer } from "ethers";

import {
  authorizationArguments,
  authorize,
  nonceOf,
  signAuthorization,
  type Authorization,
} from "../../support/authorizations.ts";
import { freshState } from "../../support/freshState.ts";
import { opgWei } from "../../support/protocol.ts";
import { deployStage, type Stage } from "../../support/stage.ts";

describe("OPG.receiveWithAuthorization", () => {
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

  const bring = async (caller: Signer, message = authorization, signer = payer) => {
    const signature = await signAuthorization(stage.opg, signer, "ReceiveWithAuthorization", message);
    return stage.opg.connect(caller).receiveWithAuthorization(...authorizationArguments(message, signature));
  };

  it("receiveWithAuthorization_byPayee_movesTheMoney", async () => {
    const { opg } = stage;
    await expect(bring(payee)).to.emit(opg, "AuthorizationUsed").withArgs(payer, authorization.nonce);
    expect(await opg.balanceOf(payee)).to.equal(opgWei(1_000_003));
    expect(await opg.balanceOf(payer)).to.equal(opgWei(999_997));
  });

  it("receiveWithAuthorization_byAnyoneElse_reverts", async () => {
    await expect(bring(relayer)).to.be.revertedWithCustomError(stage.opg, "ERC20InvalidReceiver").withArgs(payee);
    expect(await stage.opg.authorizationState(payer, authorization.nonce)).to.equal(false);
  });

  it("receiveWithAuthorization_strangersSignature_reverts", async () => {
    await expect(bring(payee, authorization, relayer)).to.be.revertedWithCustomError(
      stage.opg,
      "ERC3009InvalidSignature",
    );
  });

  it("receiveWithAuthorization_transferSignature_reverts", async () => {
    const { opg } = stage;
    const signature = await signAuthorization(opg, payer, "TransferWithAuthorization", authorization);
    await expect(
      opg.connect(payee).receiveWithAuthorization(...authorizationArguments(authorization, signature)),
    ).to.be.revertedWithCustomError(opg, "ERC3009InvalidSignature");
  });

  it("receiveWithAuthorization_nonceUsedByTransfer_reverts", async () => {
    const { opg } = stage;
    const signature = await signAuthorization(opg, payer, "TransferWithAuthorization", authorization);
    await opg.transferWithAuthorization(...authorizationArguments(authorization, signature));
    await expect(bring(payee))
      .to.be.revertedWithCustomError(opg, "ERC3009UsedAuthorization")
      .withArgs(payer, authorization.nonce);
  });

  it("receiveWithAuthorization_expired_reverts", async () => {
    await expect(bring(payee, { ...authorization, validBefore: 1n }))
      .to.be.revertedWithCustomError(stage.opg, "ERC3009InvalidAuthorizationTime")
      .withArgs(0n, 1n);
  });
});
