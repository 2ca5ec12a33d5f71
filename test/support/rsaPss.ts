import {
  constants,
  createHash,
  generateKeyPairSync,
  privateDecrypt,
  randomBytes,
  sign,
  verify,
  type KeyObject,
} from "node:crypto";

const HASH_LENGTH = 32;
export const SALT_LENGTH = 32;

/** An RSA key pair with what the contracts take of it. */
export interface RsaKey {
  privateKey: KeyObject;
  publicKey: KeyObject;
  /** SubjectPublicKeyInfo, DER. */
  spki: Buffer;
  /** Big-endian, as long as the key. */
  modulus: Buffer;
}

export function rsaKey(bits: number, publicExponent = 65537): RsaKey {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: bits, publicExponent });
  const spki = publicKey.export({ type: "spki", format: "der" });
  const modulus = Buffer.from(publicKey.export({ format: "jwk" }).n!, "base64url");
  return { privateKey, publicKey, spki, modulus };
}

export const sha256 = (data: Uint8Array): Buffer => createHash("sha256").update(data).digest();

const padding = constants.RSA_PKCS1_PSS_PADDING;

/** A signature by node:crypto. */
export const signPss = ({ privateKey: key }: RsaKey, message: Uint8Array, saltLength = SALT_LENGTH): Buffer =>
  sign("sha256", message, { key, padding, saltLength });

/** What node:crypto says. */
export const verifyPss = ({ publicKey: key }: RsaKey, message: Uint8Array, signature: Uint8Array): boolean =>
  verify("sha256", message, { key, padding, saltLength: SALT_LENGTH }, signature);

/** An encoded message in its parts. */
export interface EncodedMessage {
  /** PS ‖ 0x01 ‖ salt, before it is masked. */
  db: Buffer;
  h: Buffer;
  trailer: number;
}

/**
 * EMSA-PSS-ENCODE (RFC 8017, 9.1.1) for a modulus whose top bit is set, with a place to go wrong on the way.
 * @param spoil Changes the parts before DB is masked.
 * @param topBits ANDed to the first byte; 0x7f is right.
 */
export function encodePss(
  message: Uint8Array,
  length: number,
  spoil: (parts: EncodedMessage) => void = () => undefined,
  topBits = 0x7f,
): Buffer {
  const salt = randomBytes(SALT_LENGTH);
  const db = Buffer.alloc(length - HASH_LENGTH - 1);
  db[db.length - SALT_LENGTH - 1] = 1;
  salt.copy(db, db.length - SALT_LENGTH);
  const parts = { db, h: sha256(Buffer.concat([Buffer.alloc(8), sha256(message), salt])), trailer: 0xbc };
  spoil(parts);
  const mask = mgf1(parts.h, parts.db.length);
  const em = Buffer.concat([parts.db.map((byte, i) => byte ^ mask[i]!), parts.h, Buffer.of(parts.trailer)]);
  em[0]! &= topBits;
  return em;
}

function mgf1(seed: Uint8Array, length: number): Buffer {
  const blocks: Buffer[] = [];
  for (let i = 0; i * HASH_LENGTH < length; i++) {
    const counter = Buffer.alloc(4);
    counter.writeUInt32BE(i);
    blocks.push(sha256(Buffer.concat([seed, counter])));
  }
  return Buffer.concat(blocks).subarray(0, length);
}

/** RSASP1: the number whose 65537th power is `encoded`. @throws Error when `encoded` is not below the modulus. */
export const signRaw = ({ privateKey: key }: RsaKey, encoded: Uint8Array): Buffer =>
  privateDecrypt({ key, padding: constants.RSA_NO_PADDING }, encoded);

export const toNumber = (bytes: Uint8Array): bigint => BigInt(`0x${Buffer.from(bytes).toString("hex")}`);

export const toBytes = (value: bigint, length: number): Buffer =>
  Buffer.from(value.toString(16).padStart(2 * length, "0"), "hex");
