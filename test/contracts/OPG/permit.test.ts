import type { HardhatEthersSigner } from "@nomicfoundation/hardhat-ethers/types";
import { expect } from "chai";
import { ethers, type Signature, type Signer } from "ethers";

import { malleableTwin, PERMIT_TYPES } from "../../support/authorizations.ts";
import { freshState } from "../../support/freshState.ts";
import { domainOf, latestTimestamp, opgWei } from "../../support/protocol.ts";
import { deployStage, type Stage } from "../../support/stage.ts";

interface Permit {
  owner: string;
  spender: string;
  value: bigint;
  nonce: bigint;
  deadline: bigint;
}

describe("OPG.permit", () => {
  const state = freshState(deployStage);
  let stage: Stage;
  let owner: HardhatEthersSigner;
  let spender: HardhatEthersSigner;
  let thief: HardhatEthersSigner;
  let permit: Permit;

  beforeEach(async () => {
    stage = state();
    ({ payer: owner, payee: spender, stranger: thief } = stage);
    permit = {
      owner: owner.address,
      spender: spender.address,
      value: opgWei(7),
      nonce: 0n,
      deadline: BigInt(await latestTimestamp(stage)) + 3_600n,
    };
  });

  const sign = async (message: Permit, signer: Signer = owner): Promise<Signature> =>
    ethers.Signature.from(await signer.signTypedData(await domainOf(stage.opg), PERMIT_TYPES, message));

  const bring = (p: Permit, { v, r, s }: Pick<Signature, "v" | "r" | "s">) =>
    stage.opg.connect(thief).permit(p.owner, p.spender, p.value, p.deadline, v, r, s);

  it("permit_validSignature_setsAllowance", async () => {
    await expect(bring(permit, await sign(permit)))
      .to.emit(stage.opg, "Approval")
      .withArgs(permit.owner, permit.spender, permit.value);
    expect(await stage.opg.allowance(owner, spender)).to.equal(permit.value);
    expect(await stage.opg.nonces(owner)).to.equal(1n);
  });

  it("permit_replayed_reverts", async () => {
    const signature = await sign(permit);
    await bring(permit, signature);
    await expect(bring(permit, signature)).to.be.revertedWithCustomError(stage.opg, "ERC2612InvalidSigner");
  });

  it("permit_atDeadline_succeeds", async () => {
    const signature = await sign(permit);
    await stage.connection.networkHelpers.time.setNextBlockTimestamp(permit.deadline);
    await bring(permit, signature);
    expect(await stage.opg.allowance(owner, spender)).to.equal(permit.value);
  });

  it("permit_afterDeadline_reverts", async () => {
    const signature = await sign(permit);
    await stage.connection.networkHelpers.time.setNextBlockTimestamp(permit.deadline + 1n);
    await expect(bring(permit, signature))
      .to.be.revertedWithCustomError(stage.opg, "ERC2612ExpiredSignature")
      .withArgs(permit.deadline);
  });

  it("permit_strangersSignature_reverts", async () => {
    await expect(bring(permit, await sign(permit, thief)))
      .to.be.revertedWithCustomError(stage.opg, "ERC2612InvalidSigner")
      .withArgs(thief, owner);
  });

  it("permit_otherSpenderOrValue_reverts", async () => {
    const signature = await sign(permit);
    const bent = [
      { ...permit, spender: thief.address },
      { ...permit, value: permit.value + 1n },
    ];
    for (const each of bent) {
      await expect(bring(each, signature)).to.be.revertedWithCustomError(stage.opg, "ERC2612InvalidSigner");
    }
  });

  it("permit_malleableTwin_reverts", async () => {
    const twin = malleableTwin(await sign(permit));
    await expect(bring(permit, twin))
      .to.be.revertedWithCustomError(stage.opg, "ECDSAInvalidSignatureS")
      .withArgs(twin.s);
  });

  it("permit_frontRun_leavesTheAllowanceInPlace", async () => {
    // anybody may bring a permit; what it grants does not depend on who did
    await bring(permit, await sign(permit));
    await stage.opg.connect(spender).transferFrom(owner, spender, permit.value);
    expect(await stage.opg.balanceOf(spender)).to.equal(opgWei(1_000_007));
  });
});
