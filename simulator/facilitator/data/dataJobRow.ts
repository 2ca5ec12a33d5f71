import { z } from "zod";
import { SETTLEMENT_TYPES, type SettlementType } from "../../receipts/settlementType.ts";
import { addressSchema, bytes32Schema, type Hex } from "../../receipts/types.ts";
import { DataConflictError, type DataJob, type DataStatus, type NewDataJob, type UsageDay } from "./DataJobStore.ts";

/** A data job as both stores keep it. */
export interface DataJobRow {
  id: string;
  operator: string;
  type: SettlementType;
  payment: string;
  /** The statement's hash: it may be reported once. */
  statement_hash: string;
  statement: string;
  content: string | null;
  status: DataStatus;
  blob_id: Hex | null;
  error: string | null;
  attempts: number;
  created_at: number | string;
  updated_at: number | string;
}

const statementSchema = z.object({
  teeId: bytes32Schema,
  inputHash: bytes32Schema,
  outputHash: bytes32Schema,
  timestamp: z.string().transform(BigInt),
  signature: z.string(),
});

const contentSchema = z.object({
  input: z.string(),
  output: z.string(),
  timestamp: z.number().exactOptional(),
  ethAddress: addressSchema.exactOptional(),
});

export const statementText = ({ statement }: NewDataJob): string =>
  JSON.stringify({ ...statement, timestamp: statement.timestamp.toString() });

export function dataJobOf(row: DataJobRow): DataJob {
  return {
    id: row.id,
    operator: row.operator,
    type: row.type,
    payment: row.payment,
    statement: statementSchema.parse(JSON.parse(row.statement)),
    ...(row.content !== null && { content: contentSchema.parse(JSON.parse(row.content)) }),
    status: row.status,
    ...(row.blob_id !== null && { blobId: row.blob_id }),
    ...(row.error !== null && { error: row.error }),
    attempts: row.attempts,
    createdAtMs: Number(row.created_at),
    updatedAtMs: Number(row.updated_at),
  };
}

/** @throws DataConflictError unless `found` is what `job` would have become. */
export function requireSameJob(found: DataJobRow, job: NewDataJob, statementHash: string): void {
  if (found.id !== job.id) {
    throw new DataConflictError("statement_already_reported", "This statement was reported for another payment");
  }
  if (found.statement_hash === statementHash && found.operator === job.operator && found.type === job.type) return;
  throw new DataConflictError("payment_already_reported", "This payment was reported with another statement or type");
}

export interface UsageRow {
  day: string;
  payments: number | string;
  /** Amounts of the day, joined by spaces: they are more than a database's integers hold. */
  amounts: string | null;
  input_tokens: number | string;
  output_tokens: number | string;
}

export interface SettlementCountRow {
  day: string;
  type: SettlementType;
  n: number | string;
}

export function usageDays(usage: readonly UsageRow[], settled: readonly SettlementCountRow[]): UsageDay[] {
  const none = Object.fromEntries(SETTLEMENT_TYPES.map((type) => [type, 0])) as UsageDay["settlements"];
  const days = new Map<string, UsageDay>();
  const dayOf = (day: string): UsageDay => {
    const found = days.get(day) ?? {
      day,
      payments: 0,
      chargedWei: 0n,
      inputTokens: 0,
      outputTokens: 0,
      settlements: { ...none },
    };
    days.set(day, found);
    return found;
  };
  for (const { day, payments, amounts, input_tokens: input, output_tokens: output } of usage) {
    const chargedWei = (amounts ?? "").split(" ").reduce((sum, amount) => sum + BigInt(amount), 0n);
    Object.assign(dayOf(day), {
      payments: Number(payments),
      chargedWei,
      inputTokens: Number(input),
      outputTokens: Number(output),
    });
  }
  for (const { day, type, n } of settled) dayOf(day).settlements[type] = Number(n);
  return [...days.values()].sort((a, b) => (a.day < b.day ? -1 : 1));
}
