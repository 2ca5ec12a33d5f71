import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from "node:crypto";
import { OhttpError } from "./OhttpError.ts";
import type { SharedSecrets } from "./sealedRequest.ts";
import { NONCE_BYTES, TAG_BYTES } from "./suite.ts";

const ALGORITHM = "chacha20-poly1305";
const AEAD_NONCE_BYTES = 12;
const EMPTY = new Uint8Array();

/** Key and nonce of one answer. */
export interface AnswerKey {
  key: Uint8Array;
  nonce: Uint8Array;
}

/** Seals a whole answer: random nonce 32 | ciphertext (RFC 9458, section 4.4). */
export function sealResponse({ enc, response }: SharedSecrets, plaintext: Uint8Array): Buffer {
  const random = randomBytes(NONCE_BYTES);
  return Buffer.concat([random, aeadSeal(answerKey(response, enc, random), EMPTY, plaintext)]);
}

/** @throws OhttpError malformed_response, cannot_open */
export function openResponse({ enc, response }: SharedSecrets, bytes: Uint8Array): Buffer {
  if (bytes.length < NONCE_BYTES + TAG_BYTES) {
    throw new OhttpError("malformed_response", `A sealed answer cannot have ${bytes.length} bytes`);
  }
  const random = bytes.subarray(0, NONCE_BYTES);
  return aeadOpen(answerKey(response, enc, random), EMPTY, bytes.subarray(NONCE_BYTES));
}

/** HKDF with the salt `enc ‖ random`, expanded to "key" and "nonce". */
export function answerKey(secret: Uint8Array, enc: Uint8Array, random: Uint8Array): AnswerKey {
  const salt = Buffer.concat([enc, random]);
  const expand = (info: string, length: number): Uint8Array =>
    new Uint8Array(hkdfSync("sha256", secret, salt, info, length));
  return { key: expand("key", 32), nonce: expand("nonce", AEAD_NONCE_BYTES) };
}

export function aeadSeal({ key, nonce }: AnswerKey, additional: Uint8Array, plaintext: Uint8Array): Buffer {
  const cipher = createCipheriv(ALGORITHM, key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(additional, { plaintextLength: plaintext.length });
  return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

/** @throws OhttpError cannot_open */
export function aeadOpen({ key, nonce }: AnswerKey, additional: Uint8Array, sealed: Uint8Array): Buffer {
  const tagAt = sealed.length - TAG_BYTES;
  if (tagAt < 0) throw new OhttpError("malformed_response", "A sealed answer is shorter than its tag");
  const decipher = createDecipheriv(ALGORITHM, key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(additional, { plaintextLength: tagAt });
  decipher.setAuthTag(sealed.subarray(tagAt));
  try {
    // nothing is handed out before the tag is checked
    return Buffer.concat([decipher.update(sealed.subarray(0, tagAt)), decipher.final()]);
  } catch {
    throw new OhttpError("cannot_open", "The answer is not for this request, or was changed on the way");
  }
}
