import { z } from "zod";
import { SEALED_ROUTE } from "../nodes/SealedRoutes.ts";
import { inputHash, type PaidKind, type RequestKind } from "../receipts/hashes.ts";
import { InvalidJsonError } from "../receipts/json.ts";
import { InvalidRequestError } from "../receipts/requestText.ts";
import type { Hex } from "../receipts/types.ts";
import { GatewayError } from "./GatewayError.ts";
import type { SealedFor } from "./sealedRequests.ts";

/** Where each kind of request is served, by the gateway and by the nodes behind it. */
export const ROUTES = {
  chat: "/v1/chat/completions",
  completion: "/v1/completions",
  inference: "/v1/inference",
} as const satisfies Record<RequestKind, string>;

export const routeOf = (kind: PaidKind): string => (kind === "sealed" ? SEALED_ROUTE : ROUTES[kind]);

const model = z.string().min(1).max(200);

/** Only what the gateway itself reads; everything else goes to the node as it came, byte for byte. */
const BODIES = {
  chat: z.looseObject({
    model,
    messages: z.array(z.looseObject({ role: z.string() })).min(1),
    stream: z.boolean().nullish(),
    n: z.literal(1, "one choice per request: a receipt covers one answer").nullish(),
  }),
  completion: z.looseObject({
    model,
    prompt: z.union([z.string(), z.array(z.unknown())]),
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
  /** For a sealed one, whose key opens it. */
  sealedFor?: SealedFor;
}

const invalid = (code: string, message: string): GatewayError =>
  new GatewayError(400, "invalid_request_error", code, message);

/** @throws GatewayError 400 */
export function parseModelRequest(kind: RequestKind, raw: Buffer): ModelRequest {
  let value: unknown;
  try {
    value = JSON.parse(raw.toString("utf8"));
  } catch {
    throw invalid("invalid_json", "Expected a JSON body");
  }
  const parsed = BODIES[kind].safeParse(value);
  if (!parsed.success) throw invalid("invalid_body", z.prettifyError(parsed.error));
  return { kind, raw, model: parsed.data.model, stream: parsed.data.stream === true };
}

/**
 * `inputHash` of the receipt the answer must carry; undefined for a sealed request, of which only the client can tell.
 * @throws GatewayError 400 for a body that has none, e.g. one with a member name twice.
 */
export function inputHashOf({ kind, raw }: ModelRequest): Hex | undefined {
  if (kind === "sealed") return undefined;
  try {
    return inputHash(kind, raw);
  } catch (error) {
    if (error instanceof InvalidJsonError || error instanceof InvalidRequestError) {
      throw invalid(error.code, error.message);
    }
    throw error;
  }
}
