/** Why a document is refused; stable, for programs. */
export type AttestationErrorCode =
  /** Not a COSE_Sign1 as Nitro writes it. */
  | "malformed_cose"
  /** Another algorithm than ES384. */
  | "wrong_algorithm"
  /** The payload is not the CBOR of an attestation document. */
  | "malformed_payload"
  /** The chain does not begin with the trusted root. */
  | "untrusted_root"
  | "malformed_certificate"
  | "wrong_key_type"
  /** A certificate's issuer is not the subject of the one above it. */
  | "wrong_issuer"
  | "bad_certificate_signature"
  /** Expired, or not valid yet. */
  | "certificate_not_valid"
  /** An authority that is none, or a leaf that is one. */
  | "wrong_certificate_role"
  | "path_too_long"
  | "wrong_key_usage"
  | "unknown_critical_extension"
  /** The document's signature is not its leaf certificate's. */
  | "bad_signature"
  /** Made before its leaf certificate, or in the future. */
  | "wrong_document_time"
  /** PCR0 to 2 are zero: the host can look into the enclave. */
  | "debug_mode"
  | "wrong_nonce"
  | "wrong_pcr";

/** An attestation document proves nothing. The message says what was expected and what was found. */
export class AttestationError extends Error {
  override readonly name = "AttestationError";
  readonly code: AttestationErrorCode;

  constructor(code: AttestationErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
