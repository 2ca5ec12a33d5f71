import type { Hex } from "../receipts/types.ts";

/** Which enclaves a client is content with. What the registry asks of them it asks besides. */
export interface EnclavePolicy {
  /** Type of the registry. Default 0, LLMProxy. */
  teeType?: number;
  /** Images that will do, keccak256(PCR0 ‖ PCR1 ‖ PCR2): recommended. Default: any that the registry approves. */
  pcrHashes?: readonly Hex[];
  /** Lets roots vouch that are not AWS's: such enclaves prove the protocol, not hardware. Default false. */
  allowTestRoot?: boolean;
  /** Seconds since the enclave last said that it lives. Default 1,800. */
  maxHeartbeatAgeSeconds?: number;
  /** Lets endpoints on this machine do without TLS, for tests. Default false. */
  allowPlainLoopback?: boolean;
  /** How far clocks of chain and enclaves may be from this one. Default 300. */
  clockToleranceSeconds?: number;
}

export const DEFAULT_POLICY = {
  teeType: 0,
  allowTestRoot: false,
  maxHeartbeatAgeSeconds: 1_800,
  allowPlainLoopback: false,
  clockToleranceSeconds: 300,
} satisfies EnclavePolicy;

/** keccak256 of the DER of AWS Nitro Enclaves' root certificate, G1. */
export const AWS_ROOT: Hex = "0x311d96fcd5c5e0ccf72ef548e2ea7d4c0cd53ad7c4cc49e67471aed41d61f185";

/** What the registry says of an enclave. */
export interface RegisteredEnclave {
  /** keccak256 of `signingKey`. */
  teeId: Hex;
  /** Signs its receipts. */
  key: Hex;
  /** Whose bond stands behind it. */
  operator: Hex;
  /** Whom its answers are paid to. */
  payout: Hex;
  /** `https://host:port`. */
  endpoint: string;
  /** RSA, SubjectPublicKeyInfo DER. */
  signingKey: Buffer;
  /** DER. */
  tlsCertificate: Buffer;
  /** X25519, 32 bytes. */
  sealingKey: Buffer;
  /** keccak256(PCR0 ‖ PCR1 ‖ PCR2) of its image. */
  pcrHash: Hex;
  /** Unix seconds: from its registration until its last attestation wears out. */
  attestedAt: number;
  liveUntil: number;
  heartbeatAt: number;
  /** keccak256 of the root certificate that vouches for it, and whether its verifier is still in use. */
  root: Hex;
  verifierInUse: boolean;
}
