/** Why a channel does not pay for a request: as `@x402/evm` has it, where it has it. */
export const REASONS = {
  /** the client's idea of what was charged differs; the answer states the server's */
  cumulative: "invalid_batch_settlement_evm_cumulative_amount_mismatch",
  belowClaimed: "invalid_batch_settlement_evm_cumulative_below_claimed",
  balance: "invalid_batch_settlement_evm_cumulative_exceeds_balance",
  signature: "invalid_batch_settlement_evm_voucher_signature",
  busy: "invalid_batch_settlement_evm_channel_busy",
  unknown: "invalid_batch_settlement_evm_channel_not_found",
  channelId: "invalid_batch_settlement_evm_channel_id_mismatch",
  receiver: "invalid_batch_settlement_evm_receiver_mismatch",
  authorizer: "invalid_batch_settlement_evm_receiver_authorizer_mismatch",
  token: "invalid_batch_settlement_evm_token_mismatch",
  delay: "invalid_batch_settlement_evm_withdraw_delay_mismatch",
  deposit: "invalid_batch_settlement_evm_deposit_transaction_failed",
  depositTooSmall: "invalid_batch_settlement_evm_deposit_below_min_deposit",
  refund: "invalid_batch_settlement_evm_refund_transaction_failed",
  refundAmount: "invalid_batch_settlement_evm_refund_amount_invalid",
  refundNothing: "invalid_batch_settlement_evm_refund_no_balance",
  unavailable: "invalid_batch_settlement_evm_verification_state_unavailable",
  /** ours: the payer is taking its money out */
  withdrawing: "invalid_batch_settlement_evm_withdrawal_pending",
  terms: "no_matching_requirements",
  payload: "invalid_payload",
} as const;

export type ChannelReason = (typeof REASONS)[keyof typeof REASONS];
