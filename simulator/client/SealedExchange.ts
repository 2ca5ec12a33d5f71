import { z } from "zod";
import { MODEL_HEADER, TEE_HEADER } from "../gateway/sealedRequests.ts";
import { ROUTES } from "../gateway/requestSchemas.ts";
import { requestKindOf } from "../nodes/requestKindOf.ts";
import { SEALED_ROUTE } from "../nodes/SealedRoutes.ts";
import { blindedHash } from "../ohttp/blindedHash.ts";
import { decodeInnerResponse, padJson } from "../ohttp/innerMessages.ts";
import type { SealingPublicKey } from "../ohttp/keyConfig.ts";
import { OhttpError } from "../ohttp/OhttpError.ts";
import { openResponseChunks } from "../ohttp/responseChunks.ts";
import { sealRequest, type SealedRequest } from "../ohttp/sealedRequest.ts";
import { openResponse } from "../ohttp/sealedResponse.ts";
import { OHTTP_CHUNKED_RESPONSE, OHTTP_REQUEST, OHTTP_RESPONSE } from "../ohttp/suite.ts";
import type { Hex } from "../receipts/types.ts";
import { SealingError, VerificationError } from "./ClientError.ts";
import type { OutgoingRequest } from "./OutgoingRequest.ts";

/** An enclave's key. It has to come from an attestation that was checked, or the registry that checked it: who is believed here reads along. */
export interface AttestedSealingKey extends SealingPublicKey {
  /** keccak256 of the enclave's signing key; needed where several enclaves serve a model. */
  teeId?: Hex | undefined;
}

/** The key for requests to a model. Rejects where there is none: nothing is then sent. */
export type SealingKeyLookup = (model: string) => Promise<AttestedSealingKey>;

const bodySchema = z.looseObject({ model: z.string().min(1), stream: z.boolean().nullish() });
const errorSchema = z.looseObject({ error: z.looseObject({ code: z.string() }) });
/** What a request that no enclave can open (any more) is answered with. */
const STALE_CODES = new Set(["unknown_key", "cannot_open"]);

/**
 * One request, sealed once, and how to open what comes back. However often it is sent, it is the same ciphertext: that is what its payment
 * buys.
 */
export class SealedExchange {
  readonly #headers: Headers;
  readonly #sealed: SealedRequest;
  #stale = false;

  private constructor(headers: Headers, sealed: SealedRequest) {
    this.#headers = headers;
    this.#sealed = sealed;
  }

  /** @throws SealingError when nothing could be sent that says only what it should. */
  static async seal({ kind, headers, body }: OutgoingRequest, keyFor: SealingKeyLookup): Promise<SealedExchange> {
    // it was hashed before, so it is JSON
    const parsed = bodySchema.safeParse(JSON.parse(body.toString("utf8")));
    if (!parsed.success) throw new SealingError(`The request cannot be sealed: ${z.prettifyError(parsed.error)}`);
    // the enclave tells them apart by their members
    if (requestKindOf(body) !== kind) throw new SealingError(`The body is none of a request to ${ROUTES[kind]}`);
    const { model, stream } = parsed.data;
    const key = await keyFor(model);
    const outer = new Headers({
      "content-type": OHTTP_REQUEST,
      accept: stream === true ? OHTTP_CHUNKED_RESPONSE : OHTTP_RESPONSE,
      [MODEL_HEADER]: model,
    });
    if (key.teeId !== undefined) outer.set(TEE_HEADER, key.teeId);
    // a relay may ask for it; other headers of the application tell about it, and stay here
    const authorization = headers.get("authorization");
    if (authorization !== null) outer.set("authorization", authorization);
    return new SealedExchange(outer, await sealRequest(key, padJson(body)));
  }

  /** What is sent instead of the request. */
  wire(request: OutgoingRequest): OutgoingRequest {
    const url = new URL(request.url);
    url.pathname = url.pathname.slice(0, -ROUTES[request.kind].length) + SEALED_ROUTE;
    return { ...request, url: url.href, headers: this.#headers, body: Buffer.from(this.#sealed.bytes) };
  }

  /** Whether it was answered that no enclave can open it: it is of no use any more. */
  get stale(): boolean {
    return this.#stale;
  }

  /** Shows, together with request and answer, what the receipt is about. */
  get receiptSalt(): Hex {
    return this.#sealed.secrets.receiptSalt;
  }

  /** A hash of the request or its answer, as the receipt states it. */
  receiptHash(what: "input" | "output", hash: Hex): Hex {
    return blindedHash(this.receiptSalt, what, hash);
  }

  /**
   * The enclave's answer, as if it had come in the clear. What is not sealed can only be an error of the gateway.
   * @throws VerificationError
   */
  async open(response: Response): Promise<Response> {
    const headers = new Headers(response.headers);
    for (const name of ["content-length", "content-encoding"]) headers.delete(name);
    switch (headers.get("content-type")) {
      case OHTTP_RESPONSE: {
        const sealed = new Uint8Array(await response.arrayBuffer());
        const { status, body } = opened(() => decodeInnerResponse(openResponse(this.#sealed.secrets, sealed)));
        headers.set("content-type", "application/json; charset=utf-8");
        return new Response(body, { status, headers });
      }
      case OHTTP_CHUNKED_RESPONSE: {
        if (!response.ok || response.body === null) break;
        headers.set("content-type", "text/event-stream; charset=utf-8");
        const { status } = response;
        return new Response(ReadableStream.from(this.#openChunks(response.body)), { status, headers });
      }
    }
    if (response.ok) throw new VerificationError("unsealed_answer", "A sealed request was answered in the clear");
    const parsed = errorSchema.safeParse(
      await response
        .clone()
        .json()
        .catch(() => undefined),
    );
    this.#stale = parsed.success && STALE_CODES.has(parsed.data.error.code);
    return response;
  }

  async *#openChunks(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array, void> {
    try {
      yield* openResponseChunks(this.#sealed.secrets, body);
    } catch (error) {
      throw asVerificationError(error);
    }
  }
}

/** @throws SealingError for a request to another route that has a body: it would go out as it is. */
export function requireNothingToSeal({ url, body }: Request): void {
  if (body === null) return;
  throw new SealingError(`Requests to ${new URL(url).pathname} cannot be sealed, so this one was not sent`);
}

function opened<T>(open: () => T): T {
  try {
    return open();
  } catch (error) {
    throw asVerificationError(error);
  }
}

function asVerificationError(error: unknown): unknown {
  if (!(error instanceof OhttpError)) return error;
  const code = error.code === "truncated_response" ? "missing_receipt" : "unreadable_answer";
  return new VerificationError(code, error.message, { cause: error });
}
