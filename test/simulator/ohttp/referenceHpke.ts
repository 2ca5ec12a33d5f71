import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  type KeyObject,
} from "node:crypto";

/**
 * HPKE's base mode with X25519 and HKDF-SHA256, and what RFC 9458 builds on it, written down from RFC 9180 with node's primitives: an
 * oracle that shares no code with what it judges. The AEAD is a parameter, since the vector of RFC 9458 uses AES-128-GCM.
 */
export interface ReferenceAead {
  id: number;
  name: "aes-128-gcm" | "chacha20-poly1305";
  keyBytes: number;
}

export const AES_128_GCM: ReferenceAead = { id: 1, name: "aes-128-gcm", keyBytes: 16 };
export const CHACHA20_POLY1305: ReferenceAead = { id: 3, name: "chacha20-poly1305", keyBytes: 32 };

const PKCS8_PREFIX = Buffer.from("302e020100300506032b656e04220420", "hex");
const SPKI_PREFIX = Buffer.from("302a300506032b656e032100", "hex");

export const privateKeyOf = (raw: Uint8Array): KeyObject =>
  createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, raw]), format: "der", type: "pkcs8" });

export const publicKeyOf = (raw: Uint8Array): KeyObject =>
  createPublicKey({ key: Buffer.concat([SPKI_PREFIX, raw]), format: "der", type: "spki" });

export const rawPublicKey = (key: KeyObject): Buffer =>
  createPublicKey(key).export({ format: "der", type: "spki" }).subarray(SPKI_PREFIX.length);

const hmac = (key: Uint8Array, data: Uint8Array): Buffer => createHmac("sha256", key).update(data).digest();

export const extract = (salt: Uint8Array, secret: Uint8Array): Buffer =>
  hmac(salt.length > 0 ? salt : Buffer.alloc(32), secret);

export function expand(prk: Uint8Array, info: Uint8Array, length: number): Buffer {
  let block: Buffer = Buffer.alloc(0);
  let out: Buffer = Buffer.alloc(0);
  for (let i = 1; out.length < length; i++) {
    block = hmac(prk, Buffer.concat([block, info, Buffer.from([i])]));
    out = Buffer.concat([out, block]);
  }
  return out.subarray(0, length);
}

const u16 = (value: number): Buffer => Buffer.from([value >> 8, value & 0xff]);
const text = (value: string): Buffer => Buffer.from(value, "latin1");
const EMPTY = Buffer.alloc(0);

function labelled(suite: Uint8Array) {
  return {
    extract: (salt: Uint8Array, label: string, secret: Uint8Array) =>
      extract(salt, Buffer.concat([text("HPKE-v1"), suite, text(label), secret])),
    expand: (prk: Uint8Array, label: string, info: Uint8Array, length: number) =>
      expand(prk, Buffer.concat([u16(length), text("HPKE-v1"), suite, text(label), info]), length),
  };
}

export interface ReferenceContext {
  seal(plaintext: Uint8Array): Buffer;
  open(sealed: Uint8Array): Buffer;
  export(label: string, length: number): Buffer;
}

/** The context both ends come to: `own` is the sender's ephemeral key, or the recipient's. */
export function referenceContext(
  aead: ReferenceAead,
  { own, other, enc, recipient }: { own: KeyObject; other: KeyObject; enc: Uint8Array; recipient: Uint8Array },
  info: Uint8Array,
): ReferenceContext {
  const kem = labelled(Buffer.concat([text("KEM"), u16(0x20)]));
  const shared = diffieHellman({ privateKey: own, publicKey: other });
  const prk = kem.extract(EMPTY, "eae_prk", shared);
  const secret = kem.expand(prk, "shared_secret", Buffer.concat([enc, recipient]), 32);
  const hpke = labelled(Buffer.concat([text("HPKE"), u16(0x20), u16(1), u16(aead.id)]));
  const schedule = Buffer.concat([
    Buffer.from([0]),
    hpke.extract(EMPTY, "psk_id_hash", EMPTY),
    hpke.extract(EMPTY, "info_hash", info),
  ]);
  const keys = hpke.extract(secret, "secret", EMPTY);
  const key = hpke.expand(keys, "key", schedule, aead.keyBytes);
  const nonce = hpke.expand(keys, "base_nonce", schedule, 12);
  const exporter = hpke.expand(keys, "exp", schedule, 32);
  return {
    seal: (plaintext) => referenceSeal(aead, key, nonce, plaintext),
    open: (sealed) => referenceOpen(aead, key, nonce, sealed),
    export: (label, length) => hpke.expand(exporter, "sec", text(label), length),
  };
}

export function referenceSeal(
  { name }: ReferenceAead,
  key: Uint8Array,
  nonce: Uint8Array,
  plaintext: Uint8Array,
  additional: Uint8Array = EMPTY,
): Buffer {
  const cipher = createCipheriv(name as "aes-128-gcm", key, nonce, { authTagLength: 16 });
  cipher.setAAD(additional, { plaintextLength: plaintext.length });
  return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

export function referenceOpen(
  { name }: ReferenceAead,
  key: Uint8Array,
  nonce: Uint8Array,
  sealed: Uint8Array,
  additional: Uint8Array = EMPTY,
): Buffer {
  const tagAt = sealed.length - 16;
  const decipher = createDecipheriv(name as "aes-128-gcm", key, nonce, { authTagLength: 16 });
  decipher.setAAD(additional, { plaintextLength: tagAt });
  decipher.setAuthTag(sealed.subarray(tagAt));
  return Buffer.concat([decipher.update(sealed.subarray(0, tagAt)), decipher.final()]);
}

/** Key and nonce of an answer (RFC 9458, section 4.4). */
export function referenceAnswerKey(
  { keyBytes }: ReferenceAead,
  secret: Uint8Array,
  enc: Uint8Array,
  random: Uint8Array,
): { key: Buffer; nonce: Buffer } {
  const prk = extract(Buffer.concat([enc, random]), secret);
  return { key: expand(prk, text("key"), keyBytes), nonce: expand(prk, text("nonce"), 12) };
}

/** Header of a request and the HPKE info it stands in. */
export function referenceHeader(keyId: number, { id }: ReferenceAead): { header: Buffer; info: Buffer } {
  const header = Buffer.concat([Buffer.from([keyId]), u16(0x20), u16(1), u16(id)]);
  return { header, info: Buffer.concat([text("message/bhttp request\0"), header]) };
}
