import { decode } from "cbor2";
import { z } from "zod";

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
