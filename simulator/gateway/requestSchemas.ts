import type { IncomingHttpHeaders } from "node:http";
import { z } from "zod";
import { SEALED_ROUTE } from "../nodes/SealedRoutes.ts";
import { inputHash, type PaidKind, type RequestKind } from "../receipts/hashes.ts";
import { InvalidJsonError } from "../receipts/json.ts";
import { requestHash } from "../receipts/requestHash.ts";
import { InvalidRequestError } from "../receipts/requestText.ts";
import {
  SETTLEMENT_HEADERS,
  SETTLEMENT_TYPES,
  settlementTypeOf,
  type SettlementType,
} from "../receipts/settlementType.ts";
import type { Hex } from "../receipts/types.ts";
import { ModelInputError } from "../models/ModelError.ts";
import { requestWords } from "../zkml/jsonTensors.ts";
import { tensorHash } from "../zkml/tensorHash.ts";
import { GatewayError } from "./GatewayError.ts";
import type { Offer } from "./NodeDirectory.ts";
import type { SealedFor } from "./sealedRequests.ts";

/** Where each kind of request is served, by the gateway and by the nodes behind it. */
export const ROUTES = {
  chat: "/v1/chat/completions",
  completion: "/v1/completions",
  inference: "/v1/inference",
} as const satisfies Record<RequestKind, string>;

export const routeOf = (kind: PaidKind): string => (kind === "sealed" ? SEALED_ROUTE : ROUTES[kind]);

const model = z.string().min(1).max(200);
const maxTokens = z.int().min(1).nullish();

/** Only what the gateway itself reads; everything else goes to the node as it came, byte for byte. */
const BODIES = {
  chat: z.looseObject({
    model,
    messages: z.array(z.looseObject({ role: z.string() })).min(1),
    max_tokens: maxTokens,
    max_completion_tokens: maxTokens,
    stream: z.boolean().nullish(),
    n: z.literal(1, "one choice per request: a receipt covers one answer").nullish(),
  }),
  completion: z.looseObject({
    model,
    prompt: z.union([z.string(), z.array(z.unknown())]),
    max_tokens: maxTokens,
    stream: z.boolean().nullish(),
    n: z.literal(1, "one choice per request: a receipt covers one answer").nullish(),
  }),
  inference: z.looseObject({ model, inputs: z.record(z.string(), z.unknown()), stream: z.literal(false).nullish() }),
} as const;

export interface ModelRequest {
  kind: PaidKind;
  /** The body as it came. */
  raw: Buffer;
  model: string;
  stream: boolean;
  /** `requestHash`: what tells it from the others that one permit or channel pays for. */
  hash: Hex;
  /** How the client wants its receipt settled; undefined when it does not say. */
  settlement?: SettlementType;
  /** Most tokens of the answer, where the request says so. */
  maxOutputTokens?: number;
  /** For a sealed one, whose key opens it. */
  sealedFor?: SealedFor;
}

const invalid = (code: string, message: string): GatewayError =>
  new GatewayError(400, "invalid_request_error", code, message);

/** What the headers say of a request. */
export type RequestHeaders = Pick<ModelRequest, "hash" | "settlement">;

const MAX_IDEMPOTENCY_KEY = 255;

/**
 * Reads what goes for requests of every kind.
 * @throws GatewayError 400
 */
export function parseRequestHeaders(kind: PaidKind, headers: IncomingHttpHeaders, raw: Buffer): RequestHeaders {
  const key = headers["idempotency-key"];
  if (key !== undefined && (typeof key !== "string" || key.length > MAX_IDEMPOTENCY_KEY)) {
    throw invalid(
      "invalid_idempotency_key",
      `Expected one Idempotency-Key of at most ${MAX_IDEMPOTENCY_KEY} characters`,
    );
  }
  const settlement = settlementAsked(headers);
  return { hash: requestHash(kind, raw, key), ...(settlement !== undefined && { settlement }) };
}

/** How the client wants its receipt settled; undefined when it does not say. @throws GatewayError 400 */
export function settlementAsked(headers: IncomingHttpHeaders): SettlementType | undefined {
  const name = SETTLEMENT_HEADERS.map((header) => headers[header]).find((value) => value !== undefined && value !== "");
  if (name === undefined) return undefined;
  const settlement = settlementTypeOf(String(name));
  if (settlement !== undefined) return settlement;
  throw invalid("invalid_settlement_type", `Expected ${SETTLEMENT_HEADERS[0]}: ${SETTLEMENT_TYPES.join(", ")}`);
}

/** @throws GatewayError 400 */
export function parseModelRequest(kind: RequestKind, raw: Buffer, headers: IncomingHttpHeaders = {}): ModelRequest {
  let value: unknown;
  try {
    value = JSON.parse(raw.toString("utf8"));
  } catch {
    throw invalid("invalid_json", "Expected a JSON body");
  }
  const parsed = BODIES[kind].safeParse(value);
  if (!parsed.success) throw invalid("invalid_body", z.prettifyError(parsed.error));
  const { model: name, stream } = parsed.data;
  // which of the two counts is the node's rule
  const { max_tokens, max_completion_tokens } = parsed.data as { max_tokens?: number; max_completion_tokens?: number };
  const maxOutputTokens = max_tokens ?? (kind === "chat" ? max_completion_tokens : undefined) ?? undefined;
  return {
    ...parseRequestHeaders(kind, headers, raw),
    kind,
    raw,
    model: name,
    stream: stream === true,
    ...(maxOutputTokens !== undefined && { maxOutputTokens }),
  };
}

/**
 * `inputHash` of the receipt the answer must carry; undefined for a sealed request, of which only the client can tell.
 * @param offer whose model is asked: of a zk model the hash is over words.
 * @throws GatewayError 400 for a body that has none, e.g. one with a member name twice.
 */
export function inputHashOf({ kind, raw }: ModelRequest, { zk }: Pick<Offer, "zk">): Hex | undefined {
  if (kind === "sealed") return undefined;
  try {
    const hash = inputHash(kind, raw);
    if (zk === undefined) return hash;
    const { inputs } = JSON.parse(raw.toString("utf8")) as { inputs: unknown };
    return tensorHash(requestWords(zk, inputs));
  } catch (error) {
    if (error instanceof InvalidJsonError || error instanceof InvalidRequestError || error instanceof ModelInputError) {
      throw invalid(error.code, error.message);
    }
    throw error;
  }
}
