import { checkTeeFields, TeeFieldsError, teeOutputHash, type ExpectedStatement } from "../receipts/checkTeeFields.ts";
import type { RequestKind } from "../receipts/hashes.ts";
import type { Hex, SignedReceipt } from "../receipts/types.ts";
import { VerificationError } from "./ClientError.ts";

/** The RSA key of an enclave. */
export interface TeeKey {
  /** keccak256 of `signingKey`. */
  teeId: Hex;
  /** SubjectPublicKeyInfo, DER. */
  signingKey: Uint8Array;
}

/** OpenGradient's fields of an answer, or of a stream's last chunk. */
export const TEE_FIELDS = [
  "tee_signature",
  "tee_request_hash",
  "tee_output_hash",
  "tee_timestamp",
  "tee_id",
  "tee_merkle",
] as const;

/**
 * Checks OpenGradient's fields of an answer against its receipt, and against what was asked and answered.
 * @param hashes recomputed from the request and the answer. The receipt states them too, blinded if the request was sealed.
 * @throws VerificationError
 */
export function checkTeeAnswer(
  answer: Record<string, unknown>,
  signed: SignedReceipt,
  { teeId, signingKey }: TeeKey,
  hashes: Pick<ExpectedStatement, "requestHash" | "outputHash">,
): void {
  const expected = { ...hashes, timestamp: signed.receipt.servedAt };
  refusing(() => checkTeeFields(answer, expected, { teeId, publicKeyDer: signingKey }), { receipt: signed });
}

/**
 * `tee_output_hash` of a whole answer.
 * @param text the body of the answer, as it came.
 * @throws VerificationError
 */
export const teeOutputHashOf = (kind: RequestKind, text: string): Hex => refusing(() => teeOutputHash(kind, text));

function refusing<T>(check: () => T, options: { receipt?: SignedReceipt } = {}): T {
  try {
    return check();
  } catch (error) {
    if (!(error instanceof TeeFieldsError)) throw error;
    throw new VerificationError(error.code, error.message, { ...options, cause: error });
  }
}
