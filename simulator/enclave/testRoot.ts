import { createECDH, createHash, createPrivateKey, createPublicKey } from "node:crypto";

import type { Certificate, KeyPair } from "./certificate.ts";
import { distinguishedName } from "./certificate.ts";

/**
 * The root certificate of every simulated enclave, "O=OpenGradient Simulator, OU=TEST", 565 bytes. TEST MATERIAL: its private key is a hash of a
 * sentence in this file, so that nobody can take it for a secret. A verifier that trusts it proves the protocol, never hardware.
 */
export const TEST_ROOT_DER = Buffer.from(
  "MIICMTCCAbegAwIBAgIQIjAQL8QxzlJoleFjPrtnRjAKBggqhkjOPQQDAzBaMQswCQYDVQQGEwJVUzEfMB0GA1UECgwWT3BlbkdyYWRpZW50IFNp" +
    "bXVsYXRvcjENMAsGA1UECwwEVEVTVDEbMBkGA1UEAwwSc2ltLm5pdHJvLWVuY2xhdmVzMB4XDTE5MTEwMTAwMDAwMFoXDTQ5MTEwMTAxMDAwMFow" +
    "WjELMAkGA1UEBhMCVVMxHzAdBgNVBAoMFk9wZW5HcmFkaWVudCBTaW11bGF0b3IxDTALBgNVBAsMBFRFU1QxGzAZBgNVBAMMEnNpbS5uaXRyby1l" +
    "bmNsYXZlczB2MBAGByqGSM49AgEGBSuBBAAiA2IABL72eIrS+pCKGr1GuetPnxGn8JigdkeBT5jX0pazvj3iwE2+SXmr3Q27ikPoy6p4wZmzSweu" +
    "8UVMMjxamPDdkg0FAUFA7plgSDVC3xFDGKL1s/GTIBqh0MRxRNSuyRHAP6NCMEAwDwYDVR0TAQH/BAUwAwEB/zAdBgNVHQ4EFgQU4HViCoBcJgUV" +
    "BH/FDtbYHPZHPAkwDgYDVR0PAQH/BAQDAgGGMAoGCCqGSM49BAMDA2gAMGUCMC3jgGmH6e8LphGteeumTLxWvJv61pl/QAUsZnzpZYvXszxpOmoc" +
    "jRkK5/NNDmbYJQIxANwFFk0E3mlPZARE+IomFmkZX2kt9P3QdGflAVGhiTjDZLDoiIhMAhgiKY2oinSpaA==",
  "base64",
);

/** SHA-256 of its DER. */
export const TEST_ROOT_FINGERPRINT = "eac37f645847772c20af0322d3605bf30b9b19606f322a8c76a7b64b2bae207b";

const SUBJECT = distinguishedName(
  ["C", "US"],
  ["O", "OpenGradient Simulator"],
  ["OU", "TEST"],
  ["CN", "sim.nitro-enclaves"],
);

/** 30 years and an hour, as AWS's, and early enough for chains whose clock was set back. */
const NOT_BEFORE = Date.UTC(2019, 10, 1) / 1000;
const NOT_AFTER = Date.UTC(2049, 10, 1, 1) / 1000;

const KEY_SENTENCE = "OpenGradient simulator: test root of Nitro attestation, known to everybody";

/** The test root with its key, to issue what is below it. */
export function testRoot(): Certificate {
  const keys = testRootKeys();
  return {
    der: TEST_ROOT_DER,
    subject: SUBJECT,
    keyId: Buffer.from("e075620a805c260515047fc50ed6d81cf6473c09", "hex"),
    keys,
    notBefore: NOT_BEFORE,
    notAfter: NOT_AFTER,
  };
}

function testRootKeys(): KeyPair {
  const scalar = createHash("sha384").update(KEY_SENTENCE).digest();
  const curve = createECDH("secp384r1");
  curve.setPrivateKey(scalar);
  const point = curve.getPublicKey();
  const coordinates = { x: point.toString("base64url", 1, 49), y: point.toString("base64url", 49) };
  const key = { kty: "EC", crv: "P-384", d: scalar.toString("base64url"), ...coordinates };
  const privateKey = createPrivateKey({ format: "jwk", key });
  return { privateKey, publicKey: createPublicKey(privateKey) };
}
