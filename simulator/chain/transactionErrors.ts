/** The account cannot pay for the transaction. */
export class InsufficientFundsError extends Error {
  override readonly name = "InsufficientFundsError";
  readonly code = "insufficient_funds";
}

/** The node will not take the transaction, whatever its nonce and fee. */
export class TransactionRejectedError extends Error {
  override readonly name = "TransactionRejectedError";
  readonly code = "transaction_rejected";
}

/** Not known to be mined within the bound. It may still be: one of `hashes` tells. */
export class TransactionTimeoutError extends Error {
  override readonly name = "TransactionTimeoutError";
  readonly code = "transaction_timeout";
  /** Every form in which it was sent (fee bumps); empty when it never was. */
  readonly hashes: readonly string[];

  constructor(message: string, hashes: readonly string[], options?: ErrorOptions) {
    super(message, options);
    this.hashes = hashes;
  }
}

/** The submitter was stopped first. A transaction already sent may still be mined. */
export class SubmitterStoppedError extends Error {
  override readonly name = "SubmitterStoppedError";
  readonly code = "submitter_stopped";
}
