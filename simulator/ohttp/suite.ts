import type { webcrypto } from "node:crypto";
import { Chacha20Poly1305 } from "@hpke/chacha20poly1305";
import { CipherSuite, DhkemX25519HkdfSha256, HkdfSha256 } from "@hpke/core";
import { OhttpError } from "./OhttpError.ts";

/** The one suite, by its numbers in RFC 9180: X25519 with HKDF-SHA256, HKDF-SHA256, ChaCha20-Poly1305. OpenGradient's, too. */
export const SUITE = { kem: 0x0020, kdf: 0x0001, aead: 0x0003 } as const;

/** Bytes of a public key, and of the encapsulated key that is one. */
export const PUBLIC_KEY_BYTES = 32;
/** max(Nk, Nn) of the AEAD: length of response nonces and exported secrets (RFC 9458, section 4.4). */
export const NONCE_BYTES = 32;
export const TAG_BYTES = 16;
export const HEADER_BYTES = 7;

/** RFC 9458, section 6. */
export const OHTTP_KEYS = "application/ohttp-keys";
export const OHTTP_REQUEST = "message/ohttp-req";
export const OHTTP_RESPONSE = "message/ohttp-res";
/** draft-ietf-ohai-chunked-ohttp. */
export const OHTTP_CHUNKED_RESPONSE = "message/ohttp-chunked-res";

export const hpke = new CipherSuite({
  kem: new DhkemX25519HkdfSha256(),
  kdf: new HkdfSha256(),
  aead: new Chacha20Poly1305(),
});

/** Its KEM, with the types of keys: the library goes by the browser's, which Node's types do not have. */
export const kem: {
  generateKeyPair(): Promise<webcrypto.CryptoKeyPair>;
  serializePublicKey(key: webcrypto.CryptoKey): Promise<ArrayBuffer>;
  deserializePublicKey(raw: Uint8Array): Promise<webcrypto.CryptoKey>;
} = hpke.kem;

/** What a request begins with: key id 1, KEM 2, KDF 2, AEAD 2. */
export function requestHeader(keyId: number): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt8(keyId, 0);
  header.writeUInt16BE(SUITE.kem, 1);
  header.writeUInt16BE(SUITE.kdf, 3);
  header.writeUInt16BE(SUITE.aead, 5);
  return header;
}

/**
 * Which key a sealed request is for. Anybody may read this: it is not encrypted.
 * @throws OhttpError malformed_request, unsupported_suite
 */
export function keyIdOf(request: Uint8Array): number {
  const least = HEADER_BYTES + PUBLIC_KEY_BYTES + TAG_BYTES;
  if (request.length < least) {
    throw new OhttpError("malformed_request", `Expected at least ${least} bytes, found ${request.length}`);
  }
  const keyId = request[0]!;
  const found = Buffer.from(request.subarray(0, HEADER_BYTES));
  if (!found.equals(requestHeader(keyId))) {
    throw new OhttpError(
      "unsupported_suite",
      `Expected the suite 0020 0001 0003 (KEM, KDF, AEAD), found ${found.toString("hex", 1)}`,
    );
  }
  return keyId;
}

/** `info` of the HPKE context of a request (RFC 9458, section 4.3). */
export const requestInfo = (header: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from("message/bhttp request\0", "latin1"), header]);
