import * as cbor from "./cbor.ts";

/** The fields of an attestation document's payload. */
export interface AttestationFields {
  moduleId: string;
  /** Unix milliseconds. */
  timestamp: number;
  /** 48 bytes by index, in the order to write. */
  pcrs: ReadonlyMap<number, Uint8Array>;
  /** DER of the leaf. */
  certificate: Uint8Array;
  /** DER of each authority, root first. */
  cabundle: readonly Uint8Array[];
  publicKey?: Uint8Array | undefined;
  userData?: Uint8Array | undefined;
  nonce?: Uint8Array | undefined;
}

/** The payload's keys and values, encoded, in the order Nitro hardware writes them. */
export function attestationEntries(fields: AttestationFields): cbor.CborEntry[] {
  return [
    [cbor.text("module_id"), cbor.text(fields.moduleId)],
    [cbor.text("digest"), cbor.text("SHA384")],
    [cbor.text("timestamp"), cbor.unsigned64(fields.timestamp)],
    [cbor.text("pcrs"), cbor.map([...fields.pcrs].map(([index, pcr]) => [cbor.unsigned(index), cbor.bytes(pcr)]))],
    [cbor.text("certificate"), cbor.bytes(fields.certificate)],
    [cbor.text("cabundle"), cbor.array(...fields.cabundle.map(cbor.bytes))],
    [cbor.text("public_key"), bytesOrNull(fields.publicKey)],
    [cbor.text("user_data"), bytesOrNull(fields.userData)],
    [cbor.text("nonce"), bytesOrNull(fields.nonce)],
  ];
}

/** The payload as hardware writes it: an indefinite map since 2025, a definite one before. */
export const attestationPayload = (fields: AttestationFields, form: "indefinite" | "definite" = "indefinite"): Buffer =>
  (form === "indefinite" ? cbor.indefiniteMap : cbor.map)(attestationEntries(fields));

const bytesOrNull = (value: Uint8Array | undefined): Buffer => (value ? cbor.bytes(value) : cbor.CBOR_NULL);
