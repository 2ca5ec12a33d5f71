import { constants, createPublicKey, verify } from "node:crypto";
import { z } from "zod";
import { keccak256 } from "../receipts/keccak.ts";
import type { Hex, Receipt, SignedReceipt } from "../receipts/types.ts";
import { VerificationError } from "./ClientError.ts";

/** The RSA key of an enclave. */
export interface TeeKey {
  /** keccak256 of `signingKey`. */
  teeId: Hex;
  /** SubjectPublicKeyInfo, DER. */
  signingKey: Uint8Array;
}

/** OpenGradient's fields of an answer, or of a stream's last chunk. */
export const TEE_FIELDS = ["tee_signature", "tee_request_hash", "tee_output_hash", "tee_timestamp", "tee_id"] as const;

const hash = z
  .string()
  .regex(/^(0x)?[0-9a-f]{64}$/)
  .transform((text) => `0x${text.replace(/^0x/, "")}`);
const teeSchema = z.looseObject({
  tee_signature: z.base64(),
  tee_request_hash: hash,
  tee_output_hash: hash,
  tee_timestamp: z.int().min(0),
  tee_id: hash,
});

/**
 * Checks OpenGradient's fields of an answer against its receipt, and against what was asked and answered.
 * @param hashes recomputed from the request and the answer. The receipt states them too, blinded if the request was sealed.
 * @throws VerificationError
 */
export function checkTeeAnswer(
  answer: Record<string, unknown>,
  signed: SignedReceipt,
  key: TeeKey,
  hashes: Pick<Receipt, "inputHash" | "outputHash">,
): void {
  const refuse = (code: VerificationError["code"], message: string): VerificationError =>
    new VerificationError(code, message, { receipt: signed });
  const parsed = teeSchema.safeParse(answer);
  if (!parsed.success) {
    throw refuse("missing_tee_fields", `The answer carries no readable tee_* fields: ${z.prettifyError(parsed.error)}`);
  }
  const { inputHash, outputHash } = hashes;
  const { servedAt } = signed.receipt;
  const { tee_id, tee_request_hash, tee_output_hash, tee_timestamp, tee_signature } = parsed.data;
  if (tee_id !== key.teeId) throw refuse("tee_id_mismatch", `Expected the enclave ${key.teeId}, found ${tee_id}`);
  if (tee_request_hash !== inputHash || tee_output_hash !== outputHash) {
    throw refuse(
      "tee_hash_mismatch",
      `Expected the hashes ${inputHash}, ${outputHash}, found ${tee_request_hash}, ${tee_output_hash}`,
    );
  }
  if (BigInt(tee_timestamp) !== servedAt) {
    throw refuse("tee_timestamp_mismatch", `Expected the receipt's time ${servedAt}, found ${tee_timestamp}`);
  }
  const timestamp = servedAt.toString(16).padStart(64, "0");
  const message = keccak256(Buffer.from(inputHash.slice(2) + outputHash.slice(2) + timestamp, "hex"));
  const good = verify(
    "sha256",
    Buffer.from(message.slice(2), "hex"),
    {
      key: createPublicKey({ key: Buffer.from(key.signingKey), format: "der", type: "spki" }),
      padding: constants.RSA_PKCS1_PSS_PADDING,
      saltLength: 32,
    },
    Buffer.from(tee_signature, "base64"),
  );
  if (!good) throw refuse("tee_signature_invalid", "The enclave's RSA key did not sign this answer");
}
