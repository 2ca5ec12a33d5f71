import { Readable } from "node:stream";
import type { Network } from "@x402/core/types";
import type { FastifyInstance, FastifyPluginCallback, FastifyReply, FastifyRequest } from "fastify";
import type { Provider } from "ethers";
import type { Logger } from "pino";
import type { HttpLimits } from "../http/HttpLimits.ts";
import { SEALED_CONFIG_ROUTE } from "../nodes/SealedRoutes.ts";
import { OHTTP_CHUNKED_RESPONSE, OHTTP_KEYS, OHTTP_REQUEST, OHTTP_RESPONSE } from "../ohttp/suite.ts";
import type { PaidKind, RequestKind } from "../receipts/hashes.ts";
import type { Hex, SettlementDomain } from "../receipts/types.ts";
import { asGatewayError } from "./askNode.ts";
import { Checkout, type Admit, nodeDown, offersFor, type Purchase } from "./Checkout.ts";
import { GatewayError } from "./GatewayError.ts";
import { GatewayHttp } from "./http/GatewayHttp.ts";
import { InferenceDriver } from "./InferenceDriver.ts";
import { NodeDirectory, type NodeEndpoint } from "./NodeDirectory.ts";
import { PayerBalances } from "./PayerBalances.ts";
import { PaymentCollector, type PaymentRail, type SettlementTiming } from "./PaymentCollector.ts";
import { PaymentGate } from "./PaymentGate.ts";
import { parseModelRequest, routeOf, ROUTES, type ModelRequest } from "./requestSchemas.ts";
import { RequestStore, type StoredAnswer, type StoredRequest } from "./RequestStore.ts";
import { parseSealedRequest, SealedRefusedError } from "./sealedRequests.ts";
import { encodeEvent } from "./serverSentEvents.ts";

/** A certificate and its key: what an enclave's attestation binds. */
export interface TlsIdentity {
  /** PEM. */
  key: string;
  /** PEM; of a chain the first is the gateway's own. */
  cert: string;
}

export interface GatewayOptions {
  /** ProofSettlement and its chain: receipts are for it, payments on it. */
  domain: SettlementDomain;
  /** OPG, or any ERC-3009 token with its EIP-712 domain. */
  asset: Hex;
  provider: Provider;
  rail: PaymentRail;
  /** The operator's nodes. */
  nodes: NodeEndpoint[];
  /** SQLite file of requests and answers. */
  storeFile: string;
  logger: Logger;
  /** Default 127.0.0.1. */
  host?: string;
  /** Default 0: any free port. */
  port?: number;
  /** Serves HTTPS, TLS 1.2 or later, with this identity. Default: plain HTTP. */
  tls?: TlsIdentity;
  /** Further routes, such as an enclave's: Fastify plugins, each in a scope of its own. */
  plugins?: readonly FastifyPluginCallback[];
  /** Default "deferred". */
  timing?: SettlementTiming;
  /** What one payer may owe at most, wei. Default 10 OPG. */
  exposureCapWei?: bigint;
  /** How long payments are asked to be valid. Default 3,600. */
  paymentValiditySeconds?: number;
  /** Default 120,000. */
  answerTimeoutMs?: number;
  /** How long an answer that is paid for can be fetched again. Default one hour. */
  replayMs?: number;
  /** How long a node that cannot be reached is tried again. Default 3,000. */
  nodeRetryMs?: number;
  /** The same for requests an earlier run had reserved. Default 60,000. */
  recoveryMs?: number;
  /** Default 5,000. */
  nodePollMs?: number;
  /** How much of the gateway one client may use. Each has a default. */
  limits?: Partial<HttpLimits>;
  /** How long `stop` waits for inferences under way. Default 10,000. */
  drainMs?: number;
  /** How often payments that could not be handed to the facilitator are tried again. Default 5,000. */
  sweepMs?: number;
  /** How long a payer's balance is taken as known. Default 2,000. */
  balanceTtlMs?: number;
}

const DEFAULT_EXPOSURE_CAP_WEI = 10n * 10n ** 18n;
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;
const PURGE_MS = 60_000;
const IDLE_CHECK_MS = 20;
/** After the longest inference there still has to be time to get a transaction mined. */
const SETTLEMENT_MARGIN_SECONDS = 60;

/**
 * OpenAI-compatible HTTP API in front of one operator's inference nodes, paid per request by x402. Each payment buys one inference;
 * what was bought survives a crash of the gateway, a node or the connection.
 */
export class Gateway {
  readonly store: RequestStore;
  readonly directory: NodeDirectory;
  readonly #options: GatewayOptions;
  readonly #http: GatewayHttp;
  readonly #app: FastifyInstance;
  readonly #gate: PaymentGate;
  readonly #collector: PaymentCollector;
  readonly #driver: InferenceDriver;
  readonly #checkout: Checkout;
  #purge: NodeJS.Timeout | undefined;
  #url: string | undefined;

  constructor(options: GatewayOptions) {
    const logger = options.logger.child({ actor: "gateway" });
    const { domain, asset, provider, rail, answerTimeoutMs = 120_000 } = options;
    const network: Network = `eip155:${domain.chainId}`;
    this.#options = options;
    this.#http = new GatewayHttp(options.limits);
    this.store = new RequestStore(options.storeFile);
    this.directory = new NodeDirectory({
      nodes: options.nodes,
      logger,
      ...(options.nodePollMs !== undefined && { pollMs: options.nodePollMs }),
    });
    this.#gate = new PaymentGate({ rail, network, asset, validitySeconds: options.paymentValiditySeconds ?? 3_600 });
    const balances = new PayerBalances(provider, asset, options.balanceTtlMs ?? 2_000);
    this.#collector = new PaymentCollector({
      store: this.store,
      rail,
      balances,
      timing: options.timing ?? "deferred",
      logger,
      sweepMs: options.sweepMs ?? 5_000,
    });
    this.#driver = new InferenceDriver({
      store: this.store,
      directory: this.directory,
      collector: this.#collector,
      domain,
      logger,
      answerTimeoutMs,
      retryMs: options.nodeRetryMs ?? 3_000,
      recoveryMs: options.recoveryMs ?? 60_000,
      maxAnswerBytes: MAX_ANSWER_BYTES,
    });
    this.#checkout = new Checkout({
      gate: this.#gate,
      store: this.store,
      driver: this.#driver,
      collector: this.#collector,
      directory: this.directory,
      rail,
      balances,
      domain,
      exposureCapWei: options.exposureCapWei ?? DEFAULT_EXPOSURE_CAP_WEI,
      minValiditySeconds: Math.ceil(answerTimeoutMs / 1000) + SETTLEMENT_MARGIN_SECONDS,
    });
    this.#app = this.#routes(logger);
    this.#http.watch(rail, {
      inferences: () => this.#driver.underWay,
      requests: () => this.store.counts(),
      outstandingWei: () => this.store.outstandingWei(),
    });
  }

  /** Base URL without a path; known once started. OpenAI clients take it with "/v1". */
  get url(): string {
    if (this.#url === undefined) throw new Error("Gateway is not started");
    return this.#url;
  }

  /** Takes up what an earlier run left, then listens. */
  async start(): Promise<void> {
    await Promise.all([this.#gate.start(), this.directory.start()]);
    await this.#collector.start();
    this.#driver.recover();
    this.#purge = setInterval(() => this.#forgetOld(), PURGE_MS);
    this.#purge.unref();
    this.#url = await this.#app.listen({ host: this.#options.host ?? "127.0.0.1", port: this.#options.port ?? 0 });
  }

  /** Refuses new requests, lets those under way end for a while, and keeps the rest for the next run. */
  async stop(): Promise<void> {
    clearInterval(this.#purge);
    const closing = this.#app.close();
    // connections that a client keeps open after its answer would hold the server up
    const idle = setInterval(() => this.#app.server.closeIdleConnections(), IDLE_CHECK_MS);
    await this.#driver.stop(this.#options.drainMs ?? 10_000);
    await closing;
    clearInterval(idle);
    await this.#collector.stop();
    this.directory.stop();
    this.store.close();
  }

  #routes(logger: Logger): FastifyInstance {
    const { tls, plugins = [] } = this.#options;
    const app = this.#http.createApp(tls);
    // raw bytes: they are hashed and passed on as they came
    app.removeAllContentTypeParsers();
    app.addContentTypeParser(
      ["application/json", OHTTP_REQUEST],
      { parseAs: "buffer" },
      (_request, body: Buffer, done) => done(null, body),
    );
    app.after(() => {
      // the payment is checked in the handler itself, so that no spelling of a path leads around it
      for (const kind of [...(Object.keys(ROUTES) as RequestKind[]), "sealed"] as const) {
        app.post(routeOf(kind), (request, reply) => this.#serve(kind, request, reply));
      }
      app.get(SEALED_CONFIG_ROUTE, (_request, reply) =>
        reply.type(OHTTP_KEYS).header("cache-control", "no-store").send(this.directory.keyConfigs()),
      );
      for (const plugin of plugins) app.register(plugin);
      app.get("/v1/models", () => this.#models());
      app.get("/health", () => this.#health());
    });
    app.setNotFoundHandler(({ method, url }, reply) =>
      sendError(reply, new GatewayError(404, "invalid_request_error", "unknown_url", `No route ${method} ${url}`)),
    );
    app.setErrorHandler((error, _request, reply) => {
      const known = fromFastify(error);
      if (known.status >= 500) logger.error({ err: error }, "request failed");
      return sendError(reply, known);
    });
    return app;
  }

  async #serve(kind: PaidKind, http: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const raw = Buffer.isBuffer(http.body) ? http.body : Buffer.alloc(0);
    const request = kind === "sealed" ? parseSealedRequest(http.headers, raw) : parseModelRequest(kind, raw);
    const admit: Admit = (payer, scheme) => this.#http.admit(http, payer, scheme);
    try {
      const header = await this.#http.payment(http);
      if (header === undefined) {
        if (!offersFor(this.directory, request).some(({ node }) => this.directory.isUp(node))) throw nodeDown();
        throw new GatewayError(
          402,
          "payment_required",
          "payment_required",
          "This request has to be paid for: sign one of `accepts`",
        );
      }
      return await this.#deliver(request, await this.#checkout.buy(request, header, admit), reply);
    } catch (error) {
      if (!(error instanceof GatewayError) || error.status !== 402) throw error;
      await this.#http.refuse(http, error.code);
      const url = `${http.protocol}://${http.host}${routeOf(kind)}`;
      const required = await this.#gate.paymentRequired(offersFor(this.directory, request), url, error);
      return reply
        .code(402)
        .header("payment-required", required.header)
        .header("cache-control", "no-store")
        .send(required.body);
    }
  }

  async #deliver({ stream, kind }: ModelRequest, purchase: Purchase, reply: FastifyReply): Promise<FastifyReply> {
    const { request } = purchase;
    if ("stored" in purchase) return this.#headers(reply, request, purchase.stored).send(purchase.stored.body);
    const { answer } = purchase;
    if (!stream) {
      const stored = await answer.completed;
      return this.#headers(reply, this.store.find(request.key) ?? request, stored).send(stored.body);
    }
    await answer.started;
    this.#headers(reply, request).type(kind === "sealed" ? OHTTP_CHUNKED_RESPONSE : "text/event-stream; charset=utf-8");
    const parts = kind === "sealed" ? withoutError(answer.follow()) : withErrorEvent(answer.follow());
    return reply.send(Readable.from(parts, { objectMode: false }));
  }

  #headers(reply: FastifyReply, request: StoredRequest, stored?: StoredAnswer): FastifyReply {
    reply.headers({
      "payment-response": this.#gate.response(request),
      "x-processing-hash": request.requestId,
      "cache-control": "private, no-store",
    });
    if (stored === undefined) return reply;
    return reply.type(stored.contentType).header("x-inference-receipt", Buffer.from(stored.proof).toString("base64"));
  }

  #models(): object {
    const data = this.directory.available().map(({ model, modelId, kind, modes, feeWei, payTo, operator }) => ({
      id: model,
      object: "model",
      created: 0,
      owned_by: operator,
      opengradient: { modelId, kind, modes, feeWei: feeWei.toString(), asset: this.#options.asset, payTo, operator },
    }));
    return { object: "list", data };
  }

  #health(): object {
    const nodes = this.directory.health();
    return {
      status: nodes.some(({ up }) => up) ? "ok" : "degraded",
      network: `eip155:${this.#options.domain.chainId}`,
      settlement: this.#options.domain.verifyingContract,
      nodes,
      requests: this.store.counts(),
    };
  }

  #forgetOld(): void {
    const now = Date.now();
    this.store.purge(now - (this.#options.replayMs ?? 3_600_000), Math.floor(now / 1000));
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
