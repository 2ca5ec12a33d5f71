import { createHash } from "node:crypto";

/** What one attestation document binds to the enclave that made it. */
export interface BoundKeys {
  /** secp256k1, uncompressed, 65 bytes: signs receipts. */
  receiptKey: Buffer;
  /** X25519, 32 bytes: inputs are sealed to it. */
  sealingKey: Buffer;
  /** SHA-256 of the TLS certificate's DER. */
  tlsCertificateHash: Buffer;
  /** SHA-256 of the RSA signing key's SubjectPublicKeyInfo. */
  signingKeyHash: Buffer;
}

/** Multihash prefix of SHA-256: code 0x12, 32 bytes. */
const SHA2_256 = Buffer.from("1220", "hex");

/** A document's `public_key`, 97 bytes: receipt key ‖ sealing key. */
export const publicKeyField = ({ receiptKey, sealingKey }: Pick<BoundKeys, "receiptKey" | "sealingKey">): Buffer =>
  Buffer.concat([receiptKey, sealingKey]);

/** A document's `user_data` as OpenGradient's enclaves fill it, 68 bytes: two multihashes. */
export const userDataField = (keys: Pick<BoundKeys, "tlsCertificateHash" | "signingKeyHash">): Buffer =>
  Buffer.concat([SHA2_256, keys.tlsCertificateHash, SHA2_256, keys.signingKeyHash]);

/** @returns undefined unless the field is as `publicKeyField` writes it. */
export function readPublicKeyField(
  field: Buffer | undefined,
): Pick<BoundKeys, "receiptKey" | "sealingKey"> | undefined {
  if (field?.length !== 97 || field[0] !== 0x04) return undefined;
  return { receiptKey: field.subarray(0, 65), sealingKey: field.subarray(65) };
}

/** @returns undefined unless the field is as `userDataField` writes it. */
export function readUserDataField(
  field: Buffer | undefined,
): Pick<BoundKeys, "tlsCertificateHash" | "signingKeyHash"> | undefined {
  if (field?.length !== 68) return undefined;
  if (!field.subarray(0, 2).equals(SHA2_256) || !field.subarray(34, 36).equals(SHA2_256)) return undefined;
  return { tlsCertificateHash: field.subarray(2, 34), signingKeyHash: field.subarray(36) };
}

/** Every key a document binds; undefined unless both fields are as this simulator's enclaves write them. */
export function readBoundKeys(publicKey: Buffer | undefined, userData: Buffer | undefined): BoundKeys | undefined {
  const [keys, hashes] = [readPublicKeyField(publicKey), readUserDataField(userData)];
  return keys && hashes && { ...keys, ...hashes };
}

export const sha256 = (data: Uint8Array): Buffer => createHash("sha256").update(data).digest();
