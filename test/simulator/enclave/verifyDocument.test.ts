import { expect } from "chai";
import fc from "fast-check";

import { AttestationError } from "../../../simulator/enclave/AttestationError.ts";
import { TEST_ROOT_FINGERPRINT } from "../../../simulator/enclave/testRoot.ts";
import { AWS_ROOT_FINGERPRINT, verifyDocument, type VerifyOptions } from "../../../simulator/enclave/verifyDocument.ts";
import { attestationPayload } from "../../../simulator/enclave/attestationDocument.ts";
import { coseSign1 } from "../../../simulator/enclave/coseSign1.ts";
import { forgeChain, forgeFields } from "../../support/attestationForgery.ts";
import { attestationAttacks } from "../../support/attestationAttacks.ts";

const NOW = Date.UTC(2026, 10, 21, 12) / 1000;

/** Why a document is refused; undefined when it is not. Any other failure than a refusal is the test's. */
function codeOf(document: Buffer, options: VerifyOptions = {}): string | undefined {
  try {
    verifyDocument(document, { rootFingerprint: TEST_ROOT_FINGERPRINT, at: NOW * 1000, ...options });
    return undefined;
  } catch (error) {
    if (error instanceof AttestationError) return error.code;
    throw error;
  }
}

function refusalOf(act: () => unknown): AttestationError {
  try {
    act();
  } catch (error) {
    if (error instanceof AttestationError) return error;
    throw error;
  }
  throw new Error("Expected the document to be refused");
}

describe("verifyDocument", () => {
  describe("judges a document", () => {
    for (const { name, document, refusedFor } of attestationAttacks(NOW)) {
      it(`${name}: ${refusedFor ?? "accepted"}`, () => expect(codeOf(document)).to.equal(refusedFor));
    }
  });

  describe("never takes, and never fails otherwise than by refusing,", () => {
    const chain = forgeChain(NOW);
    const genuine = coseSign1(attestationPayload(forgeFields(NOW, chain)), chain.leaf.keys.privateKey);

    it("a document with any one bit changed", () => {
      const bit = fc.integer({ min: 0, max: genuine.length * 8 - 1 });
      fc.assert(
        fc.property(bit, (at) => {
          const changed = Buffer.from(genuine);
          changed[at >> 3]! ^= 1 << (at & 7);
          expect(codeOf(changed)).to.be.a("string");
        }),
        { numRuns: 100 },
      );
    });

    it("a document with bytes cut out or put in", () => {
      const place = fc.integer({ min: 0, max: genuine.length - 1 });
      fc.assert(
        fc.property(place, place, fc.uint8Array({ maxLength: 4 }), (from, to, between) => {
          const changed = Buffer.concat([genuine.subarray(0, from), between, genuine.subarray(to)]);
          fc.pre(!changed.equals(genuine));
          expect(codeOf(changed)).to.be.a("string");
        }),
        { numRuns: 100 },
      );
    });

    it("a payload with any one bit changed, though its leaf signs it", () => {
      // Some are still what they say: another nonce is as good. So this asks only that nothing else than a refusal comes out.
      const payload = attestationPayload(forgeFields(NOW, chain));
      fc.assert(
        fc.property(fc.integer({ min: 0, max: payload.length * 8 - 1 }), (at) => {
          const changed = Buffer.from(payload);
          changed[at >> 3]! ^= 1 << (at & 7);
          codeOf(coseSign1(changed, chain.leaf.keys.privateKey));
        }),
        { numRuns: 100 },
      );
    });

    it("random bytes", () => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
          expect(codeOf(Buffer.from(bytes))).to.be.a("string");
        }),
      );
    });
  });

  describe("asks for what its caller expects", () => {
    const chain = forgeChain(NOW);
    const fields = forgeFields(NOW, chain);
    const genuine = coseSign1(attestationPayload(fields), chain.leaf.keys.privateKey);
    const silent = coseSign1(attestationPayload({ ...fields, nonce: undefined }), chain.leaf.keys.privateKey);

    it("the nonce, whole and present", () => {
      const nonce = fields.nonce!;
      expect(codeOf(genuine, { nonce })).to.equal(undefined);
      expect(codeOf(genuine, { nonce: nonce.subarray(1) })).to.equal("wrong_nonce");
      expect(codeOf(genuine, { nonce: Buffer.alloc(0) })).to.equal("wrong_nonce");
      expect(codeOf(silent, { nonce })).to.equal("wrong_nonce");
    });

    it("any register", () => {
      const pcrs = new Map(fields.pcrs);
      expect(codeOf(genuine, { pcrs })).to.equal(undefined);
      expect(codeOf(genuine, { pcrs: pcrs.set(2, Buffer.alloc(48, 1)) })).to.equal("wrong_pcr");
      expect(codeOf(genuine, { pcrs: new Map([[16, Buffer.alloc(48)]]) })).to.equal("wrong_pcr");
    });

    it("its root, which is AWS's unless another is named", () => {
      const error = refusalOf(() => verifyDocument(genuine, { at: NOW * 1000 }));
      expect(error.code).to.equal("untrusted_root");
      expect(error.message).to.contain(AWS_ROOT_FINGERPRINT).and.to.contain(TEST_ROOT_FINGERPRINT);
    });

    it("a time that is one", () => {
      const options = { rootFingerprint: TEST_ROOT_FINGERPRINT, at: NaN };
      expect(() => verifyDocument(genuine, options)).to.throw(RangeError, "unix milliseconds");
    });

    it("its time, to the second", () => {
      const { validUntil } = verifyDocument(genuine, { rootFingerprint: TEST_ROOT_FINGERPRINT, at: NOW * 1000 });
      expect(codeOf(genuine, { at: validUntil * 1000 + 999 })).to.equal(undefined);
      expect(codeOf(genuine, { at: validUntil * 1000 + 1000 })).to.equal("certificate_not_valid");
      // Clocks may be a minute apart, but the leaf is three seconds older than the document.
      expect(codeOf(genuine, { at: (NOW - 3) * 1000 })).to.equal(undefined);
      expect(codeOf(genuine, { at: (NOW - 4) * 1000 })).to.equal("certificate_not_valid");
    });
  });
});
