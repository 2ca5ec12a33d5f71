import type { Signer } from "../receipts/secp256k1.ts";
import type { Hex } from "../receipts/types.ts";

/** What a node needs of the enclave it runs in: its keys by what they do, never the keys themselves. */
export interface EnclaveIdentity {
  /** keccak256 of `publicKeyDer`: OpenGradient's name for a TEE. */
  readonly teeId: Hex;
  /** Signs receipts. Its public key begins the attested `public_key`. */
  readonly signer: Signer;
  /** The RSA-2048 signing key as SubjectPublicKeyInfo, 294 bytes. Its SHA-256 ends the attested `user_data`. */
  readonly publicKeyDer: Buffer;
  /**
   * RSASSA-PSS with SHA-256, MGF1 and a salt of 32 bytes, over the bytes of `hash`.
   * @param hash 32 bytes, by OpenGradient's rule keccak256(inputHash ‖ outputHash ‖ uint256 timestamp).
   * @returns 256 bytes.
   */
  signTeeMessage(hash: Uint8Array): Promise<Buffer>;
}
