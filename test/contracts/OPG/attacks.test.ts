import type { HardhatEthersSigner } from "@nomicfoundation/hardhat-ethers/types";
import { expect } from "chai";
import { ethers } from "ethers";

import {
  authorizationArguments,
  authorize,
  ERC3009_TYPES,
  nonceOf,
  PERMIT_TYPES,
} from "../../support/authorizations.ts";
import { freshState } from "../../support/freshState.ts";
import { domainOf, opgWei } from "../../support/protocol.ts";
import { deployStage, type Stage } from "../../support/stage.ts";
import { OPG__factory } from "../../../typechain-types/index.ts";

describe("OPG attacks", () => {
  const state = freshState(deployStage);
  let stage: Stage;
  let payer: HardhatEthersSigner;
  let payee: HardhatEthersSigner;
  let thief: HardhatEthersSigner;

  beforeEach(() => {
    stage = state();
    ({ payer, payee, stranger: thief } = stage);
  });

  /** Signs the same transfer under another domain and brings it to the real token. */
  async function replay(domain: ethers.TypedDataDomain) {
    const authorization = await authorize(payer, payee.address, opgWei(1), nonceOf("replay"));
    const types = { TransferWithAuthorization: ERC3009_TYPES.TransferWithAuthorization };
    const signature = ethers.Signature.from(await payer.signTypedData(domain, types, authorization));
    return stage.opg.transferWithAuthorization(...authorizationArguments(authorization, signature));
  }

  it("transferWithAuthorization_signedForAnotherChain_reverts", async () => {
    const domain = { ...(await domainOf(stage.opg)), chainId: 8453n };
    await expect(replay(domain)).to.be.revertedWithCustomError(stage.opg, "ERC3009InvalidSignature");
  });

  it("transferWithAuthorization_signedForAnotherToken_reverts", async () => {
    const twin = await new OPG__factory(stage.owner).deploy(stage.owner);
    await expect(replay(await domainOf(twin))).to.be.revertedWithCustomError(stage.opg, "ERC3009InvalidSignature");
  });

  it("permit_signedForAnotherChain_reverts", async () => {
    const { opg } = stage;
    const domain = { ...(await domainOf(opg)), chainId: 8453n };
    const [owner, spender] = [payer.address, thief.address];
    const message = { owner, spender, value: 1n, nonce: 0n, deadline: ethers.MaxUint256 };
    const { v, r, s } = ethers.Signature.from(await payer.signTypedData(domain, PERMIT_TYPES, message));
    await expect(opg.permit(owner, spender, 1n, ethers.MaxUint256, v, r, s)).to.be.revertedWithCustomError(
      opg,
      "ERC2612InvalidSigner",
    );
  });

  it("transferWithAuthorization_fromZeroByAnInvalidSignature_reverts", async () => {
    // ecrecover answers zero for rubbish, and the zero address must not be anybody's signature
    const { opg } = stage;
    const message = {
      ...(await authorize(payer, thief.address, 0n, nonceOf("zero"))),
      from: ethers.ZeroAddress,
    };
    const rubbish = { v: 27 as const, r: ethers.ZeroHash, s: ethers.ZeroHash };
    await expect(
      opg.transferWithAuthorization(...authorizationArguments(message, rubbish)),
    ).to.be.revertedWithCustomError(opg, "ECDSAInvalidSignature");
  });

  it("permit_ofZeroByAnInvalidSignature_reverts", async () => {
    const { opg } = stage;
    await expect(
      opg.permit(ethers.ZeroAddress, thief, 1n, ethers.MaxUint256, 27, ethers.ZeroHash, ethers.ZeroHash),
    ).to.be.revertedWithCustomError(opg, "ECDSAInvalidSignature");
  });

  it("permitAndAuthorization_nonces_areApart", async () => {
    const { opg } = stage;
    const authorization = await authorize(payer, payee.address, 1n, ethers.ZeroHash);
    const types = { TransferWithAuthorization: ERC3009_TYPES.TransferWithAuthorization };
    const text = await payer.signTypedData(await domainOf(opg), types, authorization);
    await opg.transferWithAuthorization(...authorizationArguments(authorization, ethers.Signature.from(text)));
    expect(await opg.nonces(payer)).to.equal(0n);
  });

  it("transfer_toZeroAddress_reverts", async () => {
    const { opg } = stage;
    await expect(opg.connect(payer).transfer(ethers.ZeroAddress, 1n))
      .to.be.revertedWithCustomError(opg, "ERC20InvalidReceiver")
      .withArgs(ethers.ZeroAddress);
  });

  it("transfer_toSelf_conserves", async () => {
    const { opg } = stage;
    await opg.connect(payer).transfer(payer, opgWei(1_000_000));
    expect(await opg.balanceOf(payer)).to.equal(opgWei(1_000_000));
  });

  it("transferFrom_unlimitedAllowance_isNotSpent", async () => {
    const { opg, staking } = stage;
    await staking.connect(payer).stake(0, opgWei(1));
    expect(await opg.allowance(payer, staking)).to.equal(ethers.MaxUint256);
  });
});
