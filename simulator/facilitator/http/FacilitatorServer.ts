import rateLimit from "@fastify/rate-limit";
import type { PaymentPayload, PaymentRequirements } from "@x402/core/types";
import type { FastifyInstance, FastifyRequest } from "fastify";
import type { Logger } from "pino";
import { z } from "zod";
import { createHttpApp } from "../../http/createHttpApp.ts";
import { resolveLimits, type HttpLimits } from "../../http/HttpLimits.ts";
import { addMetricsRoute, METRICS_ROUTE } from "../../http/metricsRoute.ts";
import { addOpenApi, OPENAPI_ROUTE } from "../../http/openApi.ts";
import type { Facilitator } from "../Facilitator.ts";
import { PaymentError } from "../PaymentError.ts";
import { addDataRoutes, type DataSettlement } from "./dataRoutes.ts";
import { facilitatorApi } from "./facilitatorApi.ts";
import { FacilitatorHttpError } from "./FacilitatorHttpError.ts";
import { FacilitatorMetrics } from "./FacilitatorMetrics.ts";
import { dataJobView, keyOfPaymentJob, paymentJobId, paymentJobView } from "./jobViews.ts";
import { Operators, type Operator } from "./Operators.ts";

export interface FacilitatorServerOptions {
  facilitator: Facilitator;
  logger: Logger;
  /** Default 127.0.0.1. */
  host?: string;
  /** Default 0: any free port. */
  port?: number;
  /** The same as one operator without a name of its own. */
  token?: string;
  /** When there are any, everything but `/supported`, `/health`, `/metrics` and `/openapi.json` needs the token of one. */
  operators?: readonly Operator[];
  /** OpenGradient's endpoints: `/settle_data`, `/usage`, `/heartbeat`. They need an operator even when nothing else does. */
  data?: DataSettlement;
  /** Each has a default; here a body is at most 1 MiB, and headers, which may hold an answer, 64 KiB. */
  limits?: Partial<HttpLimits>;
}

/** The envelope; the facilitator parses what is inside. */
const requestSchema = z.object({
  x402Version: z.literal(2),
  paymentPayload: z.record(z.string(), z.unknown()),
  paymentRequirements: z.record(z.string(), z.unknown()),
  /** OpenGradient's gateways add it to `/settle`. */
  usageMetadata: z
    .looseObject({ inputTokens: z.int().min(0).optional(), outputTokens: z.int().min(0).optional() })
    .optional(),
});

const LIMITS = { bodyBytes: 1024 * 1024, headerBytes: 64 * 1024 };
const OPEN_ROUTES: readonly string[] = ["/supported", "/health", METRICS_ROUTE, OPENAPI_ROUTE];
const MINUTE_MS = 60_000;
const RETRY_STATUS = 503;

/**
 * The facilitator over HTTP: x402's `/supported`, `/verify` and `/settle`, OpenGradient's `/settle/:jobId`, `/settle_data`, `/heartbeat`
 * and `/usage`; and `/health`, `/metrics`, `/openapi.json`.
 */
export class FacilitatorServer {
  readonly metrics = new FacilitatorMetrics();
  readonly #options: FacilitatorServerOptions;
  readonly #limits: HttpLimits;
  readonly #operators: Operators;
  readonly #senders = new WeakMap<FastifyRequest, Operator>();
  readonly #app: FastifyInstance;
  #unsubscribe: (() => void) | undefined;
  #url: string | undefined;

  constructor(options: FacilitatorServerOptions) {
    const { token, operators = [], limits } = options;
    this.#options = options;
    this.#limits = resolveLimits({ ...LIMITS, ...limits });
    this.#operators = new Operators([...(token === undefined ? [] : [{ name: "default", token }]), ...operators]);
    this.#app = this.#createApp();
  }

  /** Base URL; known once started. */
  get url(): string {
    if (this.#url === undefined) throw new Error("FacilitatorServer is not started");
    return this.#url;
  }

  async start(): Promise<void> {
    const { host = "127.0.0.1", port = 0, facilitator, data } = this.#options;
    this.#unsubscribe = facilitator.onOutcome((job) => this.metrics.ended(job));
    data?.settler.start();
    await data?.heartbeats?.start();
    this.#url = await this.#app.listen({ host, port });
  }

  async stop(): Promise<void> {
    this.#app.server.closeAllConnections();
    await this.#app.close();
    this.#unsubscribe?.();
    await this.#options.data?.settler.stop();
    await this.#options.data?.heartbeats?.stop();
  }

  #createApp(): FastifyInstance {
    const { facilitator, logger, data } = this.#options;
    const refusalBody = (_status: number, error: string, message: string): object => ({ error, message });
    const app = createHttpApp({ limits: this.#limits, refusalBody });
    this.metrics.http.watch(app);
    this.metrics.show("payments", "Payments by status; dead ones are dead letters when they were owed.", () =>
      facilitator.store.counts(),
    );
    this.metrics.showBacklog(() => facilitator.store.backlog());
    if (data) this.metrics.show("data_jobs", "Reported answers by status.", () => data.jobs.counts());
    app.setErrorHandler((error, _request, reply) => {
      const known = asHttpError(error);
      if (known.status >= 500) logger.error({ err: error }, "facilitator request failed");
      if (known.retryAfterSeconds !== undefined) reply.header("retry-after", known.retryAfterSeconds);
      return reply.code(known.status).send(known.toBody());
    });
    app.setNotFoundHandler((_request, reply) => reply.code(404).send(refusalBody(404, "not_found", "No such route")));
    this.#guard(app);
    addOpenApi(app, facilitatorApi);
    app.after(() => {
      addMetricsRoute(app, this.metrics.registry);
      this.#addPaymentRoutes(app);
      if (data) addDataRoutes(app, { ...data, facilitator, operatorOf: (request) => this.#operatorOf(request) });
    });
    return app;
  }

  /** Lets operators in, each as often as the limits say, and slows those down who guess at tokens. */
  #guard(app: FastifyInstance): void {
    const { refusalsPerMinute, paidPerMinute } = this.#limits;
    void app.register(rateLimit, { global: false });
    app.addHook("onRequest", async (request) => {
      if (this.#operators.size === 0 || OPEN_ROUTES.includes(request.routeOptions.url ?? "")) return;
      const operator = this.#operators.find(request.headers.authorization);
      if (operator === undefined) {
        await count(refusals, request);
        throw unauthorized();
      }
      this.#senders.set(request, operator);
      await count(requests, request);
    });
    type Count = ReturnType<FastifyInstance["createRateLimit"]>;
    let refusals: Count | undefined;
    let requests: Count | undefined;
    app.after(() => {
      const limit = (max: number): object => ({ max, timeWindow: MINUTE_MS });
      const keyGenerator = (request: FastifyRequest): string => this.#senders.get(request)?.name ?? "";
      if (Number.isFinite(refusalsPerMinute)) refusals = app.createRateLimit(limit(refusalsPerMinute));
      if (Number.isFinite(paidPerMinute)) requests = app.createRateLimit({ ...limit(paidPerMinute), keyGenerator });
    });
    const count = async (of: Count | undefined, request: FastifyRequest): Promise<void> => {
      const counted = await of?.(request);
      if (counted === undefined || counted.isAllowed || !counted.isExceeded) return;
      const message = `Expected at most ${counted.max} such requests per minute`;
      throw new FacilitatorHttpError(429, "rate_limit_exceeded", message, { retryAfterSeconds: counted.ttlInSeconds });
    };
  }

  #operatorOf(request: FastifyRequest): Operator {
    const operator = this.#senders.get(request);
    if (operator === undefined) throw unauthorized();
    return operator;
  }

  #addPaymentRoutes(app: FastifyInstance): void {
    const { facilitator, data } = this.#options;
    app.get("/supported", () => facilitator.getSupported());
    app.get("/health", async () => ({
      status: "ok",
      network: facilitator.network,
      payments: await facilitator.store.counts(),
    }));
    // a refusal is an answer: 200 with a reason. 400 is for what is no x402 request at all.
    app.post("/verify", async ({ body }) => {
      const { payload, requirements } = parseRequest(body);
      return facilitator.verify(payload, requirements);
    });
    app.post("/settle", async (request, reply) => {
      const { payload, requirements, usage } = parseRequest(request.body);
      if (!asksForJob(request)) {
        // sellers without a record of their own rely on it that one signature buys one answer
        const result = await facilitator.settle(payload, requirements, { repeated: "refuse" });
        const job = result.success ? await facilitator.job(payload, requirements) : undefined;
        if (job) await this.#record(request, job.key, job.amountWei, usage);
        return result;
      }
      // what is owed from now on has to be good now
      const {
        isValid,
        invalidReason = "invalid_payload",
        payer,
      } = await facilitator.verifySettlement(payload, requirements);
      if (!isValid) {
        return { success: false, errorReason: invalidReason, transaction: "", network: facilitator.network, payer };
      }
      const job = await facilitator.enqueue(payload, requirements);
      await this.#record(request, job.key, job.amountWei, usage);
      return reply
        .code(202)
        .header("preference-applied", "respond-async")
        .header("location", `/settle/${paymentJobId(job.key)}`)
        .send({ paymentJob: paymentJobView(job) });
    });
    app.get<{ Params: { jobId: string } }>("/settle/:jobId", async (request) => {
      const { jobId } = request.params;
      const key = keyOfPaymentJob(jobId);
      const payment = key === undefined ? undefined : await facilitator.store.find(key);
      if (payment) return paymentJobView(payment);
      const reported = key === undefined ? await data?.jobs.find(jobId) : undefined;
      if (reported && reported.operator === this.#operatorOf(request).name) return dataJobView(reported);
      throw new FacilitatorHttpError(404, "unknown_job", "There is no such job");
    });
  }

  async #record(request: FastifyRequest, payment: string, amountWei: bigint, usage: Usage): Promise<void> {
    const operator = this.#senders.get(request)?.name;
    const { inputTokens = 0, outputTokens = 0 } = usage ?? {};
    if (operator === undefined) return;
    const entry = { operator, payment, amountWei, inputTokens, outputTokens, atMs: Date.now() };
    await this.#options.data?.jobs.recordUsage(entry);
  }
}

type Usage = z.output<typeof requestSchema>["usageMetadata"];

function parseRequest(body: unknown): { payload: PaymentPayload; requirements: PaymentRequirements; usage: Usage } {
  const { paymentPayload, paymentRequirements, usageMetadata } = requestSchema.parse(body);
  return {
    payload: paymentPayload as unknown as PaymentPayload,
    requirements: paymentRequirements as unknown as PaymentRequirements,
    usage: usageMetadata,
  };
}

/** RFC 7240. x402's clients wait for the outcome; OpenGradient's gateways want a job to ask about. */
const asksForJob = ({ headers: { prefer } }: FastifyRequest): boolean =>
  String(prefer ?? "")
    .split(",")
    .some((preference) => /^\s*respond-async\s*(?:;|$)/i.test(preference));

const unauthorized = (): FacilitatorHttpError =>
  new FacilitatorHttpError(401, "unauthorized", "Expected Authorization: Bearer with the token of an operator");

function asHttpError(error: unknown): FacilitatorHttpError {
  if (error instanceof FacilitatorHttpError) return error;
  if (error instanceof z.ZodError) return new FacilitatorHttpError(400, "invalid_request", z.prettifyError(error));
  if (error instanceof PaymentError) return new FacilitatorHttpError(400, error.code, error.message);
  const status = error instanceof Error && "statusCode" in error ? Number(error.statusCode) : 500;
  if (status < 500 && error instanceof Error) {
    return new FacilitatorHttpError(
      status,
      "code" in error ? String(error.code).toLowerCase() : "bad_request",
      error.message,
    );
  }
  return new FacilitatorHttpError(RETRY_STATUS, "unavailable", "Not possible now; try again", {
    cause: error,
    retryAfterSeconds: 2,
  });
}
