import type { Hex } from "../../receipts/types.ts";
import type { SettlementType } from "../../receipts/settlementType.ts";

/** What an enclave says of one answer, with its signature. */
export interface DataStatement {
  teeId: Hex;
  inputHash: Hex;
  outputHash: Hex;
  /** Unix seconds. */
  timestamp: bigint;
  /** RSASSA-PSS, base64. */
  signature: string;
}

/** What is published of an `individual` settlement besides. */
export interface DataContent {
  input: string;
  output: string;
  /** Unix seconds, as the sender has it. */
  timestamp?: number;
  /** Whose request it was. */
  ethAddress?: Hex;
}

/** queued: to be published. processing: somebody is at it. succeeded: as public as its type asks for. failed: given up. */
export type DataStatus = "queued" | "processing" | "succeeded" | "failed";

export interface NewDataJob {
  id: string;
  /** Name of the operator that reported it. */
  operator: string;
  type: SettlementType;
  /** Key of the payment it belongs to. */
  payment: string;
  statement: DataStatement;
  content?: DataContent;
  nowMs: number;
}

export interface DataJob extends Omit<NewDataJob, "nowMs"> {
  status: DataStatus;
  /** The Walrus blob it is in. */
  blobId?: Hex;
  /** Why the last attempt failed. */
  error?: string;
  attempts: number;
  createdAtMs: number;
  updatedAtMs: number;
}

export interface DataClaim {
  type: SettlementType;
  limit: number;
  nowMs: number;
  leaseMs: number;
}

/** A payment that an operator had settled here. */
export interface UsageEntry {
  operator: string;
  payment: string;
  amountWei: bigint;
  inputTokens: number;
  outputTokens: number;
  atMs: number;
}

/** One operator's day, UTC. */
export interface UsageDay {
  /** YYYY-MM-DD. */
  day: string;
  payments: number;
  chargedWei: bigint;
  inputTokens: number;
  outputTokens: number;
  /** Reported answers by settlement type. */
  settlements: Record<SettlementType, number>;
}

/** Why a report was not taken. */
export class DataConflictError extends Error {
  override readonly name = "DataConflictError";
  readonly code: "payment_already_reported" | "statement_already_reported";

  constructor(code: DataConflictError["code"], message: string) {
    super(message);
    this.code = code;
  }
}

/** Durable reports of answers, one per payment. What a method resolves for is committed; each is one atomic step. */
export interface DataJobStore {
  /**
   * Adds a job, or returns the same one that is there. Private ones have succeeded at once.
   * @throws DataConflictError when the payment was reported with another statement, or the statement with another payment.
   */
  add(job: NewDataJob): Promise<DataJob>;
  find(id: string): Promise<DataJob | undefined>;
  /** Jobs of a type to be published that nobody is at, and when the oldest came, milliseconds since 1970. */
  waiting(type: SettlementType, nowMs: number): Promise<{ count: number; oldestMs?: number }>;
  /** Takes the oldest of those, for as long as the lease. */
  claim(claim: DataClaim): Promise<DataJob[]>;
  succeed(ids: readonly string[], blobId: Hex, nowMs: number): Promise<void>;
  /** To be tried again at `dueMs`; given up after `maxAttempts`. */
  retry(ids: readonly string[], error: string, dueMs: number, maxAttempts: number, nowMs: number): Promise<void>;
  /** Records a payment once, however often it is told. */
  recordUsage(entry: UsageEntry): Promise<void>;
  /** An operator's days since `sinceMs`, oldest first; days without anything are left out. */
  usage(operator: string, sinceMs: number): Promise<UsageDay[]>;
  counts(): Promise<Record<DataStatus, number>>;
  close(): Promise<void>;
}
