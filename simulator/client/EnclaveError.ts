import type { Hex } from "../receipts/types.ts";

/** Why an enclave is not used. */
export type EnclaveCode =
  /** the endpoint is not an HTTPS URL */
  | "insecure_endpoint"
  /** the TLS peer has another certificate than the attested one */
  | "certificate_mismatch"
  /** nobody answers at the endpoint, or something else than the gateway of an enclave does */
  | "unreachable"
  /** what the registry says of the enclave does not fit together */
  | "registry_mismatch"
  | "unknown_image"
  | "test_root"
  | "verifier_removed"
  | "not_live"
  | "stale_heartbeat"
  | "no_sealing_key"
  /** there is no fresh document */
  | "attestation_missing"
  /** the fresh document is not a good one */
  | "attestation_invalid"
  /** the document was made for somebody else's question */
  | "nonce_mismatch"
  /** the document is of another image than the registered one */
  | "image_mismatch"
  /** the document binds other keys than the registered ones */
  | "key_mismatch";

/** An enclave that is refused. Nothing was paid to it. */
export class EnclaveError extends Error {
  override readonly name = "EnclaveError";
  readonly code: EnclaveCode;

  constructor(code: EnclaveCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Why each enclave that could have answered did not. Nothing was paid. */
export class NoEnclaveError extends Error {
  override readonly name = "NoEnclaveError";
  readonly code = "no_enclave";
  readonly refusals: ReadonlyMap<Hex, Error>;

  constructor(refusals: ReadonlyMap<Hex, Error>) {
    const [first] = refusals.values();
    super(
      refusals.size === 0
        ? "No enclave in service fits the policy"
        : `None of ${refusals.size} enclaves will do: ${[...refusals].map(([id, why]) => `${id}: ${String(why)}`).join("; ")}`,
      { cause: first },
    );
    this.refusals = refusals;
  }
}
