import type { IncomingHttpHeaders } from "node:http";
import { asksForChunks } from "../nodes/SealedRoutes.ts";
import { OhttpError } from "../ohttp/OhttpError.ts";
import { keyIdOf, OHTTP_REQUEST } from "../ohttp/suite.ts";
import { bytes32Schema, type Hex } from "../receipts/types.ts";
import { GatewayError } from "./GatewayError.ts";
import type { Offer } from "./NodeDirectory.ts";
import { parseRequestHeaders, type ModelRequest } from "./requestSchemas.ts";

/** What shows of a sealed request besides its model and size. */
export interface SealedFor {
  keyId: number;
  /** The enclave it names; where one key only fits, it need not. */
  teeId?: Hex;
}

/** Header that names the model: what it costs is asked before anybody can open the request. */
export const MODEL_HEADER = "x-og-model";
export const TEE_HEADER = "x-tee-id";

/** A request that was opened and refused by the enclave: the reason is sealed, and passed on so. Nothing was charged. */
export class SealedRefusedError extends GatewayError {
  readonly sealed: Buffer;

  constructor(status: number, sealed: Buffer) {
    const retry = status === 503 ? { retryAfterSeconds: 2 } : {};
    super(status, "invalid_request_error", "sealed_refusal", "The enclave refused the request; why is sealed", retry);
    this.sealed = sealed;
  }
}

/** @throws GatewayError 400, 415 */
export function parseSealedRequest(headers: IncomingHttpHeaders, raw: Buffer): ModelRequest {
  if (headers["content-type"] !== OHTTP_REQUEST) {
    throw new GatewayError(
      415,
      "invalid_request_error",
      "unsupported_media_type",
      `Expected a body of ${OHTTP_REQUEST}`,
    );
  }
  const model = headers[MODEL_HEADER];
  if (typeof model !== "string" || model.length === 0 || model.length > 200) {
    throw invalid("missing_model", `Expected the header ${MODEL_HEADER} to name the model: the price depends on it`);
  }
  const teeId = headers[TEE_HEADER];
  const parsed = bytes32Schema.optional().safeParse(teeId);
  if (!parsed.success) throw invalid("invalid_tee_id", `Expected ${TEE_HEADER} to be 32 bytes in hexadecimal`);
  return {
    ...parseRequestHeaders("sealed", headers, raw),
    kind: "sealed",
    raw,
    model,
    stream: asksForChunks(headers),
    sealedFor: { keyId: readKeyId(raw), ...(parsed.data !== undefined && { teeId: parsed.data }) },
  };
}

/**
 * The offers of those enclaves that can open a request.
 * @throws GatewayError 400, before anything is asked to be paid.
 */
export function sealedOffers(offers: Offer[], { keyId, teeId }: SealedFor): Offer[] {
  const fitting = offers.filter(
    ({ sealing }) =>
      sealing?.keys.some((key) => key.keyId === keyId) === true && (teeId === undefined || sealing.teeId === teeId),
  );
  if (fitting.length === 0) {
    const who = teeId === undefined ? "No enclave" : `No enclave ${teeId}`;
    throw invalid(
      "unknown_key",
      `${who} with a key ${keyId} serves this model; enclaves may have new keys: look them up again (/v1/ohttp/config, or the registry) and seal anew`,
    );
  }
  const distinct = new Set(fitting.map(({ sealing }) => sealing?.keyConfigs.toString("base64")));
  if (distinct.size > 1) {
    throw invalid("ambiguous_key", `${distinct.size} enclaves have a key ${keyId}; name one by ${TEE_HEADER}`);
  }
  return fitting;
}

function readKeyId(raw: Buffer): number {
  try {
    return keyIdOf(raw);
  } catch (error) {
    if (error instanceof OhttpError) throw invalid(error.code, error.message);
    throw error;
  }
}

const invalid = (code: string, message: string): GatewayError =>
  new GatewayError(400, "invalid_request_error", code, message);
