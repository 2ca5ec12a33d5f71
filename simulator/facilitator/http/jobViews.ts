import type { DataJob, DataStatus } from "../data/DataJobStore.ts";
import type { PaymentJob, PaymentStatus } from "../PaymentStore.ts";
import { blobIdToBase64Url } from "../../storage/BlobStore.ts";

/** A job as OpenGradient's facilitator shows it: `GET /settle/:jobId`. What is not known, or not of this kind, is null. */
export interface JobView {
  jobId: string;
  queue: "x402-settle-payment-queue" | "x402-settle-data-queue-v2" | "x402-settle-data-individual-queue-v2";
  status: DataStatus;
  /** ISO 8601. */
  createdAt: string | null;
  updatedAt: string | null;
  result: object | null;
  error: string | null;
  settlementType: string | null;
  queueNonce: number | null;
  signerAddress: string | null;
  txHash: string | null;
  /** As Walrus's API has it. */
  walrusBlobId: string | null;
}

const PAYMENT = "payment-";

/** A payment's key as it stands in a URL. */
export const paymentJobId = (key: string): string => PAYMENT + Buffer.from(key).toString("base64url");

/** The key in a payment job's id; undefined for another job's. */
export const keyOfPaymentJob = (jobId: string): string | undefined =>
  jobId.startsWith(PAYMENT) ? Buffer.from(jobId.slice(PAYMENT.length), "base64url").toString() : undefined;

const PAYMENT_STATUS = {
  pending: "queued",
  submitted: "processing",
  settled: "succeeded",
  dead: "failed",
} as const satisfies Record<PaymentStatus, DataStatus>;

export function paymentJobView({
  key,
  status,
  transaction,
  reason,
  payer,
  amountWei,
  requirements,
}: PaymentJob): JobView {
  const settled = status === "settled";
  const txHash = transaction?.hash ?? null;
  const result = {
    success: true,
    transaction: txHash ?? "",
    network: requirements.network,
    payer,
    amount: amountWei.toString(),
  };
  return {
    jobId: paymentJobId(key),
    queue: "x402-settle-payment-queue",
    status: PAYMENT_STATUS[status],
    createdAt: null,
    updatedAt: null,
    result: settled ? result : null,
    error: settled ? null : (reason ?? null),
    settlementType: null,
    queueNonce: transaction?.nonce ?? null,
    signerAddress: transaction?.from ?? null,
    txHash,
    walrusBlobId: null,
  };
}

export function dataJobView({ id, type, status, blobId, error, createdAtMs, updatedAtMs }: DataJob): JobView {
  const walrusBlobId = blobId === undefined ? null : blobIdToBase64Url(blobId);
  return {
    jobId: id,
    queue: type === "individual" ? "x402-settle-data-individual-queue-v2" : "x402-settle-data-queue-v2",
    status,
    createdAt: new Date(createdAtMs).toISOString(),
    updatedAt: new Date(updatedAtMs).toISOString(),
    result: status === "succeeded" ? { walrusBlobId } : null,
    error: error ?? null,
    settlementType: type,
    queueNonce: null,
    signerAddress: null,
    txHash: null,
    walrusBlobId,
  };
}
