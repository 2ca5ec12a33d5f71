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

/** @returns undefined unless the fields are exactly as `publicKeyField` and `userDataField` write them. */
export function readBoundKeys(publicKey: Buffer | undefined, userData: Buffer | undefined): BoundKeys | undefined {
  if (publicKey?.length !== 97 || publicKey[0] !== 0x04 || userData?.length !== 68) return undefined;
  if (!userData.subarray(0, 2).equals(SHA2_256) || !userData.subarray(34, 36).equals(SHA2_256)) return undefined;
  return {
    receiptKey: publicKey.subarray(0, 65),
    sealingKey: publicKey.subarray(65),
    tlsCertificateHash: userData.subarray(2, 34),
    signingKeyHash: userData.subarray(36),
  };
}

export const sha256 = (data: Uint8Array): Buffer => createHash("sha256").update(data).digest();
