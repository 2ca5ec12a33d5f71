import { Readable } from "node:stream";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { Logger } from "pino";
import { SEALED_CONFIG_ROUTE } from "../nodes/SealedRoutes.ts";
import { OHTTP_CHUNKED_RESPONSE, OHTTP_KEYS, OHTTP_REQUEST, OHTTP_RESPONSE } from "../ohttp/suite.ts";
import type { PaidKind, RequestKind } from "../receipts/hashes.ts";
import { asGatewayError } from "./askNode.ts";
import { GatewayError } from "./GatewayError.ts";
import type { GatewayHttp } from "./http/GatewayHttp.ts";
import type { NodeDirectory } from "./NodeDirectory.ts";
import { nodeDown, offersFor } from "./offers.ts";
import type { FreeDesk } from "./payments/FreeDesk.ts";
import type { PaymentDesk } from "./payments/PaymentDesk.ts";
import type { PaymentGate } from "./payments/PaymentGate.ts";
import type { Admit, Purchase } from "./payments/PaymentMethod.ts";
import { paymentResponse } from "./payments/paymentResponse.ts";
import { refused } from "./payments/SignedPayment.ts";
import type { SessionKeeper } from "./payments/SessionKeeper.ts";
import type { SessionStore } from "./payments/SessionStore.ts";
import { addProofsRoute } from "./proofsRoute.ts";
import { parseModelRequest, routeOf, ROUTES, type ModelRequest } from "./requestSchemas.ts";
import type { RequestStore } from "./RequestStore.ts";
import { parseSealedRequest, SealedRefusedError } from "./sealedRequests.ts";
import { encodeEvent } from "./serverSentEvents.ts";
import { settlementHeaders, settlementPatienceMs, type SettlementLookup } from "./SettlementLookup.ts";
import { addSettlementsRoute } from "./settlementsRoute.ts";
import type { StoredAnswer, StoredRequest } from "./StoredRequest.ts";

export interface GatewayRoutesOptions {
  http: GatewayHttp;
  gate: PaymentGate;
  desk: PaymentDesk;
  /** When nothing is to be paid. */
  free: FreeDesk | undefined;
  directory: NodeDirectory;
  store: RequestStore;
  sessions: SessionStore;
  keeper: SessionKeeper;
  settlements: SettlementLookup;
  logger: Logger;
}

/** The routes that are sold: each checks the payment in its handler, so that no spelling of a path leads around it. */
export class GatewayRoutes {
  readonly #options: GatewayRoutesOptions;

  constructor(options: GatewayRoutesOptions) {
    this.#options = options;
  }

  /** How bodies are read, and what is said of what is not served. */
  prepare(app: FastifyInstance): void {
    // raw bytes: they are hashed and passed on as they came
    app.removeAllContentTypeParsers();
    app.addContentTypeParser(
      ["application/json", OHTTP_REQUEST],
      { parseAs: "buffer" },
      (_request, body: Buffer, done) => done(null, body),
    );
    app.setNotFoundHandler(({ method, url }, reply) =>
      sendError(reply, new GatewayError(404, "invalid_request_error", "unknown_url", `No route ${method} ${url}`)),
    );
    app.setErrorHandler((error, _request, reply) => {
      const known = fromFastify(error);
      if (known.status >= 500) this.#options.logger.error({ err: error }, "request failed");
      return sendError(reply, known);
    });
  }

  addTo(app: FastifyInstance): void {
    for (const kind of [...(Object.keys(ROUTES) as RequestKind[]), "sealed"] as const) {
      app.post(routeOf(kind), (request, reply) => this.#serve(kind, request, reply));
    }
    addSettlementsRoute(app, this.#options.http, this.#options.settlements);
    addProofsRoute(app, this.#options);
    app.get(SEALED_CONFIG_ROUTE, (_request, reply) =>
      reply.type(OHTTP_KEYS).header("cache-control", "no-store").send(this.#options.directory.keyConfigs()),
    );
  }

  async #serve(kind: PaidKind, http: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const { desk, free, directory } = this.#options;
    const raw = Buffer.isBuffer(http.body) ? http.body : Buffer.alloc(0);
    const request =
      kind === "sealed" ? parseSealedRequest(http.headers, raw) : parseModelRequest(kind, raw, http.headers);
    if (free !== undefined) return this.#deliver(request, free.give(request), http, reply);
    const admit: Admit = (payer, scheme) => this.#options.http.admit(http, payer, scheme);
    try {
      const header = await this.#options.http.payment(http);
      if (header === undefined) {
        if (!offersFor(directory, request).some(({ node }) => directory.isUp(node))) throw nodeDown();
        throw refused("payment_required", "This request has to be paid for: sign one of `accepts`");
      }
      const other = desk.laneOf(header);
      if (other !== undefined) return await other.lane.serve(request, other.payment, { http, reply, admit });
      return await this.#deliver(request, await desk.buy(request, header, admit), http, reply);
    } catch (error) {
      if (!(error instanceof GatewayError) || error.status !== 402) throw error;
      await this.#options.http.refuse(http, error.code);
      return this.#askForPayment(request, http, reply, error);
    }
  }

  async #askForPayment(
    request: ModelRequest,
    http: FastifyRequest,
    reply: FastifyReply,
    error: GatewayError,
  ): Promise<FastifyReply> {
    const { desk, gate, directory } = this.#options;
    const accepts = await desk.accepts(offersFor(directory, request), request);
    const url = `${http.protocol}://${http.host}${routeOf(request.kind)}`;
    const required = await gate.paymentRequired(accepts, url, error);
    return reply
      .code(402)
      .header("payment-required", required.header)
      .header("cache-control", "no-store")
      .send(required.body);
  }

  async #deliver(
    { stream, kind }: ModelRequest,
    purchase: Purchase,
    { headers }: FastifyRequest,
    reply: FastifyReply,
  ): Promise<FastifyReply> {
    const { request } = purchase;
    const patienceMs = settlementPatienceMs(headers.prefer);
    if ("stored" in purchase) {
      await this.#settlement(reply, request, patienceMs);
      return this.#headers(reply, request, purchase.stored).send(purchase.stored.body);
    }
    const { answer } = purchase;
    if (!stream) {
      const stored = await answer.completed;
      // an answer of this moment is in no batch yet
      if (patienceMs > 0) await this.#settlement(reply, request, patienceMs);
      return this.#headers(reply, this.#options.store.find(request.key) ?? request, stored).send(stored.body);
    }
    await answer.started;
    this.#headers(reply, request).type(kind === "sealed" ? OHTTP_CHUNKED_RESPONSE : "text/event-stream; charset=utf-8");
    const parts = kind === "sealed" ? withoutError(answer.follow()) : withErrorEvent(answer.follow());
    return reply.send(Readable.from(parts, { objectMode: false }));
  }

  /** Says where the receipt of a stored answer is settled, as far as that is known. */
  async #settlement(reply: FastifyReply, { nodeUrl, requestId }: StoredRequest, patienceMs: number): Promise<void> {
    reply.headers(settlementHeaders(await this.#options.settlements.postedAt(nodeUrl, requestId, patienceMs)));
  }

  #headers(reply: FastifyReply, request: StoredRequest, stored?: StoredAnswer): FastifyReply {
    const { gate, sessions, keeper } = this.#options;
    const session = request.session === undefined ? undefined : sessions.find(request.session);
    const balance = session && keeper.balance(session);
    const transaction = request.transaction ?? session?.transaction;
    reply.headers({
      "x-processing-hash": request.requestId,
      "cache-control": "private, no-store",
      ...(request.scheme !== "none" && {
        "payment-response": gate.response(paymentResponse(request, stored?.feeWei, transaction, balance)),
      }),
    });
    if (stored === undefined) return reply;
    return reply.type(stored.contentType).header("x-inference-receipt", Buffer.from(stored.proof).toString("base64"));
  }
}

/** Headers are out when a stream fails: OpenAI clients understand an event with an error. */
async function* withErrorEvent(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  try {
    yield* chunks;
  } catch (error) {
    yield encodeEvent(JSON.stringify(asGatewayError(error).toBody()));
  }
}

/** A sealed stream that fails ends without its last chunk, which the client notices. */
async function* withoutError(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  try {
    yield* chunks;
  } catch {
    // logged where it happened
  }
}

function sendError(reply: FastifyReply, error: GatewayError): FastifyReply {
  if (error.retryAfterSeconds !== undefined) reply.header("retry-after", error.retryAfterSeconds);
  if (error instanceof SealedRefusedError) return reply.code(error.status).type(OHTTP_RESPONSE).send(error.sealed);
  return reply.code(error.status).send(error.toBody());
}

/** Fastify's own refusals carry a status: body too large, unsupported media type, … */
function fromFastify(error: unknown): GatewayError {
  const status = error instanceof Error && "statusCode" in error ? Number(error.statusCode) : 500;
  if (error instanceof GatewayError || status >= 500 || !(error instanceof Error)) return asGatewayError(error);
  const code = "code" in error ? String(error.code).toLowerCase() : "bad_request";
  return new GatewayError(status, "invalid_request_error", code, error.message);
}
