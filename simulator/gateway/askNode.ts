import type { Readable } from "node:stream";
import { request } from "undici";
import { z } from "zod";
import { encodePaymentHeader, PAYMENT_HEADER } from "../nodes/paymentHeader.ts";
import { MODEL_ID_HEADER, RECEIPT_HEADER } from "../nodes/SealedRoutes.ts";
import { OHTTP_CHUNKED_RESPONSE, OHTTP_REQUEST, OHTTP_RESPONSE } from "../ohttp/suite.ts";
import { GatewayError } from "./GatewayError.ts";
import type { NodeEndpoint } from "./NodeDirectory.ts";
import { routeOf } from "./requestSchemas.ts";
import type { StoredRequest } from "./StoredRequest.ts";
import { SealedRefusedError } from "./sealedRequests.ts";

export interface NodeResponse {
  contentType: string;
  body: Readable;
  /** What a node says of a sealed answer beside it, once the body was read; empty when the answer failed. */
  receipt: () => string | undefined;
}

/** Statuses of a node that say something about the client's request, and not about the node. */
const CLIENT_STATUSES = new Set([400, 404, 409, 413, 422, 429]);

const errorBodySchema = z.object({
  error: z.looseObject({ message: z.string(), type: z.string().nullish(), code: z.string().nullish() }),
});

/** What a node is asked. */
export type NodeQuestion = Pick<
  StoredRequest,
  "kind" | "body" | "stream" | "modelId" | "payment" | "amountWei" | "tariff" | "settlement"
>;

/**
 * Sends a paid request to a node. The node answers a request id once and then again the same, so asking twice is safe.
 * @throws GatewayError what the client is told when the node does not answer with 200.
 */
export async function askNode(node: NodeEndpoint, paid: NodeQuestion, signal: AbortSignal): Promise<NodeResponse> {
  const { payment, amountWei: feeWei, tariff, settlement } = paid;
  const { statusCode, headers, trailers, body } = await request(node.url + routeOf(paid.kind), {
    method: "POST",
    headers: {
      authorization: `Bearer ${node.token}`,
      ...(paid.kind === "sealed" ? sealedHeaders(paid) : { "content-type": "application/json" }),
      [PAYMENT_HEADER]: encodePaymentHeader({ ...payment, feeWei, tariff, settlement }),
    },
    body: paid.body,
    signal,
    // the signal bounds the whole answer
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  const contentType = String(headers["content-type"] ?? "application/json");
  const receipt = (): string | undefined => [headers[RECEIPT_HEADER], trailers[RECEIPT_HEADER]].flat().find(isString);
  if (statusCode === 200) return { contentType, body, receipt };
  if (paid.kind === "sealed" && contentType === OHTTP_RESPONSE) {
    const status = CLIENT_STATUSES.has(statusCode) || statusCode === 503 ? statusCode : 502;
    throw new SealedRefusedError(status, Buffer.from(await body.arrayBuffer()));
  }
  throw nodeError(statusCode, await body.text());
}

const sealedHeaders = ({ modelId, stream }: NodeQuestion): Record<string, string> => ({
  "content-type": OHTTP_REQUEST,
  accept: stream ? OHTTP_CHUNKED_RESPONSE : OHTTP_RESPONSE,
  [MODEL_ID_HEADER]: modelId,
});

const isString = (value: unknown): value is string => typeof value === "string";

function nodeError(status: number, text: string): GatewayError {
  const parsed = errorBodySchema.safeParse(parseOrUndefined(text));
  const message = parsed.success ? parsed.data.error.message : `The node answered with status ${status}`;
  const code = parsed.data?.error.code ?? undefined;
  if (CLIENT_STATUSES.has(status)) {
    const type = status === 429 ? "rate_limit_error" : "invalid_request_error";
    return new GatewayError(status, type, code ?? "refused_by_node", message);
  }
  if (status === 503) {
    return new GatewayError(503, "upstream_error", code ?? "node_busy", message, { retryAfterSeconds: 2 });
  }
  return new GatewayError(502, "upstream_error", code ?? "node_failed", message);
}

/** The error of one event in a stream, or undefined when the event is none. */
export function streamError(data: unknown): GatewayError | undefined {
  const parsed = errorBodySchema.safeParse(data);
  if (!parsed.success) return undefined;
  const { message, code } = parsed.data.error;
  return new GatewayError(502, "upstream_error", code ?? "node_failed", message);
}

/** The node was not reached, or went away in the middle. */
export const isConnectionError = (error: unknown): boolean =>
  error instanceof Error && "code" in error && /^(E[A-Z]+|UND_ERR_(SOCKET|CONNECT_TIMEOUT))$/.test(String(error.code));

/** Whether trying again soon, at the same node, may help. */
export const isTransient = (error: unknown): boolean =>
  isConnectionError(error) || (error instanceof GatewayError && error.status === 503);

const isTimeout = (error: unknown): boolean => error instanceof Error && error.name === "TimeoutError";

/** What the client is told. */
export function asGatewayError(error: unknown): GatewayError {
  if (error instanceof GatewayError) return error;
  if (isTimeout(error)) {
    return new GatewayError(504, "upstream_error", "node_timeout", "The node took too long; nothing was charged", {
      cause: error,
    });
  }
  if (isConnectionError(error)) {
    return new GatewayError(
      503,
      "upstream_error",
      "node_unreachable",
      "The node is not reachable; nothing was charged",
      {
        cause: error,
        retryAfterSeconds: 2,
      },
    );
  }
  return new GatewayError(500, "server_error", "internal_error", "The gateway failed; nothing was charged", {
    cause: error,
  });
}

function parseOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
