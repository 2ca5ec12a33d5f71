import { decode, type DecodeOptions, encode, SequenceEvents, Tag } from "cbor2";
import { z } from "zod";

import { AttestationError, type AttestationErrorCode } from "./AttestationError.ts";

/** A document taken apart; nothing of it is verified. */
export interface UnverifiedDocument {
  /** What `signature` is over. */
  signed: Uint8Array;
  /** r ‖ s, 96 bytes. */
  signature: Uint8Array;
  payload: AttestationPayload;
}

export type AttestationPayload = z.infer<typeof payloadSchema>;

/** {1: -35}, which is alg: ES384. */
const ES384_HEADER = "a1013822";
const COSE_SIGN1_TAG = 18;

/**
 * Reads a COSE_Sign1 attestation document, with cbor2 at its strictest. Twice the same key, a longer head than needed, bytes left over, a float, an undefined or
 * a tag anywhere are refused, and so is an indefinite length but for the payload's own map, which is how hardware has written it since 2025.
 * @throws AttestationError malformed_cose, wrong_algorithm, malformed_payload
 */
export function readDocument(document: Uint8Array): UnverifiedDocument {
  const message = strictDecode(document, "malformed_cose");
  const untagged = message instanceof Tag && message.tag === COSE_SIGN1_TAG ? message.contents : message;
  const cose = coseSchema.safeParse(untagged);
  if (!cose.success) {
    const found = `Expected COSE_Sign1, an array of protected header, empty map, payload and 96 bytes of signature: ${explain(cose.error)}`;
    throw new AttestationError("malformed_cose", found);
  }
  const [header, , payloadBytes, signature] = cose.data;
  if (Buffer.from(header).toString("hex") !== ES384_HEADER) {
    const found = `Expected the protected header {1: -35}, which is ES384, found ${Buffer.from(header).toString("hex")}`;
    throw new AttestationError("wrong_algorithm", found);
  }
  const entries = strictDecode(payloadBytes, "malformed_payload", "outermost map");
  if (!(entries instanceof Map) || ![...entries.keys()].every((key) => typeof key === "string")) {
    throw new AttestationError("malformed_payload", "Expected the payload to be a map with texts as keys");
  }
  const payload = payloadSchema.safeParse(Object.fromEntries(entries));
  if (!payload.success) {
    throw new AttestationError("malformed_payload", `Expected an attestation document: ${explain(payload.error)}`);
  }
  // Sig_structure of RFC 9052, section 4.4.
  const signed = encode(["Signature1", plain(header), new Uint8Array(), plain(payloadBytes)]);
  return { signed, signature, payload: payload.data };
}

/** cbor2 encodes a Buffer as what it inherits from, which is not a promise. */
const plain = (bytes: Uint8Array): Uint8Array => new Uint8Array(bytes);

const STRICT: DecodeOptions = {
  preferMap: true,
  requirePreferred: true,
  rejectDuplicateKeys: true,
  rejectUndefined: true,
  rejectSimple: true,
  rejectFloats: true,
  rejectBigInts: true,
  ignoreGlobalTags: true,
  maxDepth: 8,
};

const INDEFINITE = 31;
const MAP = 5;

function strictDecode(bytes: Uint8Array, code: AttestationErrorCode, indefinite?: "outermost map"): unknown {
  try {
    // Not `rejectStreaming`, which would refuse today's hardware. Without either, cbor2 takes an indefinite text for another key than the
    // same text in one piece, and the last of the two wins.
    for (const [majorType, length, , offset] of new SequenceEvents(bytes, STRICT)) {
      if (length !== INDEFINITE) continue;
      const isOutermost = (offset === 0 && majorType === MAP) || offset === bytes.length - 1;
      if (!indefinite || !isOutermost) throw new Error(`an indefinite length at byte ${offset}`);
    }
    return decode(bytes, STRICT);
  } catch (error) {
    const found = error instanceof Error ? error.message : String(error);
    throw new AttestationError(code, `Expected CBOR in its strict form, found: ${found}`, { cause: error });
  }
}

/** A byte string of a certain size. A Buffer afterwards. */
const bytes = (minimum: number, maximum: number) =>
  z
    .instanceof(Uint8Array)
    .refine(({ byteLength }) => byteLength >= minimum && byteLength <= maximum, {
      error: minimum === maximum ? `expected ${minimum} bytes` : `expected ${minimum} to ${maximum} bytes`,
    })
    .transform((value) => Buffer.from(value));

const coseSchema = z.tuple([
  z.instanceof(Uint8Array),
  z.map(z.never(), z.never()).refine(({ size }) => size === 0, { error: "expected no unprotected header" }),
  z.instanceof(Uint8Array),
  bytes(96, 96),
]);

/** AWS's specification of the document. A key that is not in it is skipped: the payload is signed, and AWS may add one. */
const payloadSchema = z.object({
  module_id: z.string().min(1),
  digest: z.literal("SHA384"),
  /** Unix milliseconds, as far as a Date reaches. */
  timestamp: z.int().positive().max(8.64e15),
  /** A NitroTPM's document has the same root, and `nitrotpm_pcrs` instead: it is not an enclave's. */
  pcrs: z
    .map(z.int().min(0).max(31), bytes(48, 48))
    .refine((pcrs) => [0, 1, 2].every((index) => pcrs.has(index)), { error: "expected PCR0, PCR1 and PCR2" }),
  certificate: bytes(1, 1024),
  /** Root first. */
  cabundle: z.array(bytes(1, 1024)).min(1).max(8),
  public_key: bytes(1, 1024).nullish(),
  user_data: bytes(0, 512).nullish(),
  nonce: bytes(0, 512).nullish(),
});

const explain = ({ issues }: z.ZodError): string =>
  issues.map(({ path, message }) => `${path.map(String).join(".")}: ${message}`).join("; ");
