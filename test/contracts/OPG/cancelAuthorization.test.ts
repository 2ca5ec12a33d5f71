import type { HardhatEthersSigner } from "@nomicfoundation/hardhat-ethers/types";
import { expect } from "chai";
import { ethers, type Signer } from "ethers";

import {
  authorizationArguments,
  authorize,
  ERC3009_TYPES,
  nonceOf,
  signAuthorization,
} from "../../support/authorizations.ts";
import { freshState } from "../../support/freshState.ts";
import { domainOf, opgWei } from "../../support/protocol.ts";
import { deployStage, type Stage } from "../../support/stage.ts";

describe("OPG.cancelAuthorization", () => {
  const state = freshState(deployStage);
  const nonce = nonceOf("a");
  let stage: Stage;
  let payer: HardhatEthersSigner;
  let payee: HardhatEthersSigner;
  let stranger: HardhatEthersSigner;

  beforeEach(() => {
    stage = state();
    ({ payer, payee, stranger } = stage);
  });

  const cancel = async (signer: Signer) => {
    const authorizer = payer.address;
    const types = { CancelAuthorization: ERC3009_TYPES.CancelAuthorization };
    const text = await signer.signTypedData(await domainOf(stage.opg), types, { authorizer, nonce });
    const { v, r, s } = ethers.Signature.from(text);
    return stage.opg.connect(stranger).cancelAuthorization(authorizer, nonce, v, r, s);
  };

  const transfer = async () => {
    const authorization = await authorize(payer, payee.address, opgWei(1), nonce);
    const signature = await signAuthorization(stage.opg, payer, "TransferWithAuthorization", authorization);
    return stage.opg.transferWithAuthorization(...authorizationArguments(authorization, signature));
  };

  it("cancelAuthorization_unusedNonce_voidsIt", async () => {
    const { opg } = stage;
    await expect(cancel(payer)).to.emit(opg, "AuthorizationCanceled").withArgs(payer, nonce);
    expect(await opg.authorizationState(payer, nonce)).to.equal(true);
    await expect(transfer()).to.be.revertedWithCustomError(opg, "ERC3009UsedAuthorization").withArgs(payer, nonce);
  });

  it("cancelAuthorization_usedNonce_reverts", async () => {
    await transfer();
    await expect(cancel(payer))
      .to.be.revertedWithCustomError(stage.opg, "ERC3009UsedAuthorization")
      .withArgs(payer, nonce);
  });

  it("cancelAuthorization_twice_reverts", async () => {
    await cancel(payer);
    await expect(cancel(payer)).to.be.revertedWithCustomError(stage.opg, "ERC3009UsedAuthorization");
  });

  it("cancelAuthorization_strangersSignature_reverts", async () => {
    await expect(cancel(stranger)).to.be.revertedWithCustomError(stage.opg, "ERC3009InvalidSignature");
    expect(await stage.opg.authorizationState(payer, nonce)).to.equal(false);
  });
});
