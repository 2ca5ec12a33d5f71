import type { webcrypto } from "node:crypto";
import { OhttpError } from "./OhttpError.ts";
import { kem, PUBLIC_KEY_BYTES, SUITE } from "./suite.ts";

/** What a client has to know to seal: whose word this is taken on decides who can read the request. */
export interface SealingPublicKey {
  /** 0 to 255. */
  keyId: number;
  /** X25519, 32 bytes. */
  publicKey: Uint8Array;
}

/** A key that sealed requests are opened with; lives in the enclave. */
export interface SealingKey extends SealingPublicKey {
  /** From the KEM of `@hpke/core`. */
  keyPair: webcrypto.CryptoKeyPair;
}

/** OpenGradient's gateways name their one key so, whichever it is. */
export const DEFAULT_KEY_ID = 1;

/** A new key, of which only the public half can leave the process. */
export async function generateSealingKey(keyId = DEFAULT_KEY_ID): Promise<SealingKey> {
  return sealingKeyOf(await kem.generateKeyPair(), keyId);
}

/** A key pair of X25519, e.g. an enclave's, as a key to open requests with. */
export async function sealingKeyOf(keyPair: webcrypto.CryptoKeyPair, keyId = DEFAULT_KEY_ID): Promise<SealingKey> {
  return { keyId, publicKey: new Uint8Array(await kem.serializePublicKey(keyPair.publicKey)), keyPair };
}

/** Key id 1, KEM 2, public key 32, length 2 of a list of (KDF 2, AEAD 2): RFC 9458, section 3.1. */
export function encodeKeyConfig({ keyId, publicKey }: SealingPublicKey): Buffer {
  if (publicKey.length !== PUBLIC_KEY_BYTES || !Number.isInteger(keyId) || keyId < 0 || keyId > 255) {
    throw new OhttpError(
      "malformed_config",
      `Expected a key of 32 bytes and an id of one, found ${publicKey.length} bytes and id ${keyId}`,
    );
  }
  const config = Buffer.alloc(3 + PUBLIC_KEY_BYTES + 6);
  config.writeUInt8(keyId, 0);
  config.writeUInt16BE(SUITE.kem, 1);
  config.set(publicKey, 3);
  config.writeUInt16BE(4, 35);
  config.writeUInt16BE(SUITE.kdf, 37);
  config.writeUInt16BE(SUITE.aead, 39);
  return config;
}

/**
 * Reads one key configuration.
 * @throws OhttpError malformed_config; unsupported_suite when it is for another KEM or does not list the suite.
 */
export function parseKeyConfig(config: Uint8Array): SealingPublicKey {
  const bytes = Buffer.from(config);
  if (bytes.length < 3) throw malformed("it is cut short");
  const kem = bytes.readUInt16BE(1);
  // the length of the key follows from the KEM, so nothing after it can be read
  if (kem !== SUITE.kem) throw new OhttpError("unsupported_suite", `Expected the KEM 0020, found ${hex16(kem)}`);
  const listAt = 3 + PUBLIC_KEY_BYTES;
  if (bytes.length < listAt + 2) throw malformed("it is cut short");
  const list = bytes.subarray(listAt + 2);
  if (bytes.readUInt16BE(listAt) !== list.length) throw malformed("its list of algorithms has another length");
  if (list.length === 0 || list.length % 4 !== 0) throw malformed("its list of algorithms is not of whole pairs");
  const offered = Array.from({ length: list.length / 4 }, (_, i) => list.readUInt32BE(4 * i));
  if (!offered.includes(SUITE.kdf * 0x10000 + SUITE.aead)) {
    throw new OhttpError("unsupported_suite", "Expected HKDF-SHA256 with ChaCha20-Poly1305 among the algorithms");
  }
  return { keyId: bytes.readUInt8(0), publicKey: new Uint8Array(bytes.subarray(3, listAt)) };
}

/** `application/ohttp-keys`: configurations, each behind its length in two bytes (RFC 9458, section 3.2). */
export function encodeKeyConfigs(keys: readonly SealingPublicKey[]): Buffer {
  return Buffer.concat(
    keys.map(encodeKeyConfig).flatMap((config) => [Buffer.from([config.length >> 8, config.length & 0xff]), config]),
  );
}

/**
 * Reads `application/ohttp-keys`, leaving out what is for other suites.
 * @throws OhttpError malformed_config
 */
export function parseKeyConfigs(list: Uint8Array): SealingPublicKey[] {
  const bytes = Buffer.from(list);
  const keys: SealingPublicKey[] = [];
  for (let at = 0; at < bytes.length;) {
    if (at + 2 > bytes.length) throw malformed("a length is cut short");
    const end = at + 2 + bytes.readUInt16BE(at);
    if (end > bytes.length) throw malformed("it is cut short");
    try {
      keys.push(parseKeyConfig(bytes.subarray(at + 2, end)));
    } catch (error) {
      if (!(error instanceof OhttpError) || error.code !== "unsupported_suite") throw error;
    }
    at = end;
  }
  return keys;
}

const malformed = (why: string): OhttpError =>
  new OhttpError("malformed_config", `The key configuration cannot be read: ${why}`);

const hex16 = (value: number): string => value.toString(16).padStart(4, "0");
