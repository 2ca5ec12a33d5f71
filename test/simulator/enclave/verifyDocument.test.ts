import { expect } from "chai";

import { AttestationError } from "../../../simulator/enclave/AttestationError.ts";
import { TEST_ROOT_FINGERPRINT } from "../../../simulator/enclave/testRoot.ts";
import { verifyDocument, type VerifyOptions } from "../../../simulator/enclave/verifyDocument.ts";
import { attestationAttacks } from "../../support/attestationAttacks.ts";

const NOW = Date.UTC(2026, 10, 21, 12) / 1000;

function codeOf(document: Buffer, options: VerifyOptions = {}): string | undefined {
  try {
    verifyDocument(document, { rootFingerprint: TEST_ROOT_FINGERPRINT, at: NOW * 1000, ...options });
    return undefined;
  } catch (error) {
    if (error instanceof AttestationError) return error.code;
    throw error;
  }
}

describe("verifyDocument", () => {
  describe("judges a document", () => {
    for (const { name, document, refusedFor } of attestationAttacks(NOW)) {
      it(`${name}: ${refusedFor ?? "accepted"}`, () => expect(codeOf(document)).to.equal(refusedFor));
    }
  });
});
