import { expect } from "chai";
import { ethers } from "ethers";

import { certificateName } from "../../../simulator/enclave/certificateName.ts";
import { basicConstraints, issueCertificate, keyUsage } from "../../../simulator/enclave/certificate.ts";
import { TEST_ROOT_DER, testRoot } from "../../../simulator/enclave/testRoot.ts";
import { factories } from "../../../typechain-types/index.ts";
import {
  createNetworkAt,
  deployAttestation,
  documentOf,
  GAS,
  issueChain,
  ISSUED_AT,
} from "../../support/attestation.ts";
import { revocationId } from "../../support/certificateBytes.ts";
import { freshState } from "../../support/freshState.ts";
import { realDocument } from "../../support/realDocuments.ts";

const { NitroAttestationVerifier__factory } = factories.attestation;

describe("NitroAttestationVerifier constructor", () => {
  const state = freshState(deployAttestation);

  const deployWith = async (rootDer: Uint8Array) => {
    const { owner, p384, sha384 } = state();
    return new NitroAttestationVerifier__factory(owner).deploy(p384, sha384, rootDer, owner, GAS);
  };
  const selfSigned = (...extensions: Buffer[]) =>
    issueCertificate({
      subject: testRoot().subject,
      serial: Buffer.from("01", "hex"),
      notBefore: ISSUED_AT - 3_600,
      notAfter: ISSUED_AT + 3_600,
      extensions: () => extensions,
    }).der;

  it("testRoot_isMarkedAndAnnounced", async () => {
    const { verifier } = state();
    expect(await verifier.isTestRoot()).to.equal(true);
    await expect(verifier.deploymentTransaction())
      .to.emit(verifier, "TestRootTrusted")
      .withArgs(ethers.keccak256(TEST_ROOT_DER), 31_337);
  });

  it("root_isRememberedAndLive", async () => {
    const { verifier, owner } = state();
    const name = certificateName(TEST_ROOT_DER);
    const { notBefore, notAfter } = testRoot();
    expect(await verifier.root()).to.equal(ethers.keccak256(TEST_ROOT_DER));
    expect(await verifier.certificateOf(name)).to.deep.equal([
      ethers.ZeroHash,
      revocationId(TEST_ROOT_DER, testRoot().subject),
      BigInt(notBefore),
      BigInt(notAfter),
      7n,
      true,
    ]);
    expect(await verifier.isLive(name)).to.equal(true);
    expect(await verifier.owner()).to.equal(owner.address);
    expect(await verifier.revoker()).to.equal(ethers.ZeroAddress);
  });

  it("testRoot_onAPublicChain_reverts", async () => {
    const { verifier } = state();
    await expect(deployAttestation({ chainId: 8_453 }))
      .to.be.revertedWithCustomError(verifier, "TestRootOnPublicChain")
      .withArgs(8_453);
  });

  it("testRoot_onTheOtherDevelopmentChain_isAccepted", async () => {
    const { verifier, connection } = await deployAttestation({ chainId: 1_337 });
    expect(await verifier.isTestRoot()).to.equal(true);
    await connection.close();
  });

  it("testRoot_onALocalChainThatBecamePublic_worksNoMore", async () => {
    const { verifier, connection } = state();
    const chain = issueChain();
    const publicChain = await createNetworkAt(ISSUED_AT, 8_453);
    await publicChain.networkHelpers.setCode(
      await verifier.getAddress(),
      await connection.ethers.provider.getCode(verifier),
    );
    const [anybody] = await publicChain.ethers.getSigners();
    const moved = verifier.connect(anybody);
    for (const call of [
      moved.verify.staticCall(documentOf(chain), GAS),
      moved.stageCertificate.staticCall(chain.cas[1]!.der, TEST_ROOT_DER, GAS),
    ]) {
      await expect(call).to.be.revertedWithCustomError(verifier, "TestRootOnPublicChain").withArgs(8_453);
    }
    expect(await moved.isLive(certificateName(TEST_ROOT_DER))).to.equal(false);
    await publicChain.close();
  });

  it("awsRoot_isNoTestRootAndDeploysAnywhere", async function () {
    const { root, validFrom } = realDocument(this, "opengradient-2026");
    const { verifier, connection } = await deployAttestation({ rootDer: root, at: validFrom, chainId: 8_453 });
    expect(await verifier.isTestRoot()).to.equal(false);
    expect(await verifier.queryFilter(verifier.filters.TestRootTrusted())).to.deep.equal([]);
    await connection.close();
  });

  it("rootThatIsNoCa_reverts", async () => {
    const der = selfSigned(basicConstraints(false), keyUsage(["digitalSignature"]));
    await expect(deployWith(der))
      .to.be.revertedWithCustomError(state().verifier, "NotCa")
      .withArgs(certificateName(der));
  });

  it("rootSignedBySomebodyElse_reverts", async () => {
    const { verifier } = state();
    await expect(deployWith(issueChain().cas[1]!.der)).to.be.revertedWithCustomError(verifier, "IssuerMismatch");
    const stranger = issueChain({ regional: { issuerName: testRoot().subject, subject: testRoot().subject } }).cas[1]!;
    await expect(deployWith(stranger.der))
      .to.be.revertedWithCustomError(verifier, "InvalidCertificateSignature")
      .withArgs(certificateName(stranger.der));
  });

  it("rootThatExpired_reverts", async () => {
    const { connection, verifier } = state();
    const der = selfSigned(basicConstraints(true), keyUsage(["keyCertSign"]));
    await connection.networkHelpers.time.increaseTo(ISSUED_AT + 3_601);
    await expect(deployWith(der)).to.be.revertedWithCustomError(verifier, "CertificateExpired");
  });

  it("rootWithATrailingByte_reverts", async () => {
    await expect(deployWith(Buffer.concat([TEST_ROOT_DER, Buffer.of(0)])))
      .to.be.revertedWithCustomError(state().verifier, "TrailingBytes")
      .withArgs(1);
  });
});
