import { verify } from "node:crypto";

import { keccak256 } from "../receipts/keccak.ts";
import type { Hex } from "../receipts/types.ts";
import { AttestationError } from "./AttestationError.ts";
import { type AttestationPayload, readDocument } from "./readDocument.ts";
import { type VerifiedCertificate, verifyCertificates } from "./verifyCertificates.ts";

/** SHA-256 of the DER of AWS Nitro Enclaves Root-G1, as AWS publishes it. */
export const AWS_ROOT_FINGERPRINT = "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b";

export interface VerifyOptions {
  /** SHA-256 of the trusted root's DER, lower-case hexadecimal. Default: AWS's. */
  rootFingerprint?: string;
  /** When it has to be good: unix milliseconds, or "document" for when it says it was made. Default: now. */
  at?: number | "document";
  /** The nonce it has to carry, exactly. */
  nonce?: Uint8Array;
  /** What registers have to be, 48 bytes each. */
  pcrs?: ReadonlyMap<number, Uint8Array>;
  /** Takes documents of debug-mode enclaves too, which prove nothing about what runs. */
  allowDebug?: boolean;
}

/** What a genuine document says. */
export interface VerifiedDocument {
  moduleId: string;
  /** When it was made, unix milliseconds. */
  timestamp: number;
  /** 48 bytes by index. */
  pcrs: ReadonlyMap<number, Buffer>;
  /** keccak256(PCR0 ‖ PCR1 ‖ PCR2): what a registry approves an image by. */
  pcrHash: Hex;
  /** All of PCR0 to 2 are zero. */
  debug: boolean;
  publicKey: Buffer | undefined;
  userData: Buffer | undefined;
  nonce: Buffer | undefined;
  /** Root first, leaf last. */
  certificates: readonly VerifiedCertificate[];
  /** SHA-256 of the root's DER. */
  rootFingerprint: string;
  /** Unix seconds, inclusive: the earliest end of the certificates. */
  validUntil: number;
}

/** How far the clocks of an enclave and of who looks may be apart, as in OpenGradient's registry. */
const FUTURE_SKEW_MS = 60_000;

/**
 * Verifies an attestation document off chain, with libraries that share nothing with the code that writes the simulator's: cbor2, node:crypto and
 * @peculiar/x509. It refuses on any doubt.
 * @param document COSE_Sign1, tagged or not.
 * @throws AttestationError
 */
export function verifyDocument(document: Uint8Array, options: VerifyOptions = {}): VerifiedDocument {
  const { rootFingerprint = AWS_ROOT_FINGERPRINT } = options;
  const { signed, signature, payload } = readDocument(document);
  const at = options.at === "document" ? payload.timestamp : (options.at ?? Date.now());
  // A comparison with NaN refuses nothing.
  if (!Number.isFinite(at)) throw new RangeError(`Expected a time in unix milliseconds, found ${at}`);
  const chain = [...payload.cabundle, payload.certificate];
  const { certificates, leafKey } = verifyCertificates(chain, rootFingerprint, Math.floor(at / 1000));
  if (!verify("sha384", signed, { key: leafKey, dsaEncoding: "ieee-p1363" }, signature)) {
    throw new AttestationError("bad_signature", "Expected the document to be signed by its leaf certificate's key");
  }
  requireDocumentTime(payload.timestamp, certificates.at(-1)!, at);

  const [pcr0, pcr1, pcr2] = [0, 1, 2].map((index) => payload.pcrs.get(index)!);
  const measurements = Buffer.concat([pcr0!, pcr1!, pcr2!]);
  const debug = measurements.every((byte) => byte === 0);
  if (debug && !options.allowDebug) {
    const found = "Expected measurements of what runs, found zeros in PCR0 to 2: the enclave is in debug mode";
    throw new AttestationError("debug_mode", found);
  }
  requireExpected(payload, options);
  return {
    moduleId: payload.module_id,
    timestamp: payload.timestamp,
    pcrs: payload.pcrs,
    pcrHash: keccak256(measurements),
    debug,
    publicKey: payload.public_key ?? undefined,
    userData: payload.user_data ?? undefined,
    nonce: payload.nonce ?? undefined,
    certificates,
    rootFingerprint,
    validUntil: Math.min(...certificates.map(({ notAfter }) => notAfter)),
  };
}

function requireDocumentTime(timestamp: number, leaf: VerifiedCertificate, at: number): void {
  const from = leaf.notBefore * 1000;
  const until = Math.min((leaf.notAfter + 1) * 1000 - 1, at + FUTURE_SKEW_MS);
  if (timestamp < from || timestamp > until) {
    const window = `${new Date(from).toISOString()} to ${new Date(until).toISOString()}`;
    const found = `Expected a document made from ${window}, found one of ${new Date(timestamp).toISOString()}`;
    throw new AttestationError("wrong_document_time", found);
  }
}

function requireExpected({ nonce, pcrs }: AttestationPayload, expected: VerifyOptions): void {
  if (expected.nonce && !nonce?.equals(expected.nonce)) {
    const found = `Expected the nonce ${hex(expected.nonce)}, found ${nonce ? hex(nonce) : "none"}`;
    throw new AttestationError("wrong_nonce", found);
  }
  for (const [index, value] of expected.pcrs ?? []) {
    const pcr = pcrs.get(index);
    if (pcr?.equals(value)) continue;
    throw new AttestationError("wrong_pcr", `Expected PCR${index} ${hex(value)}, found ${pcr ? hex(pcr) : "none"}`);
  }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
