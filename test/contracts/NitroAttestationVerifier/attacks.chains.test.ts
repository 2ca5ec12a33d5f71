import { expect } from "chai";
import { ethers } from "ethers";

import { certificateName } from "../../../simulator/enclave/certificateName.ts";
import {
  basicConstraints,
  type Certificate,
  type CertificateSpec,
  distinguishedName,
  issueCertificate,
  keyUsage,
  subjectKeyIdentifier,
} from "../../../simulator/enclave/certificate.ts";
import { regionalSpec } from "../../../simulator/enclave/certificateProfiles.ts";
import {
  type ChainFaults,
  documentOf,
  GAS,
  issueChain,
  issueLeaf,
  ISSUED_AT,
  PLACE,
  type TestChain,
} from "../../support/attestation.ts";
import { chainAttacks, nameOf } from "../../support/chainAttacks.ts";

describe("NitroAttestationVerifier attacks, chains", () => {
  const { genuine, state, refusesDocument, accepts } = chainAttacks();
  const [root, regional] = genuine.cas as [Certificate, Certificate];

  accepts("control_genuineChain", genuine);
  accepts("control_freshChain", issueChain());

  const fake = (subject: Buffer) =>
    issueCertificate({
      subject,
      serial: Buffer.of(1),
      notBefore: ISSUED_AT - 3_600,
      notAfter: ISSUED_AT + 86_400,
      extensions: (ids) => [basicConstraints(true), subjectKeyIdentifier(ids.subject), keyUsage(["keyCertSign"])],
    });
  const trusted = ethers.keccak256(root.der);
  for (const [name, other] of [
    ["otherRoot", fake(distinguishedName(["CN", "other"]))],
    ["otherRootOfTheSameName", fake(root.subject)],
  ] as const) {
    refusesDocument(name, "UntrustedRoot", [trusted, ethers.keccak256(other.der)], () =>
      documentOf(issueChain({}, [other])),
    );
  }
  const faked = issueChain({}, [fake(root.subject)]);
  refusesDocument(
    "fakeRootsChainUnderTheGenuineRoot",
    "InvalidCertificateSignature",
    [certificateName(faked.cas[1]!.der)],
    () => documentOf({ cas: [root, ...faked.cas.slice(1)], leaf: faked.leaf }),
  );
  const twin = Buffer.from(root.der);
  twin[twin.length - 1]! ^= 1;
  refusesDocument("rootWithAnotherSignature", "UntrustedRoot", [trusted, ethers.keccak256(twin)], () =>
    documentOf(genuine, { cabundle: [twin, ...genuine.cas.slice(1).map(({ der }) => der)] }),
  );

  const caWith = (pathLength?: number): Partial<CertificateSpec> => ({
    extensions: () => [basicConstraints(true, pathLength), keyUsage(["keyCertSign"])],
  });
  /** One more CA below the chain's last. */
  const longer = (chain: TestChain, fault = caWith()): TestChain => {
    const extra = issueCertificate({ ...regionalSpec(chain.cas.at(-1)!, PLACE, ISSUED_AT), ...fault });
    return { cas: [...chain.cas, extra], leaf: issueLeaf(extra) };
  };
  const tooLong = (name: string, chain: TestChain, index: number) =>
    refusesDocument(name, "PathTooLong", nameOf(index)(chain), () => documentOf(chain));
  const below = (above: readonly Certificate[], faults: ChainFaults) => issueChain(faults, above);

  tooLong("caBelowPathLengthZero", longer(genuine), 4);
  tooLong("zonalOfPathLengthZero", below([root, regional], { zonal: caWith(0) }), 3);
  tooLong("regionalOfPathLengthOne", below([root], { regional: caWith(1) }), 3);
  tooLong("regionalOfPathLengthZero", below([root], { regional: caWith(0) }), 2);
  // a constraint binds however generous the ones below it are
  accepts("zonalThatClaimsMoreThanItMay", below([root, regional], { zonal: caWith(5) }));
  tooLong("instanceThatClaimsMoreThanItMay", longer(below([root, regional], { instance: caWith(5) })), 4);
  it("sevenCasBelowTheRoot_areAcceptedAndNoMore", async () => {
    const { verifier } = state();
    let chain: TestChain = { cas: [root], leaf: genuine.leaf };
    for (let i = 0; i < 7; i++) chain = longer(chain, caWith(i === 0 ? 127 : undefined));
    for (let i = 1; i < 8; i++) await verifier.stageCertificate(chain.cas[i]!.der, chain.cas[i - 1]!.der, GAS);
    // 8 certificates of the greatest usual size fit a document
    expect((await verifier.verify.staticCall(documentOf(chain), GAS)).pcrHash).not.to.equal(ethers.ZeroHash);
    const eighth = longer(chain).cas.at(-1)!;
    await expect(verifier.stageCertificate.staticCall(eighth.der, chain.cas.at(-1)!.der, GAS))
      .to.be.revertedWithCustomError(verifier, "PathTooLong")
      .withArgs(certificateName(eighth.der));
  });
});
