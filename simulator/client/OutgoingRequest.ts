import { createHash } from "node:crypto";
import { ROUTES } from "../gateway/requestSchemas.ts";
import type { RequestKind } from "../receipts/hashes.ts";
import { IDEMPOTENCY_HEADER, PAYMENT_HEADER, type SignedPayment } from "./SignedPayment.ts";

/** A request to be paid for, read once and sent as often as it takes. */
export interface OutgoingRequest {
  kind: RequestKind;
  url: string;
  method: string;
  headers: Headers;
  body: Buffer;
  signal: AbortSignal;
  /** The same for the same route and body. */
  fingerprint: string;
  /** An OpenAI client sends it again by itself. */
  isRetry: boolean;
}

/** OpenAI's clients count their retries; nothing else tells a retry from the same question asked again. */
const RETRY_HEADER = "x-stainless-retry-count";

/** Which of the paid routes a request is for. */
export function kindOf({ method, url }: Request): RequestKind | undefined {
  if (method !== "POST") return undefined;
  const { pathname } = new URL(url);
  return (Object.keys(ROUTES) as RequestKind[]).find((kind) => pathname.endsWith(ROUTES[kind]));
}

export async function readRequest(kind: RequestKind, request: Request): Promise<OutgoingRequest> {
  const body = Buffer.from(await request.arrayBuffer());
  const { url, method, headers, signal } = request;
  const fingerprint = createHash("sha256").update(`${url}\n`).update(body).digest("hex");
  const isRetry = Number(headers.get(RETRY_HEADER) ?? 0) > 0;
  return { kind, url, method, headers, body, signal, fingerprint, isRetry };
}

/** The request with its payment. */
export function toRequest({ url, method, headers, body, signal }: OutgoingRequest, payment?: SignedPayment): Request {
  const request = new Request(url, { method, headers, body: new Uint8Array(body), signal });
  if (payment === undefined) return request;
  request.headers.set(PAYMENT_HEADER, payment.header);
  if (payment.idempotencyKey !== undefined) request.headers.set(IDEMPOTENCY_HEADER, payment.idempotencyKey);
  return request;
}
