import { expect } from "chai";
import { ethers } from "ethers";

import { deployAttestation, GAS, type AttestationStage } from "../../support/attestation.ts";
import { realDocument } from "../../support/realDocuments.ts";

const AWS_ROOT = "0x311d96fcd5c5e0ccf72ef548e2ea7d4c0cd53ad7c4cc49e67471aed41d61f185";

/** PCR0 to 2 of OpenGradient's document, as read from it by other software. */
const OPENGRADIENT_PCRS = [
  "9baef83909784e4d2cb84466c02931bb8125e948b62029029e80bfa1698bfd7069408e4ab20d1c99c859e8f774cce0ff",
  "4b4d5b3661b3efc12920900c80e126e4ce783c522de6c02a2a5bf7af3a2b9327b86776f188e4be1c1c404a129dbda493",
  "769925c8ae0c5c2d1aa86de149213b1c5dec642557bf0c426c6581f0e562a042d1c7d2578443515d103f74ce55337666",
];

describe("NitroAttestationVerifier verify, documents of AWS hardware", () => {
  let stage: AttestationStage | undefined;
  afterEach(() => stage?.connection.close());

  for (const name of ["opengradient-2026", "definite-map-2024", "definite-map-2022"] as const) {
    it(`${name}_isAcceptedFromFirstToLastSecond`, async function () {
      const { document, root, validFrom, validUntil } = realDocument(this, name);
      stage = await deployAttestation({ rootDer: root, at: validFrom - 60 });
      const { verifier, connection } = stage;
      expect(await verifier.root()).to.equal(AWS_ROOT);
      await connection.networkHelpers.time.increaseTo(validFrom - 1);
      await expect(verifier.verify.staticCall(document, { ...GAS, blockTag: "latest" })).to.be.revertedWithCustomError(
        verifier,
        "CertificateNotYetValid",
      );

      // the leaf may be a few minutes older than its document
      await connection.networkHelpers.time.setNextBlockTimestamp(validFrom + 200);
      const receipt = await (await verifier.verify(document, GAS)).wait();
      expect(receipt!.gasUsed).to.be.lessThan(15_500_000n);
      const attestation = await verifier.verify.staticCall(document, GAS);
      expect(attestation.validUntil).to.equal(validUntil);

      await connection.networkHelpers.time.increaseTo(validUntil);
      expect(await verifier.isLive(attestation.leaf)).to.equal(true);
      expect((await verifier.verify.staticCall(document, { ...GAS, blockTag: "latest" })).leaf).to.equal(
        attestation.leaf,
      );
      await connection.networkHelpers.time.increaseTo(validUntil + 1);
      expect(await verifier.isLive(attestation.leaf)).to.equal(false);
      await expect(verifier.verify.staticCall(document, { ...GAS, blockTag: "latest" }))
        .to.be.revertedWithCustomError(verifier, "CertificateExpired")
        .withArgs(attestation.leaf, validUntil, validUntil + 1);
    });
  }

  it("opengradient-2026_saysWhatOthersReadInIt", async function () {
    const { document, root, validFrom } = realDocument(this, "opengradient-2026");
    stage = await deployAttestation({ rootDer: root, at: validFrom + 60 });
    const attestation = await stage.verifier.verify.staticCall(document, GAS);
    expect(attestation.pcrHash).to.equal(ethers.keccak256(`0x${OPENGRADIENT_PCRS.join("")}`));
    expect(attestation.timestampMs).to.equal(1_770_918_962_724n);
    expect(attestation.nonce).to.equal("0x0123456789abcdef0123456789abcdef01234567");
    expect(ethers.toUtf8String(attestation.publicKey)).to.equal("dummy");
    // OpenGradient's 68 bytes: two SHA-256 multihashes
    expect(attestation.userData).to.match(/^0x1220[0-9a-f]{64}1220[0-9a-f]{64}$/);
  });

  it("debug-mode-2022_isRefusedAsDebugMode", async function () {
    const { document, root, validFrom } = realDocument(this, "debug-mode-2022");
    stage = await deployAttestation({ rootDer: root, at: validFrom + 60 });
    await expect(stage.verifier.verify.staticCall(document, GAS)).to.be.revertedWithCustomError(
      stage.verifier,
      "DebugModeEnclave",
    );
  });

  it("bad-signature-2022_isRefusedForItsSignature", async function () {
    const { document, root, validFrom } = realDocument(this, "bad-signature-2022");
    const genuine = realDocument(this, "definite-map-2022").document;
    stage = await deployAttestation({ rootDer: root, at: validFrom + 60 });
    const { verifier } = stage;
    await verifier.verify(genuine, GAS);
    const { leaf } = await verifier.verify.staticCall(genuine, GAS);
    await expect(verifier.verify.staticCall(document, GAS))
      .to.be.revertedWithCustomError(verifier, "InvalidDocumentSignature")
      .withArgs(leaf);
  });

  it("underTheTestRoot_isRefused", async function () {
    const { document, validFrom } = realDocument(this, "opengradient-2026");
    stage = await deployAttestation({ at: validFrom + 60 });
    await expect(stage.verifier.verify.staticCall(document, GAS))
      .to.be.revertedWithCustomError(stage.verifier, "UntrustedRoot")
      .withArgs(await stage.verifier.root(), AWS_ROOT);
  });
});
