import { expect } from "chai";
import { ethers } from "ethers";

import { deployAttestation } from "../../support/attestation.ts";
import { freshState } from "../../support/freshState.ts";

describe("NitroAttestationVerifier revokeCertificate and setRevoker", () => {
  const state = freshState(deployAttestation);
  const id = ethers.id("certificate");

  it("owner_revokes", async () => {
    const { verifier } = state();
    await expect(verifier.revokeCertificate(id)).to.emit(verifier, "CertificateRevoked").withArgs(id);
    expect(await verifier.isRevoked(id)).to.equal(true);
    expect(await verifier.isRevoked(ethers.id("other"))).to.equal(false);
  });

  it("revoker_revokesAndMayDoNothingElse", async () => {
    const { verifier, revoker } = state();
    await expect(verifier.setRevoker(revoker)).to.emit(verifier, "RevokerSet").withArgs(revoker);
    await verifier.connect(revoker).revokeCertificate(id);
    expect(await verifier.isRevoked(id)).to.equal(true);
    await expect(verifier.connect(revoker).setRevoker(revoker))
      .to.be.revertedWithCustomError(verifier, "OwnableUnauthorizedAccount")
      .withArgs(revoker);
  });

  it("formerRevoker_reverts", async () => {
    const { verifier, revoker, stranger } = state();
    await verifier.setRevoker(revoker);
    await verifier.setRevoker(stranger);
    expect(await verifier.revoker()).to.equal(stranger);
    await expect(verifier.connect(revoker).revokeCertificate(id))
      .to.be.revertedWithCustomError(verifier, "NotRevoker")
      .withArgs(revoker, stranger);
  });

  it("stranger_reverts", async () => {
    const { verifier, stranger } = state();
    await expect(verifier.connect(stranger).revokeCertificate(id))
      .to.be.revertedWithCustomError(verifier, "NotRevoker")
      .withArgs(stranger, ethers.ZeroAddress);
    await expect(verifier.connect(stranger).setRevoker(stranger))
      .to.be.revertedWithCustomError(verifier, "OwnableUnauthorizedAccount")
      .withArgs(stranger);
    expect(await verifier.isRevoked(id)).to.equal(false);
  });

  it("ownershipIsTakenInTwoSteps", async () => {
    const { verifier, owner, stranger } = state();
    await verifier.transferOwnership(stranger);
    expect(await verifier.owner()).to.equal(owner);
    await verifier.connect(stranger).acceptOwnership();
    await verifier.connect(stranger).revokeCertificate(id);
    await expect(verifier.revokeCertificate(id)).to.be.revertedWithCustomError(verifier, "NotRevoker");
  });
});
