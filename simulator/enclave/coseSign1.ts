import { type KeyObject, sign } from "node:crypto";

import { array, bytes, map, text } from "./cbor.ts";

/** The protected header of every Nitro document: {1: -35}, which is alg: ES384. */
export const ES384_HEADER = Buffer.from("a1013822", "hex");

/** What a COSE_Sign1 signature is over (RFC 9052, 4.4), with no external data. */
export const sigStructure = (protectedHeader: Uint8Array, payload: Uint8Array): Buffer =>
  array(text("Signature1"), bytes(protectedHeader), bytes(new Uint8Array()), bytes(payload));

/** r ‖ s, 96 bytes for P-384. */
export const ecdsaSha384 = (message: Uint8Array, privateKey: KeyObject): Buffer =>
  sign("sha384", message, { key: privateKey, dsaEncoding: "ieee-p1363" });

/** Untagged COSE_Sign1, as the Nitro Secure Module returns it. */
export function coseSign1(
  payload: Uint8Array,
  privateKey: KeyObject,
  protectedHeader: Uint8Array = ES384_HEADER,
): Buffer {
  const signature = ecdsaSha384(sigStructure(protectedHeader, payload), privateKey);
  return array(bytes(protectedHeader), map([]), bytes(payload), bytes(signature));
}
