import { createPublicKey } from "node:crypto";

import type { FastifyPluginCallback } from "fastify";
import { z } from "zod";

import { errorBody, NodeError } from "../nodes/NodeError.ts";
import type { Enclave } from "./Enclave.ts";

/** 20 bytes as OpenGradient's tools send them, or the 32 of a registry's challenge. */
const attestationQuery = z.object({ nonce: z.string().regex(/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/i) });

/** What `GET /signing-key` answers, field by field as OpenGradient's gateway. */
export interface SigningKeyAnswer {
  /** RSA key, PEM of its SubjectPublicKeyInfo. */
  public_key: string;
  /** keccak256 of the same, DER. */
  tee_id: string;
  /** Of the key that signs receipts. */
  wallet_address: string;
  /** Unix seconds. */
  timestamp: number;
  enclave_info: { module_id: string; simulated: true };
  /** PCR0 to 2, hexadecimal. */
  measurements: { pcr0: string; pcr1: string; pcr2: string };
}

/**
 * An enclave over HTTP, a Fastify plugin: `GET /enclave/attestation?nonce=…` answers a document as base64, `GET /signing-key` what registering
 * needs. Neither proves anything by itself: a client checks the document, and that it binds the certificate it was served under.
 */
export function enclaveRoutes(enclave: Enclave): FastifyPluginCallback {
  const publicKey = createPublicKey({ key: enclave.publicKeyDer, format: "der", type: "spki" });
  const publicKeyPem = publicKey.export({ type: "spki", format: "pem" }).toString();
  const { pcr0, pcr1, pcr2 } = enclave.measurements;
  const measurements = { pcr0: pcr0.toString("hex"), pcr1: pcr1.toString("hex"), pcr2: pcr2.toString("hex") };

  return (app, _options, done) => {
    app.get("/enclave/attestation", (request, reply) => {
      const query = attestationQuery.safeParse(request.query);
      if (!query.success) {
        const message = "Expected one nonce of 40 or 64 hexadecimal digits, as in /enclave/attestation?nonce=0123…";
        return reply.code(400).send(errorBody(new NodeError(400, "invalid_nonce", message)));
      }
      const document = enclave.attest(Buffer.from(query.data.nonce, "hex"));
      return reply
        .type("text/plain; charset=utf-8")
        .header("cache-control", "no-store")
        .send(document.toString("base64"));
    });

    app.get("/signing-key", (_request, reply) => {
      const answer: SigningKeyAnswer = {
        public_key: publicKeyPem,
        tee_id: enclave.teeId,
        wallet_address: enclave.signer.address,
        timestamp: Math.floor(enclave.now() / 1000),
        enclave_info: { module_id: enclave.moduleId, simulated: true },
        measurements,
      };
      return reply.header("cache-control", "no-store").send(answer);
    });
    done();
  };
}
