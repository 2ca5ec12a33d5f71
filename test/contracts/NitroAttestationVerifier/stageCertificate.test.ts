import { expect } from "chai";
import { ethers } from "ethers";

import { certificateName } from "../../../simulator/enclave/certificateName.ts";
import type { Certificate } from "../../../simulator/enclave/certificate.ts";
import { deployAttestation, documentOf, GAS, issueChain, issueLeaf } from "../../support/attestation.ts";
import { revocationId } from "../../support/certificateBytes.ts";
import { freshState } from "../../support/freshState.ts";

describe("NitroAttestationVerifier stageCertificate", () => {
  const state = freshState(deployAttestation);
  const chain = issueChain();
  const all = [...chain.cas, chain.leaf];
  const [root, regional, zonal] = chain.cas as [Certificate, Certificate, Certificate];

  it("chainInFiveTransactions_isAsGoodAsInOne", async () => {
    const { verifier, stranger } = state();
    for (const [i, { der, notAfter }] of all.entries()) {
      if (i === 0) continue;
      const parent = all[i - 1]!.der;
      await expect(verifier.connect(stranger).stageCertificate(der, parent, GAS))
        .to.emit(verifier, "CertificateStaged")
        .withArgs(certificateName(der), certificateName(parent), notAfter);
      expect(await verifier.isLive(certificateName(der))).to.equal(true);
    }
    const receipt = await (await verifier.verify(documentOf(chain), GAS)).wait();
    expect(receipt!.logs).to.deep.equal([]);
    expect(receipt!.gasUsed).to.be.lessThan(4_000_000n);
  });

  it("certificate_isReadAsItIs", async () => {
    const { verifier } = state();
    expect(await verifier.stageCertificate.staticCall(regional.der, root.der, GAS)).to.equal(
      certificateName(regional.der),
    );
    await verifier.stageCertificate(regional.der, root.der, GAS);
    expect(await verifier.certificateOf(certificateName(regional.der))).to.deep.equal([
      certificateName(root.der),
      revocationId(regional.der, root.subject),
      BigInt(regional.notBefore),
      BigInt(regional.notAfter),
      2n,
      true,
    ]);
  });

  it("twice_isOnce", async () => {
    const { verifier, stranger } = state();
    await verifier.connect(stranger).stageCertificate(regional.der, root.der, GAS);
    await expect(verifier.stageCertificate(regional.der, root.der, GAS)).not.to.emit(verifier, "CertificateStaged");
    await verifier.stageCertificate(zonal.der, regional.der, GAS);
  });

  it("serialWhoseFirstBitIsSet_isRevokedByItsContentBytes", async () => {
    const { verifier } = state();
    const serial = Buffer.from("80ff", "hex");
    const signed = issueLeaf(root, { serial });
    await verifier.stageCertificate(signed.der, root.der, GAS);
    const words = [ethers.keccak256(root.subject), ethers.keccak256("0x0080ff")];
    const id = ethers.keccak256(ethers.AbiCoder.defaultAbiCoder().encode(["bytes32", "bytes32"], words));
    expect((await verifier.certificateOf(certificateName(signed.der))).id).to.equal(id);
  });

  it("unknownParent_reverts", async () => {
    const { verifier } = state();
    await expect(verifier.stageCertificate(zonal.der, regional.der, GAS))
      .to.be.revertedWithCustomError(verifier, "UnknownCertificate")
      .withArgs(certificateName(regional.der));
  });

  it("wrongParent_reverts", async () => {
    const { verifier } = state();
    await expect(verifier.stageCertificate(zonal.der, root.der, GAS))
      .to.be.revertedWithCustomError(verifier, "IssuerMismatch")
      .withArgs(ethers.keccak256(root.subject), ethers.keccak256(regional.subject));
  });

  it("moreThan1024Bytes_reverts", async () => {
    const { verifier } = state();
    const long = Buffer.alloc(1_025);
    for (const [der, parent] of [
      [long, root.der],
      [regional.der, long],
    ] as const) {
      await expect(verifier.stageCertificate(der, parent, GAS))
        .to.be.revertedWithCustomError(verifier, "CertificateTooLong")
        .withArgs(1_025, 1_024);
    }
  });

  it("nothing_reverts", async () => {
    const { verifier } = state();
    for (const [der, parent] of [
      ["0x", root.der],
      [regional.der, "0x"],
    ] as const) {
      await expect(verifier.stageCertificate(der, parent, GAS))
        .to.be.revertedWithCustomError(verifier, "OutOfBounds")
        .withArgs(2, 0);
    }
  });
});
