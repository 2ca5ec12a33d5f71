import type { SignedReceipt } from "../receipts/types.ts";

/** Why an answer is not handed on. */
export type VerificationCode =
  | "unpaid_answer"
  | "missing_receipt"
  | "unreadable_answer"
  | "unsealed_answer"
  | "unsigned_content"
  | "unknown_signer"
  | "input_mismatch"
  | "output_mismatch"
  | "payer_mismatch"
  | "fee_mismatch"
  /** more tokens than the request has bytes, or than it allows the answer */
  | "implausible_usage"
  | "request_id_mismatch"
  /** what the gateway says of a payment channel is not what vouchers and receipts say */
  | "channel_state_mismatch"
  /** PAYMENT-RESPONSE says something else than the payment and the receipt */
  | "payment_response_mismatch"
  | "model_mismatch"
  | "mode_refused"
  | "served_at_out_of_range"
  /** the enclave was not live, by the registry, when it answered or is not now */
  | "enclave_not_live"
  /** OpenGradient's fields, the enclave's second signature, are missing or don't fit */
  | "missing_tee_fields"
  | "tee_id_mismatch"
  | "tee_key_invalid"
  | "tee_hash_mismatch"
  | "tee_timestamp_mismatch"
  | "tee_signature_invalid"
  /** a proof was asked for, and the model's commitment is not attested, or was proven wrong */
  | "zk_not_usable";

/** An answer that its receipt does not prove. It was paid for all the same: the receipt, if any, is the evidence. */
export class VerificationError extends Error {
  override readonly name = "VerificationError";
  readonly code: VerificationCode;
  readonly receipt?: SignedReceipt;

  constructor(code: VerificationCode, message: string, options: ErrorOptions & { receipt?: SignedReceipt } = {}) {
    super(message, options);
    this.code = code;
    if (options.receipt !== undefined) this.receipt = options.receipt;
  }
}

/** What the gateway asks for is more, or something else, than may be paid. Nothing was signed. */
export class PaymentDeclinedError extends Error {
  override readonly name = "PaymentDeclinedError";
  readonly code = "payment_declined";
}

/** A request cannot be sealed as it is asked to be. Nothing was sent. */
export class SealingError extends Error {
  override readonly name = "SealingError";
  readonly code = "cannot_seal";
}

/** A receipt was not settled in time. It stays good: it can be waited for again. */
export class SettlementTimeoutError extends Error {
  override readonly name = "SettlementTimeoutError";
  readonly code = "settlement_timeout";
}

/** Asked for a request this client has no receipt of. */
export class UnknownReceiptError extends Error {
  override readonly name = "UnknownReceiptError";
  readonly code = "unknown_receipt";
}

/** An error answer of the gateway. */
export class GatewayRefusedError extends Error {
  override readonly name = "GatewayRefusedError";
  readonly code: string;
  readonly status: number;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** Why a proof is none. */
export type ProofCode =
  /** the node says that there will be none */
  | "proof_failed"
  | "proof_unreadable"
  /** it is about other tensors, or another model, than the receipt */
  | "proof_mismatch"
  /** the key it comes with is not the one of the shape's verifier on chain */
  | "verifying_key_mismatch"
  | "proof_invalid";

/** There is no proof of an answer, or a false one. The receipt stands: it says who answered. */
export class ProofError extends Error {
  override readonly name = "ProofError";
  readonly code: ProofCode;

  constructor(code: ProofCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** A proof did not come in time. It can be waited for again. */
export class ProofTimeoutError extends Error {
  override readonly name = "ProofTimeoutError";
  readonly code = "proof_timeout";
}
