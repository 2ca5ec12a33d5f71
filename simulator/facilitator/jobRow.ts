import type { Network, PaymentPayload, PaymentRequirements } from "@x402/core/types";
import type { Hex } from "../receipts/types.ts";
import type { SettlementKind } from "./payment.ts";
import type { Patience, PaymentJob, PaymentStatus } from "./PaymentStore.ts";

/** A payment job as SQLite keeps it. */
export interface JobRow {
  key: string;
  kind: SettlementKind;
  network: Network;
  payer: Hex;
  amount: string;
  facilitator: Hex | null;
  expires_at: string;
  terms: string;
  payload: string;
  requirements: string;
  status: PaymentStatus;
  patience: Patience;
  tx_hash: Hex | null;
  tx_raw: Hex | null;
  tx_from: Hex | null;
  tx_nonce: number | null;
  attempts: number;
  due_at: number;
  from_block: number;
  reason: string | null;
}

/** `expires_at` is in seconds and padded, so that texts compare as numbers: a uint256 is more than SQLite's integers hold. */
export const JOBS_SCHEMA = `
  CREATE TABLE IF NOT EXISTS jobs (
    key TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    payer TEXT NOT NULL,
    amount TEXT NOT NULL,
    facilitator TEXT,
    expires_at TEXT NOT NULL,
    terms TEXT NOT NULL,
    payload TEXT NOT NULL,
    requirements TEXT NOT NULL,
    status TEXT NOT NULL,
    patience TEXT NOT NULL,
    tx_hash TEXT,
    tx_raw TEXT,
    tx_from TEXT,
    tx_nonce INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0,
    due_at INTEGER NOT NULL,
    from_block INTEGER NOT NULL,
    reason TEXT,
    leased_by TEXT,
    leased_account TEXT,
    lease_until INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS jobs_due ON jobs (due_at) WHERE status IN ('pending', 'submitted');
  CREATE INDEX IF NOT EXISTS jobs_owed ON jobs (payer, status);`;

const PADDED = 78;

/** Seconds as `expires_at` has them. */
export const padded = (value: bigint): string => value.toString().padStart(PADDED, "0");

export function jobOf(row: JobRow): PaymentJob {
  return {
    key: row.key,
    kind: row.kind,
    payer: row.payer,
    amountWei: BigInt(row.amount),
    ...(row.facilitator !== null && { facilitator: row.facilitator }),
    expiresAt: BigInt(row.expires_at),
    payload: JSON.parse(row.payload) as PaymentPayload,
    requirements: JSON.parse(row.requirements) as PaymentRequirements,
    status: row.status,
    patience: row.patience,
    attempts: row.attempts,
    dueAtMs: row.due_at,
    fromBlock: row.from_block,
    ...(row.tx_hash !== null && {
      transaction: {
        hash: row.tx_hash,
        ...(row.tx_raw !== null && { raw: row.tx_raw }),
        ...(row.tx_from !== null && { from: row.tx_from }),
        ...(row.tx_nonce !== null && { nonce: row.tx_nonce }),
      },
    }),
    ...(row.reason !== null && { reason: row.reason }),
  };
}
