import { decode } from "cbor2";
import { z } from "zod";

import { keccak256 } from "../receipts/keccak.ts";
import type { Hex } from "../receipts/types.ts";

const certificateSchema = z.instanceof(Uint8Array).refine(({ length }) => length > 0 && length <= 1024);
const coseSchema = z.tuple([z.unknown(), z.unknown(), z.instanceof(Uint8Array), z.unknown()]);
const payloadSchema = z.looseObject({ cabundle: z.array(certificateSchema).min(1), certificate: certificateSchema });

/**
 * The certificates of an attestation document, root first, leaf last, DER. Nothing is verified: see `verifyDocument`.
 * @throws Error when it is not such a document.
 */
export function documentCertificates(document: Uint8Array): Uint8Array[] {
  const cose = coseSchema.parse(decode(document, { rejectDuplicateKeys: true }));
  const { cabundle, certificate } = payloadSchema.parse(decode(cose[2], { rejectDuplicateKeys: true }));
  return [...cabundle, certificate];
}

/** What NitroAttestationVerifier knows a certificate by: keccak256 of its TBSCertificate, the part that is signed. */
export function certificateName(der: Uint8Array): Hex {
  const { content } = element(der, 0);
  return keccak256(Buffer.from(der.subarray(content, element(der, content).end)));
}

/** Where the content of a DER element begins and ends. Lengths of up to two bytes are all that certificates of this size have. */
function element(der: Uint8Array, at: number): { content: number; end: number } {
  const first = der[at + 1] ?? 0;
  const more = first < 0x80 ? 0 : first - 0x80;
  if (more > 2 || at + 2 + more > der.length) throw new RangeError("Expected the DER of a certificate");
  const length = more === 0 ? first : Buffer.from(der.subarray(at + 2, at + 2 + more)).readUIntBE(0, more);
  return { content: at + 2 + more, end: at + 2 + more + length };
}
