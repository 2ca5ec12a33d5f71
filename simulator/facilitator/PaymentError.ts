/** What went wrong with a payment beyond what the x402 scheme itself refuses (that comes as `invalidReason` of a response). */
export type PaymentErrorCode =
  | `invalid_batch_settlement_evm_${string}`
  | "invalid_payload"
  | "unsupported_network"
  | "amount_not_authorized"
  | "payment_conflict"
  | "approval_refused"
  | "lease_lost"
  | "stopped";

/** A payment that is malformed, not for this facilitator, or already known with other terms. */
export class PaymentError extends Error {
  override readonly name = "PaymentError";
  readonly code: PaymentErrorCode;

  constructor(code: PaymentErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
