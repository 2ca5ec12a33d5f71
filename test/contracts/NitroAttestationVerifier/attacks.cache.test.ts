import { expect } from "chai";
import { ethers } from "ethers";

import { certificateName } from "../../../simulator/enclave/certificateName.ts";
import { type Certificate, issueCertificate } from "../../../simulator/enclave/certificate.ts";
import { regionalSpec } from "../../../simulator/enclave/certificateProfiles.ts";
import { bitString, sequence, tlv } from "../../../simulator/enclave/der.ts";
import {
  deployAttestation,
  documentOf,
  GAS,
  issueChain,
  issueLeaf,
  ISSUED_AT,
  PLACE,
  type TestChain,
} from "../../support/attestation.ts";
import { elements, otherS, partsOf, revocationId } from "../../support/certificateBytes.ts";
import { anyHash, chainAttacks, expectRefusal } from "../../support/chainAttacks.ts";

/** What is remembered must neither outlive what it was checked under nor stand in for a check. */
describe("NitroAttestationVerifier attacks, remembered certificates", () => {
  const { genuine, state } = chainAttacks();
  const [root, regional, zonal, instance] = genuine.cas as [Certificate, Certificate, Certificate, Certificate];
  const chain = [...genuine.cas, genuine.leaf];
  const document = documentOf(genuine);
  const stage = (der: Uint8Array, parentDer: Uint8Array) => state().verifier.stageCertificate(der, parentDer, GAS);
  const idOf = (index: number) => revocationId(chain[index]!.der, chain[Math.max(0, index - 1)]!.subject);

  chain.forEach((certificate, index) => {
    it(`revokedLevel${index}_refusesEverythingAtAndBelow`, async () => {
      const { verifier } = state();
      await verifier.revokeCertificate(idOf(index));
      await expectRefusal(verifier, document, "RevokedCertificate", [certificateName(certificate.der), idOf(index)]);
      const live = await Promise.all(chain.map(({ der }) => verifier.isLive(certificateName(der))));
      expect(live).to.deep.equal(chain.map((_, level) => level < index));
    });
  });

  it("revokedAncestor_letsNothingBeStagedBelow", async () => {
    const { verifier } = state();
    await verifier.revokeCertificate(idOf(1));
    await expect(stage(issueLeaf(instance).der, instance.der))
      .to.be.revertedWithCustomError(verifier, "RevokedCertificate")
      .withArgs(certificateName(regional.der), idOf(1));
  });

  it("revocationBeforeStaging_refusesTheCertificate", async () => {
    const { verifier } = state();
    const leaf = issueLeaf(instance);
    await verifier.revokeCertificate(revocationId(leaf.der, instance.subject));
    await expect(stage(leaf.der, instance.der)).to.be.revertedWithCustomError(verifier, "RevokedCertificate");
  });

  it("sameSerialOfAnotherIssuer_isNotRevoked", async () => {
    const { verifier } = state();
    const other = issueCertificate({
      ...regionalSpec(root, PLACE, ISSUED_AT),
      serial: elements(elements(partsOf(zonal.der)[0]!.whole)[0]!.content)[1]!.content,
    });
    await verifier.revokeCertificate(idOf(2));
    await stage(other.der, root.der);
    expect(await verifier.isLive(certificateName(other.der))).to.equal(true);
  });

  it("expiredAncestor_refusesWhatIsBelow", async () => {
    const { verifier, connection } = state();
    const end = ISSUED_AT + 1_000;
    const short = issueChain({ zonal: { notAfter: end } }, [root, regional]);
    await verifier.verify(documentOf(short), GAS);
    await connection.networkHelpers.time.increaseTo(end + 1);
    const name = certificateName(short.cas[2]!.der);
    await expectRefusal(verifier, documentOf(short), "CertificateExpired", [name, end, end + 1]);
    expect(await verifier.isLive(certificateName(short.leaf.der))).to.equal(false);
    await expect(stage(issueLeaf(short.cas[3]!).der, short.cas[3]!.der)).to.be.revertedWithCustomError(
      verifier,
      "CertificateExpired",
    );
    expect(await verifier.isLive(certificateName(genuine.leaf.der))).to.equal(true);
  });

  it("twinOfACa_isTheSameCertificate", async () => {
    // a stranger stages everything below the twin of a CA's signature: genuine documents go on to be accepted
    const { verifier, stranger } = state();
    const fresh = issueChain({}, [root, regional]);
    const twin = withTwinSignature(fresh.cas[2]!.der);
    const [, , genuineZonal, freshInstance] = fresh.cas as [Certificate, Certificate, Certificate, Certificate];
    await verifier.connect(stranger).stageCertificate(twin, regional.der, GAS);
    await verifier.connect(stranger).stageCertificate(freshInstance.der, twin, GAS);
    expect(certificateName(twin)).to.equal(certificateName(genuineZonal.der));
    const receipt = await (await verifier.verify(documentOf(fresh), GAS)).wait();
    expect(receipt!.logs).to.have.length(1);
    await verifier.revokeCertificate(revocationId(twin, regional.subject));
    expect(await verifier.isLive(certificateName(fresh.leaf.der))).to.equal(false);
  });

  it("otherSignatureOnARememberedCertificate_changesNothing", async () => {
    const parts = partsOf(instance.der).map(({ whole }) => whole);
    const bogus = sequence(parts[0]!, parts[1]!, bitString(sequence(tlv(0x02, Buffer.of(1)), tlv(0x02, Buffer.of(1)))));
    const cabundle = [root, regional, zonal].map(({ der }) => der).concat(bogus);
    const { verifier } = state();
    const attestation = await verifier.verify.staticCall(documentOf(genuine, { cabundle }), GAS);
    expect(attestation.leaf).to.equal(certificateName(genuine.leaf.der));
    // its fields are what is signed, so none of them can be changed
    const forged = Buffer.from(instance.der);
    forged[forged.indexOf(instance.keys.publicKey.export({ type: "spki", format: "der" }).subarray(-96))]! ^= 1;
    const swapped = [root, regional, zonal].map(({ der }) => der).concat(forged);
    await expectRefusal(verifier, documentOf(genuine, { cabundle: swapped }), "InvalidCertificateSignature", [
      certificateName(forged),
    ]);
  });

  it("rememberedChildUnderAnotherParent_isCheckedAgain", async () => {
    const { verifier } = state();
    const other = issueChain();
    const swap = (parent: Certificate): TestChain => ({ cas: [root, regional, parent, instance], leaf: genuine.leaf });
    await verifier.stageCertificate(other.cas[1]!.der, root.der, GAS);
    await expectRefusal(
      verifier,
      documentOf({ cas: [root, other.cas[1]!, zonal, instance], leaf: genuine.leaf }),
      "IssuerMismatch",
      [ethers.keccak256(other.cas[1]!.subject), ethers.keccak256(regional.subject)],
    );
    // a CA of the same name with another key
    const impostor = issueChain({ zonal: { subject: zonal.subject } }, [root, regional]).cas[2]!;
    await expectRefusal(verifier, documentOf(swap(impostor)), "InvalidCertificateSignature", [
      certificateName(instance.der),
    ]);
    expect((await verifier.certificateOf(certificateName(instance.der))).parent).to.equal(certificateName(zonal.der));
  });

  it("caRenewedWithItsKey_takesItsChildrenAlong", async () => {
    // the old certificate's revocation then no longer reaches them: they count under the parent they were last checked under
    const { verifier } = state();
    const renewed = issueChain({ zonal: { subject: zonal.subject, keys: zonal.keys } }, [root, regional]).cas[2]!;
    const document = documentOf({ cas: [root, regional, renewed, instance], leaf: genuine.leaf });
    await verifier.verify(document, GAS);
    expect((await verifier.certificateOf(certificateName(instance.der))).parent).to.equal(certificateName(renewed.der));
    await verifier.revokeCertificate(idOf(2));
    expect(await verifier.isLive(certificateName(genuine.leaf.der))).to.equal(true);
    await expectRefusal(verifier, documentOf(genuine), "RevokedCertificate", [certificateName(zonal.der), idOf(2)]);
    await verifier.revokeCertificate(revocationId(renewed.der, regional.subject));
    expect(await verifier.isLive(certificateName(genuine.leaf.der))).to.equal(false);
  });

  it("failedVerification_remembersNothing", async () => {
    const { verifier } = state();
    const fresh = { cas: genuine.cas, leaf: issueLeaf(instance) };
    const forged = documentOf(fresh);
    forged[forged.length - 1]! ^= 1;
    await expect(verifier.verify(forged, GAS)).to.be.revertedWithCustomError(verifier, "InvalidDocumentSignature");
    expect((await verifier.certificateOf(certificateName(fresh.leaf.der))).notAfter).to.equal(0);
  });

  it("anotherVerifiersMemory_countsForNothingHere", async () => {
    const { verifier } = state();
    const elsewhere = await deployAttestation();
    await expect(elsewhere.verifier.stageCertificate(genuine.leaf.der, instance.der, GAS))
      .to.be.revertedWithCustomError(verifier, "UnknownCertificate")
      .withArgs(certificateName(instance.der));
    expect(await elsewhere.verifier.isLive(certificateName(genuine.leaf.der))).to.equal(false);
    await elsewhere.connection.close();
  });

  it("leafAsParent_signsNothing", async () => {
    const { verifier } = state();
    const below = issueLeaf(genuine.leaf);
    await expect(stage(below.der, genuine.leaf.der))
      .to.be.revertedWithCustomError(verifier, "NotCa")
      .withArgs(certificateName(genuine.leaf.der));
    const cas = [...genuine.cas, genuine.leaf];
    await expectRefusal(verifier, documentOf({ cas, leaf: below }), "NotCa", [certificateName(genuine.leaf.der)]);
  });

  it("root_isNobodysChild", async () => {
    const { verifier } = state();
    for (const parent of [root, regional]) {
      await expect(stage(root.der, parent.der)).to.be.revertedWithCustomError(verifier, "RootBelowACertificate");
    }
    await expect(stage(regional.der, regional.der))
      .to.be.revertedWithCustomError(verifier, "IssuerMismatch")
      .withArgs(anyHash, anyHash);
  });
});

/** The certificate with (r, n - s) for (r, s). */
function withTwinSignature(der: Buffer): Buffer {
  const [tbs, algorithm, signature] = partsOf(der);
  const [r, s] = elements(elements(signature!.content.subarray(1))[0]!.content);
  const twin = otherS(Buffer.concat([Buffer.alloc(49), s!.content]).subarray(-48), "twin");
  const magnitude = twin.subarray(twin.findIndex((byte) => byte !== 0));
  const integer = magnitude[0]! & 0x80 ? tlv(0x02, Buffer.of(0), magnitude) : tlv(0x02, magnitude);
  return sequence(tbs!.whole, algorithm!.whole, bitString(sequence(r!.whole, integer)));
}
