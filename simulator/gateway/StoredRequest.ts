import type { PaymentPayload, PaymentRequirements } from "@x402/core/types";
import type { PaidKind } from "../receipts/hashes.ts";
import type { PaymentKey } from "../receipts/requestId.ts";
import type { SettlementType } from "../receipts/settlementType.ts";
import type { Tariff } from "../receipts/tariff.ts";
import type { Hex } from "../receipts/types.ts";

/**
 * reserved: paid for and on its way to a node. answered: answer and receipt are stored, so the payment is due. settling: the payment
 * is in the facilitator's outbox. paid, unpaid: what became of it. charged: the answer is stored and its fee is part of what its session
 * will be charged. released: the inference failed; nothing is charged, and a retry goes to the same node, because another of the same
 * operator would answer under the same request id a second time.
 */
export type RequestStatus = "reserved" | "answered" | "settling" | "paid" | "unpaid" | "charged" | "released";

/** What settles a request that has a payment of its own. */
export interface OwnPayment {
  payload: PaymentPayload;
  requirements: PaymentRequirements;
}

/** A request with the payment that buys it. */
export interface PaidRequest {
  /** `paymentKeyText` of its payment; in a session with the request's hash. */
  key: string;
  /** How it is paid for: x402's scheme. */
  scheme: string;
  /** What makes it unique. */
  payment: PaymentKey;
  /** What it costs, wei; with a tariff, what it costs at most. */
  amountWei: bigint;
  /** Charges it by use. */
  tariff?: Tariff;
  /** Of the payment authorization: tells a copy from another payment with the same nonce. */
  signature: string;
  /** `requestHash`. */
  hash: Hex;
  kind: PaidKind;
  stream: boolean;
  body: Buffer;
  nodeUrl: string;
  /** What the receipt must say. */
  requestId: Hex;
  modelId: Hex;
  inputHash: Hex | undefined;
  settlement?: SettlementType;
  /** Unix seconds; the authorization cannot be charged after it. */
  validBefore: number;
  /** Absent for one whose session is settled as a whole. */
  own?: OwnPayment;
  /** Key of its session. */
  session?: string;
}

export interface StoredAnswer {
  contentType: string;
  body: Buffer;
  /** JSON of the proof in it. */
  proof: string;
  /** Of its receipt, wei. */
  feeWei: bigint;
}

export interface StoredRequest extends PaidRequest {
  status: RequestStatus;
  answer?: StoredAnswer;
  /** Transaction of the payment, once known. */
  transaction?: Hex;
  answeredAtMs?: number;
}

/** Why a request could not be reserved. */
export type ReserveRefusal = { refused: "exposure"; outstandingWei: bigint };
