import { expect } from "chai";

import { AttestationError } from "../../../simulator/enclave/AttestationError.ts";
import { readUserDataField } from "../../../simulator/enclave/boundKeys.ts";
import { measured } from "../../../simulator/enclave/SoftwareNsm.ts";
import { TEST_ROOT_FINGERPRINT } from "../../../simulator/enclave/testRoot.ts";
import { verifyDocument, type VerifyOptions } from "../../../simulator/enclave/verifyDocument.ts";
import { hasNitroVectors, nitroVector, NO_VECTORS } from "../../support/nitroVectors.ts";

/** When each was made, unix milliseconds. */
const GENUINE = {
  "opengradient-2026": 1770918962724,
  "definite-map-2024": 1708930921439,
  "definite-map-2022": 1668034320696,
};

function refusal(document: Buffer, options: VerifyOptions): AttestationError {
  try {
    verifyDocument(document, options);
  } catch (error) {
    if (error instanceof AttestationError) return error;
    throw error;
  }
  throw new Error("Expected the document to be refused");
}

describe("verifyDocument on documents of AWS hardware", () => {
  before(function () {
    if (hasNitroVectors) return;
    console.log(`      ${NO_VECTORS}`);
    this.skip();
  });

  for (const [name, timestamp] of Object.entries(GENUINE)) {
    it(`${name} is genuine at its own time`, () => {
      const verified = verifyDocument(nitroVector(name), { at: "document" });
      expect(verified.timestamp).to.equal(timestamp);
      expect(verified.debug).to.equal(false);
      expect(verified.certificates.map(({ subject }) => subject.includes("nitro-enclaves"))).to.deep.equal([
        true,
        true,
        true,
        true,
        false,
      ]);
    });

    it(`${name} is refused a second after its leaf certificate ends, and accepted the second before`, () => {
      const { validUntil } = verifyDocument(nitroVector(name), { at: "document" });
      expect(verifyDocument(nitroVector(name), { at: validUntil * 1000 }).validUntil).to.equal(validUntil);
      const { code, message } = refusal(nitroVector(name), { at: (validUntil + 1) * 1000 });
      expect(code).to.equal("certificate_not_valid");
      expect(message).to.contain("certificate 4");
    });
  }

  it("reads what OpenGradient's enclave says of itself", () => {
    const { pcrs, moduleId, nonce, publicKey, userData, validUntil } = verifyDocument(
      nitroVector("opengradient-2026"),
      {
        at: "document",
      },
    );
    expect(pcrs.get(0)!.toString("hex")).to.equal(
      "9baef83909784e4d2cb84466c02931bb8125e948b62029029e80bfa1698bfd7069408e4ab20d1c99c859e8f774cce0ff",
    );
    expect(moduleId).to.equal("i-0340e0cb833504eb6-enc019c12d31f78864d");
    expect(nonce?.toString("hex")).to.equal("0123456789abcdef0123456789abcdef01234567");
    expect(publicKey?.toString()).to.equal("dummy");
    expect(readUserDataField(userData)?.tlsCertificateHash.toString("hex")).to.match(/^b735546536e78ee1/);
    expect(validUntil).to.equal(1770929762);
  });

  it("PCR4 is the measurement of the instance's id, as the simulated module makes it", () => {
    const { pcrs } = verifyDocument(nitroVector("opengradient-2026"), { at: "document" });
    expect(pcrs.get(4)).to.deep.equal(measured(Buffer.from("i-0340e0cb833504eb6")));
  });

  it("the debug-mode enclave is refused for what it is, and taken only on demand", () => {
    const document = nitroVector("debug-mode-2022");
    expect(refusal(document, { at: "document" }).code).to.equal("debug_mode");
    expect(verifyDocument(document, { at: "document", allowDebug: true }).debug).to.equal(true);
  });

  it("the bad signature is refused for what it is", () => {
    expect(refusal(nitroVector("bad-signature-2022"), { at: "document" }).code).to.equal("bad_signature");
  });

  it("none is good under the simulator's root, nor today", () => {
    for (const name of Object.keys(GENUINE)) {
      const options = { at: "document", rootFingerprint: TEST_ROOT_FINGERPRINT } as const;
      expect(refusal(nitroVector(name), options).code).to.equal("untrusted_root");
      expect(refusal(nitroVector(name), {}).code).to.equal("certificate_not_valid");
    }
  });

  it("another nonce or another image is refused", () => {
    const document = nitroVector("opengradient-2026");
    expect(refusal(document, { at: "document", nonce: Buffer.alloc(20) }).code).to.equal("wrong_nonce");
    expect(refusal(document, { at: "document", pcrs: new Map([[0, Buffer.alloc(48)]]) }).code).to.equal("wrong_pcr");
  });
});
