import { z } from "zod";
import type { SettlementHasher } from "../receipts/eip712.ts";
import { requestIdForPayment, type PaymentKey } from "../receipts/requestId.ts";
import { recoverAddress } from "../receipts/secp256k1.ts";
import { addressSchema, signedReceiptSchema, type Hex, type Mode, type SignedReceipt } from "../receipts/types.ts";
import { VerificationError } from "./ClientError.ts";
import type { ExpectedFee } from "./expectedFee.ts";
import type { SignerDirectory } from "./SignerDirectory.ts";

/** What comes with an answer under `opengradient`. Operator and signer are for people: both follow from the signature. */
const proofSchema = z.looseObject({ receipt: signedReceiptSchema, operator: addressSchema, signer: addressSchema });

/** What the client knows itself about the receipt of an answer. */
export interface ExpectedReceipt {
  payment: PaymentKey;
  /** What the fee has to be, or may be, wei. */
  fee: ExpectedFee;
  inputHash: Hex;
  outputHash: Hex;
  /** The version the request meant, where the client knows it. */
  modelId?: Hex;
  /** Verification modes that will do. */
  modes: readonly Mode[];
  /** Unix seconds between which it may have been served. */
  servedFrom: bigint;
  servedTo: bigint;
}

/** A receipt that proves its answer, with who stands behind it. */
export interface CheckedReceipt {
  signed: SignedReceipt;
  signer: Hex;
  operator: Hex;
}

/**
 * Checks a receipt against everything the client knows itself; nothing is taken from the answer but the receipt.
 * @param proof what the answer carries under `opengradient`.
 * @throws VerificationError
 */
export async function checkReceipt(
  proof: unknown,
  expected: ExpectedReceipt,
  hasher: SettlementHasher,
  signers: SignerDirectory,
): Promise<CheckedReceipt> {
  const parsed = proofSchema.safeParse(proof);
  if (!parsed.success) throw new VerificationError("missing_receipt", "The answer carries no readable receipt");
  const signed = parsed.data.receipt;
  const { receipt, signature } = signed;
  const require = (ok: boolean, code: VerificationError["code"], message: string): void => {
    if (!ok) throw new VerificationError(code, message, { receipt: signed });
  };
  const differs = (name: string, mine: unknown, found: unknown): string =>
    `Expected the receipt's ${name} to be ${String(mine)}, found ${String(found)}`;

  const { payment, fee, inputHash, outputHash, modelId, modes, servedFrom, servedTo } = expected;
  require(receipt.payer === payment.payer, "payer_mismatch", differs("payer", payment.payer, receipt.payer));
  const range = fee.leastWei === fee.mostWei ? fee.mostWei : `${fee.leastWei} to ${fee.mostWei}`;
  require(fee.leastWei <= receipt.fee && receipt.fee <= fee.mostWei, "fee_mismatch", differs(
    "fee",
    range,
    receipt.fee,
  ));
  require(receipt.inputHash === inputHash, "input_mismatch", differs("input hash", inputHash, receipt.inputHash));
  require(receipt.outputHash === outputHash, "output_mismatch", differs("output hash", outputHash, receipt.outputHash));
  require(modelId === undefined || receipt.modelId === modelId, "model_mismatch", differs(
    "model",
    modelId,
    receipt.modelId,
  ));
  require(modes.includes(receipt.mode), "mode_refused", differs("mode", modes.join(" or "), receipt.mode));
  require(servedFrom <= receipt.servedAt && receipt.servedAt <= servedTo, "served_at_out_of_range", differs(
    "time",
    `${servedFrom}…${servedTo}`,
    receipt.servedAt,
  ));

  const signer = recoverAddress(hasher.receiptDigest(receipt), signature);
  const operator = signer && (await signers.operatorOf(signer, receipt.mode, receipt.servedAt));
  if (signer === undefined || operator === undefined) {
    const who = signer ?? "nobody";
    throw new VerificationError("unknown_signer", `The receipt is signed by ${who}, who may not sign it`, {
      receipt: signed,
    });
  }
  const id = requestIdForPayment(hasher.domain, operator, payment);
  require(receipt.requestId === id, "request_id_mismatch", differs("request id", id, receipt.requestId));
  return { signed, signer, operator };
}
