import type { PaymentPayload, PaymentRequirements } from "@x402/core/types";
import type { PaidKind } from "../receipts/hashes.ts";
import type { SettlementType } from "../receipts/settlementType.ts";
import { tariffSchema, tariffToJson } from "../receipts/tariff.ts";
import type { Hex } from "../receipts/types.ts";
import type { PaidRequest, RequestStatus, StoredRequest } from "./StoredRequest.ts";

export interface RequestRow {
  key: string;
  scheme: string;
  asset: Hex;
  payer: Hex;
  nonce: Hex;
  scope: Hex | null;
  amount: string;
  tariff: string | null;
  signature: string;
  hash: Hex;
  kind: PaidKind;
  stream: number;
  body: Uint8Array | null;
  node_url: string;
  request_id: Hex;
  model_id: Hex;
  input_hash: Hex | null;
  settlement: SettlementType | null;
  payload: string | null;
  requirements: string | null;
  session: string | null;
  valid_before: number;
  status: RequestStatus;
  content_type: string | null;
  answer: Uint8Array | null;
  proof: string | null;
  fee: string | null;
  tx_hash: Hex | null;
  answered_at: number | null;
}

export const REQUEST_SCHEMA = `
  CREATE TABLE IF NOT EXISTS requests (
    key TEXT PRIMARY KEY,
    scheme TEXT NOT NULL,
    asset TEXT NOT NULL,
    payer TEXT NOT NULL,
    nonce TEXT NOT NULL,
    scope TEXT,
    amount TEXT NOT NULL,
    tariff TEXT,
    signature TEXT NOT NULL,
    hash TEXT NOT NULL,
    kind TEXT NOT NULL,
    stream INTEGER NOT NULL,
    body BLOB,
    node_url TEXT NOT NULL,
    request_id TEXT NOT NULL,
    model_id TEXT NOT NULL,
    input_hash TEXT,
    settlement TEXT,
    payload TEXT,
    requirements TEXT,
    session TEXT,
    valid_before INTEGER NOT NULL,
    status TEXT NOT NULL,
    content_type TEXT,
    answer BLOB,
    proof TEXT,
    fee TEXT,
    tx_hash TEXT,
    answered_at INTEGER
  );
  CREATE INDEX IF NOT EXISTS requests_status ON requests (status);
  CREATE INDEX IF NOT EXISTS requests_session ON requests (session) WHERE session IS NOT NULL;`;

/** Columns of a reservation. */
export const RESERVED = [
  "key",
  "scheme",
  "asset",
  "payer",
  "nonce",
  "scope",
  "amount",
  "tariff",
  "signature",
  "hash",
  "kind",
  "stream",
  "body",
  "node_url",
  "request_id",
  "model_id",
  "input_hash",
  "settlement",
  "payload",
  "requirements",
  "session",
  "valid_before",
] as const satisfies readonly (keyof RequestRow)[];

export type SqlValue = string | number | Uint8Array | null;

/** By `RESERVED`. */
export function reservedValues(request: PaidRequest): SqlValue[] {
  const { payment, tariff, own } = request;
  const row: Record<(typeof RESERVED)[number], SqlValue> = {
    key: request.key,
    scheme: request.scheme,
    asset: payment.asset,
    payer: payment.payer,
    nonce: payment.nonce,
    scope: payment.scope ?? null,
    amount: request.amountWei.toString(),
    tariff: tariff === undefined ? null : JSON.stringify(tariffToJson(tariff)),
    signature: request.signature,
    hash: request.hash,
    kind: request.kind,
    stream: Number(request.stream),
    body: request.body,
    node_url: request.nodeUrl,
    request_id: request.requestId,
    model_id: request.modelId,
    input_hash: request.inputHash ?? null,
    settlement: request.settlement ?? null,
    payload: own === undefined ? null : JSON.stringify(own.payload),
    requirements: own === undefined ? null : JSON.stringify(own.requirements),
    session: request.session ?? null,
    valid_before: request.validBefore,
  };
  return RESERVED.map((column) => row[column]);
}

export function requestOf(row: RequestRow): StoredRequest {
  return {
    key: row.key,
    scheme: row.scheme,
    payment: {
      asset: row.asset,
      payer: row.payer,
      nonce: row.nonce,
      ...(row.scope !== null && { scope: row.scope }),
    },
    amountWei: BigInt(row.amount),
    ...(row.tariff !== null && { tariff: tariffSchema.parse(JSON.parse(row.tariff)) }),
    signature: row.signature,
    hash: row.hash,
    kind: row.kind,
    stream: row.stream === 1,
    body: Buffer.from(row.body ?? []),
    nodeUrl: row.node_url,
    requestId: row.request_id,
    modelId: row.model_id,
    inputHash: row.input_hash ?? undefined,
    ...(row.settlement !== null && { settlement: row.settlement }),
    validBefore: row.valid_before,
    ...(row.payload !== null && {
      own: {
        payload: JSON.parse(row.payload) as PaymentPayload,
        requirements: JSON.parse(row.requirements ?? "{}") as PaymentRequirements,
      },
    }),
    ...(row.session !== null && { session: row.session }),
    status: row.status,
    ...(row.answer !== null && {
      answer: {
        contentType: row.content_type ?? "application/json",
        body: Buffer.from(row.answer),
        proof: row.proof ?? "{}",
        feeWei: BigInt(row.fee ?? 0),
      },
    }),
    ...(row.tx_hash !== null && { transaction: row.tx_hash }),
    ...(row.answered_at !== null && { answeredAtMs: row.answered_at }),
  };
}
