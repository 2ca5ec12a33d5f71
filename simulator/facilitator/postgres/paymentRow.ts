import type { Network, PaymentPayload, PaymentRequirements } from "@x402/core/types";
import type { Hex } from "../../receipts/types.ts";
import type { SettlementKind } from "../payment.ts";
import type { Patience, PaymentJob, PaymentStatus } from "../PaymentStore.ts";

/** A payment job as PostgreSQL returns it: `bigint` and `numeric` come as text. */
export interface PaymentRow {
  key: string;
  kind: SettlementKind;
  network: Network;
  payer: Hex;
  amount: string;
  facilitator: Hex | null;
  expires_at: string;
  terms: string;
  payload: PaymentPayload;
  requirements: PaymentRequirements;
  status: PaymentStatus;
  patience: Patience;
  tx_hash: Hex | null;
  tx_raw: Hex | null;
  tx_from: Hex | null;
  tx_nonce: string | null;
  attempts: number;
  due_at: string;
  from_block: string;
  reason: string | null;
}

export const PAYMENTS_SCHEMA = `
  CREATE TABLE IF NOT EXISTS payments (
    key TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    payer TEXT NOT NULL,
    amount NUMERIC(78) NOT NULL,
    facilitator TEXT,
    expires_at NUMERIC(78) NOT NULL,
    terms TEXT NOT NULL,
    payload JSON NOT NULL,
    requirements JSON NOT NULL,
    status TEXT NOT NULL,
    patience TEXT NOT NULL,
    tx_hash TEXT,
    tx_raw TEXT,
    tx_from TEXT,
    tx_nonce BIGINT,
    attempts INTEGER NOT NULL DEFAULT 0,
    due_at BIGINT NOT NULL,
    from_block BIGINT NOT NULL,
    reason TEXT,
    leased_by TEXT,
    leased_account TEXT,
    lease_until BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL
  );
  CREATE INDEX IF NOT EXISTS payments_due ON payments (due_at) WHERE status IN ('pending', 'submitted');
  CREATE INDEX IF NOT EXISTS payments_owed ON payments (payer, status);
  CREATE INDEX IF NOT EXISTS payments_sent ON payments (tx_from, tx_nonce) WHERE status = 'submitted';`;

export function paymentJobOf(row: PaymentRow): PaymentJob {
  return {
    key: row.key,
    kind: row.kind,
    payer: row.payer,
    amountWei: BigInt(row.amount),
    ...(row.facilitator !== null && { facilitator: row.facilitator }),
    expiresAt: BigInt(row.expires_at),
    payload: row.payload,
    requirements: row.requirements,
    status: row.status,
    patience: row.patience,
    attempts: row.attempts,
    dueAtMs: Number(row.due_at),
    fromBlock: Number(row.from_block),
    ...(row.tx_hash !== null && {
      transaction: {
        hash: row.tx_hash,
        ...(row.tx_raw !== null && { raw: row.tx_raw }),
        ...(row.tx_from !== null && { from: row.tx_from }),
        ...(row.tx_nonce !== null && { nonce: Number(row.tx_nonce) }),
      },
    }),
    ...(row.reason !== null && { reason: row.reason }),
  };
}
