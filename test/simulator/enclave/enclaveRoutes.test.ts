import { createPublicKey } from "node:crypto";

import { expect } from "chai";
import Fastify, { type FastifyInstance } from "fastify";

import { CertificateChain } from "../../../simulator/enclave/CertificateChain.ts";
import { Enclave } from "../../../simulator/enclave/Enclave.ts";
import { enclaveRoutes, type SigningKeyAnswer } from "../../../simulator/enclave/enclaveRoutes.ts";
import { TEST_ROOT_FINGERPRINT, testRoot } from "../../../simulator/enclave/testRoot.ts";
import { verifyDocument } from "../../../simulator/enclave/verifyDocument.ts";
import { bytesOf } from "../../support/attestationForgery.ts";

const NOW = Date.UTC(2026, 10, 21, 12) + 999;

describe("enclaveRoutes", () => {
  let app: FastifyInstance;
  let enclave: Enclave;

  before(async () => {
    enclave = await Enclave.start({
      authorities: new CertificateChain(testRoot()),
      measurements: { pcr0: bytesOf("0", 48), pcr1: bytesOf("1", 48), pcr2: bytesOf("2", 48) },
      clock: () => NOW,
    });
    app = Fastify();
    await app.register(enclaveRoutes(enclave));
  });
  after(() => app.close());

  for (const length of [20, 32]) {
    it(`answers a document with a nonce of ${length} bytes, as base64 text`, async () => {
      const nonce = bytesOf("nonce", length);
      const { statusCode, headers, body } = await app.inject(`/enclave/attestation?nonce=${nonce.toString("hex")}`);
      expect(statusCode).to.equal(200);
      expect(headers).to.include({ "content-type": "text/plain; charset=utf-8", "cache-control": "no-store" });
      expect(body).to.match(/^hEShATgioFkR[A-Za-z0-9+/]+={0,2}$/);
      const options = { rootFingerprint: TEST_ROOT_FINGERPRINT, at: NOW, nonce };
      expect(verifyDocument(Buffer.from(body, "base64"), options).timestamp).to.equal(NOW);
    });
  }

  it("takes a nonce in capitals", async () => {
    const { statusCode } = await app.inject(`/enclave/attestation?nonce=${"AB".repeat(32)}`);
    expect(statusCode).to.equal(200);
  });

  for (const [what, query] of Object.entries({
    none: "",
    "an empty one": "?nonce=",
    "39 digits": `?nonce=${"a".repeat(39)}`,
    "48 digits": `?nonce=${"a".repeat(48)}`,
    "no hexadecimal": `?nonce=${"g".repeat(40)}`,
    "a prefix": `?nonce=0x${"a".repeat(40)}`,
    two: `?nonce=${"a".repeat(40)}&nonce=${"b".repeat(40)}`,
  })) {
    it(`refuses ${what} and says what it expects`, async () => {
      const response = await app.inject(`/enclave/attestation${query}`);
      expect(response.statusCode).to.equal(400);
      const { error } = response.json<{ error: { code: string; message: string } }>();
      expect(error.code).to.equal("invalid_nonce");
      expect(error.message).to.contain("40 or 64 hexadecimal digits");
    });
  }

  it("answers the signing key in OpenGradient's fields", async () => {
    const answer = (await app.inject("/signing-key")).json<SigningKeyAnswer>();
    expect(Object.keys(answer)).to.deep.equal([
      "public_key",
      "tee_id",
      "wallet_address",
      "timestamp",
      "enclave_info",
      "measurements",
    ]);
    const der = createPublicKey(answer.public_key).export({ type: "spki", format: "der" });
    expect(der).to.deep.equal(enclave.publicKeyDer);
    expect(answer.tee_id).to.equal(enclave.teeId);
    expect(answer.wallet_address).to.equal(enclave.signer.address);
    expect(answer.timestamp).to.equal(Math.floor(NOW / 1000));
    expect(answer.enclave_info).to.deep.equal({ module_id: enclave.moduleId, simulated: true });
    expect(answer.measurements.pcr2).to.equal(bytesOf("2", 48).toString("hex"));
  });
});
