import { toHex } from "../receipts/bytes.ts";
import type { Hex } from "../receipts/types.ts";
import type { SealingKey, SealingPublicKey } from "./keyConfig.ts";
import { OhttpError } from "./OhttpError.ts";
import {
  HEADER_BYTES,
  hpke,
  kem,
  keyIdOf,
  NONCE_BYTES,
  PUBLIC_KEY_BYTES,
  requestHeader,
  requestInfo,
} from "./suite.ts";

/** What the two ends of one request share besides it, and nobody else knows. */
export interface SharedSecrets {
  /** The client's encapsulated key: public, and part of what answers are bound to. */
  enc: Uint8Array;
  /** Keys a whole answer. */
  response: Uint8Array;
  /** Keys an answer in chunks. */
  chunkedResponse: Uint8Array;
  /** Blinds the receipt: see `blindedHash`. */
  receiptSalt: Hex;
}

export interface SealedRequest {
  /** header 7 | encapsulated key 32 | ciphertext. */
  bytes: Uint8Array;
  secrets: SharedSecrets;
}

export interface OpenedRequest {
  plaintext: Uint8Array;
  secrets: SharedSecrets;
}

/**
 * Seals a request for one key (RFC 9458, section 4.3).
 * @throws OhttpError cannot_open for a public key that is none.
 */
export async function sealRequest(key: SealingPublicKey, plaintext: Uint8Array): Promise<SealedRequest> {
  const header = requestHeader(key.keyId);
  try {
    const recipientPublicKey = await kem.deserializePublicKey(key.publicKey);
    const context = await hpke.createSenderContext({ recipientPublicKey, info: requestInfo(header) });
    const ciphertext = await context.seal(plaintext);
    const enc = new Uint8Array(context.enc);
    return { bytes: Buffer.concat([header, enc, Buffer.from(ciphertext)]), secrets: await shared(context, enc) };
  } catch (error) {
    throw new OhttpError("cannot_open", "Nothing can be sealed for this key", { cause: error });
  }
}

/**
 * Opens a request with the key it names.
 * @throws OhttpError malformed_request, unsupported_suite, unknown_key; cannot_open without saying at which step it failed.
 */
export async function openRequest(key: SealingKey, bytes: Uint8Array): Promise<OpenedRequest> {
  const keyId = keyIdOf(bytes);
  if (keyId !== key.keyId) {
    throw new OhttpError("unknown_key", `Expected a request for key ${key.keyId}, found one for key ${keyId}`);
  }
  const encEnd = HEADER_BYTES + PUBLIC_KEY_BYTES;
  const enc = new Uint8Array(bytes.subarray(HEADER_BYTES, encEnd));
  const info = requestInfo(bytes.subarray(0, HEADER_BYTES));
  try {
    const context = await hpke.createRecipientContext({ recipientKey: key.keyPair, enc, info });
    const plaintext = new Uint8Array(await context.open(bytes.subarray(encEnd)));
    return { plaintext, secrets: await shared(context, enc) };
  } catch {
    throw new OhttpError("cannot_open", "The request was sealed for another key, or was changed on the way");
  }
}

interface Exporter {
  export(label: Uint8Array, length: number): Promise<ArrayBuffer>;
}

async function shared(context: Exporter, enc: Uint8Array): Promise<SharedSecrets> {
  const secret = async (label: string): Promise<Uint8Array> =>
    new Uint8Array(await context.export(Buffer.from(label, "latin1"), NONCE_BYTES));
  return {
    enc,
    response: await secret("message/bhttp response"),
    chunkedResponse: await secret("message/bhttp chunked response"),
    receiptSalt: toHex(await secret("opengradient receipt salt")),
  };
}
