import { expect } from "chai";
import { ethers } from "ethers";

import { certificateName } from "../../../simulator/enclave/certificateName.ts";
import { attestationEntries, attestationPayload } from "../../../simulator/enclave/attestationDocument.ts";
import * as cbor from "../../../simulator/enclave/cbor.ts";
import { CertificateChain } from "../../../simulator/enclave/CertificateChain.ts";
import { coseSign1 } from "../../../simulator/enclave/coseSign1.ts";
import { SoftwareNsm } from "../../../simulator/enclave/SoftwareNsm.ts";
import { testRoot } from "../../../simulator/enclave/testRoot.ts";
import {
  deployAttestation,
  documentOf,
  fieldsOf,
  GAS,
  issueChain,
  issueLeaf,
  ISSUED_AT,
  MEASURED,
  MEASURED_HASH,
  signEntries,
} from "../../support/attestation.ts";
import { otherS } from "../../support/certificateBytes.ts";
import { freshState } from "../../support/freshState.ts";

describe("NitroAttestationVerifier verify", () => {
  const chain = issueChain();
  const certificates = [...chain.cas, chain.leaf];
  const state = freshState(async () => {
    const stage = await deployAttestation();
    await stage.verifier.verify(documentOf(chain), GAS);
    return stage;
  });

  const verified = (document: Uint8Array) => state().verifier.verify.staticCall(document, GAS);

  it("genuineDocument_isRead", async () => {
    expect(await verified(documentOf(chain))).to.deep.equal([
      MEASURED_HASH,
      certificateName(chain.leaf.der),
      BigInt(ISSUED_AT * 1_000),
      BigInt(chain.leaf.notAfter),
      ethers.hexlify(Buffer.alloc(97, 0x21)),
      ethers.hexlify(Buffer.alloc(68, 0x22)),
      ethers.hexlify(Buffer.alloc(32, 0x23)),
    ]);
  });

  it("softwareNsm_isAccepted", async () => {
    const nsm = new SoftwareNsm({
      authorities: new CertificateChain(testRoot()),
      measurements: { pcr0: MEASURED[0], pcr1: MEASURED[1], pcr2: MEASURED[2] },
      clock: () => ISSUED_AT * 1_000 + 250,
    });
    const nonce = Buffer.from("4f47", "hex");
    const attestation = await verified(nsm.attest({ publicKey: Buffer.alloc(1_024, 7), nonce }));
    expect(attestation.pcrHash).to.equal(MEASURED_HASH);
    expect(attestation.timestampMs).to.equal(ISSUED_AT * 1_000 + 250);
    expect([attestation.publicKey, attestation.userData, attestation.nonce]).to.deep.equal([
      ethers.hexlify(Buffer.alloc(1_024, 7)),
      "0x",
      "0x4f47",
    ]);
  });

  it("firstDocument_remembersItsChainUnderTheRoot", async () => {
    const { verifier } = state();
    const events = await verifier.queryFilter(verifier.filters.CertificateStaged());
    const names = certificates.map(({ der }) => certificateName(der));
    // the root's at construction, the others by the first document
    expect(events.map(({ args }) => [...args])).to.deep.equal(
      certificates.map(({ notAfter }, i) => [names[i], names[i - 1] ?? ethers.ZeroHash, BigInt(notAfter)]),
    );
    for (const name of names) expect(await verifier.isLive(name)).to.equal(true);
    const pathLengths = await Promise.all(names.map(async (name) => (await verifier.certificateOf(name)).pathLength));
    expect(pathLengths).to.deep.equal([7n, 2n, 1n, 0n, 0n]);
  });

  it("secondDocument_remembersNothingNew", async () => {
    const { verifier } = state();
    await expect(verifier.verify(documentOf(chain), GAS)).not.to.emit(verifier, "CertificateStaged");
  });

  it("anotherEnclaveOfTheHost_addsItsLeafOnly", async () => {
    const { verifier } = state();
    const leaf = issueLeaf(chain.cas.at(-1)!);
    const receipt = await (await verifier.verify(documentOf({ cas: chain.cas, leaf }), GAS)).wait();
    expect(receipt!.logs).to.have.length(1);
    expect(await verifier.isLive(certificateName(leaf.der))).to.equal(true);
  });

  it("validUntil_isTheEarliestEndOfTheChain", async () => {
    const zonalEnd = ISSUED_AT + 900;
    const early = issueChain({ zonal: { notAfter: zonalEnd } }, chain.cas.slice(0, 2));
    expect((await verified(documentOf(early))).validUntil).to.equal(zonalEnd);
  });

  it("definiteMap_isAccepted", async () => {
    const payload = attestationPayload(fieldsOf(chain), "definite");
    expect((await verified(coseSign1(payload, chain.leaf.keys.privateKey))).pcrHash).to.equal(MEASURED_HASH);
  });

  it("definiteMapOfMoreThan23Keys_isAccepted", async () => {
    const extra = Array.from({ length: 20 }, (_, i) => [cbor.text(`extra ${i}`), cbor.unsigned(i)] as const);
    const payload = cbor.map([...attestationEntries(fieldsOf(chain)), ...extra]);
    expect((await verified(coseSign1(payload, chain.leaf.keys.privateKey))).pcrHash).to.equal(MEASURED_HASH);
  });

  it("taggedDocument_isAccepted", async () => {
    expect((await verified(Buffer.concat([Buffer.of(0xd2), documentOf(chain)]))).pcrHash).to.equal(MEASURED_HASH);
  });

  it("keysInAnotherOrder_areAccepted", async () => {
    const entries = attestationEntries(fieldsOf(chain)).reverse();
    expect((await verified(signEntries(chain, entries))).pcrHash).to.equal(MEASURED_HASH);
  });

  it("otherPcrs_areNotPartOfTheHash", async () => {
    const pcrs = new Map([[31, Buffer.alloc(48, 9)] as const, ...fieldsOf(chain).pcrs]);
    expect((await verified(documentOf(chain, { pcrs }))).pcrHash).to.equal(MEASURED_HASH);
    const moved = new Map([...fieldsOf(chain).pcrs, [1, Buffer.alloc(48, 9)] as const]);
    expect((await verified(documentOf(chain, { pcrs: moved }))).pcrHash).to.equal(
      ethers.keccak256(Buffer.concat([MEASURED[0], Buffer.alloc(48, 9), MEASURED[2]])),
    );
  });

  for (const [key, field] of [
    ["public_key", "publicKey"],
    ["user_data", "userData"],
    ["nonce", "nonce"],
  ] as const) {
    it(`${key}_absentOrNullOrEmpty_isEmpty`, async () => {
      const entries = attestationEntries(fieldsOf(chain));
      const without = entries.filter(([name]) => !cbor.text(key).equals(name));
      for (const document of [
        signEntries(chain, without),
        signEntries(chain, [...without, [cbor.text(key), cbor.CBOR_NULL]]),
        signEntries(chain, [...without, [cbor.text(key), cbor.bytes(Buffer.alloc(0))]]),
      ]) {
        expect((await verified(document))[field]).to.equal("0x");
      }
    });
  }

  it("unknownKeys_areSkippedWhateverTheirValue", async () => {
    const values = [
      cbor.CBOR_NULL,
      Buffer.from("f5", "hex"),
      Buffer.from("f8ff", "hex"),
      Buffer.from("f97e00", "hex"),
      Buffer.from("fa7f800000", "hex"),
      Buffer.from("fb3ff0000000000000", "hex"),
      cbor.unsigned(2n ** 64n - 1n),
      cbor.head(1, 2n ** 64n - 1n),
      cbor.bytes(Buffer.alloc(300)),
      cbor.text("é"),
      cbor.array(),
      cbor.array(cbor.unsigned(1), cbor.map([[cbor.unsigned(1), cbor.array(cbor.array())]])),
      Buffer.concat([cbor.head(6, 55_799), cbor.text("tagged")]),
    ];
    const extra = values.map((value, i) => [cbor.text(`extra ${i}`), value] as const);
    const document = signEntries(chain, [...extra, ...attestationEntries(fieldsOf(chain))]);
    expect((await verified(document)).pcrHash).to.equal(MEASURED_HASH);
  });

  it("twinSignature_isTheSameAttestation", async () => {
    // so neither a signature nor a document's hash is an identity
    const document = documentOf(chain);
    const twin = Buffer.concat([document.subarray(0, -48), otherS(document.subarray(-48), "twin")]);
    expect(await verified(twin)).to.deep.equal(await verified(document));
  });

  it("timestamp_mayBeAMinuteAhead", async () => {
    const { verifier, connection } = state();
    const latestMs = (ISSUED_AT + 100 + 60) * 1_000;
    await connection.networkHelpers.time.increaseTo(ISSUED_AT + 100);
    expect((await verified(documentOf(chain, { timestamp: latestMs }))).timestampMs).to.equal(latestMs);
    await expect(verified(documentOf(chain, { timestamp: latestMs + 1_001 }))).to.be.revertedWithCustomError(
      verifier,
      "DocumentFromFuture",
    );
  });

  it("timestamp_mustLieWithinTheLeafsValidity", async () => {
    const { verifier } = state();
    const { notBefore, notAfter } = chain.leaf;
    expect((await verified(documentOf(chain, { timestamp: notBefore * 1_000 }))).validUntil).to.equal(notAfter);
    for (const timestamp of [notBefore * 1_000 - 1, (notAfter + 1) * 1_000, 2 ** 32]) {
      await expect(verified(documentOf(chain, { timestamp })))
        .to.be.revertedWithCustomError(verifier, "DocumentOutsideValidity")
        .withArgs(timestamp, notBefore, notAfter);
    }
  });

  it("document_ofTheGreatestLength_isNotRefusedForIt", async () => {
    const { verifier } = state();
    await expect(verified(Buffer.alloc(16_385)))
      .to.be.revertedWithCustomError(verifier, "DocumentTooLong")
      .withArgs(16_385, 16_384);
    await expect(verified(Buffer.alloc(16_384)))
      .to.be.revertedWithCustomError(verifier, "UnexpectedCborType")
      .withArgs(4, 0);
  });
});
