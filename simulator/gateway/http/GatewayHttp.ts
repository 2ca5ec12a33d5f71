import rateLimit from "@fastify/rate-limit";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { createHttpApp } from "../../http/createHttpApp.ts";
import { resolveLimits, type HttpLimits } from "../../http/HttpLimits.ts";
import { addMetricsRoute } from "../../http/metricsRoute.ts";
import { addOpenApi } from "../../http/openApi.ts";
import type { VoucherObserver } from "../channels/fastPath.ts";
import { GatewayError } from "../GatewayError.ts";
import type { PaymentRail } from "../PaymentCollector.ts";
import { gatewayApi } from "./gatewayApi.ts";
import { GatewayMetrics, type GatewayState } from "./GatewayMetrics.ts";
import { paymentHeaderOf } from "./paymentHeader.ts";

declare module "fastify" {
  interface FastifyRequest {
    /** Verified payer, once known. */
    payer: string;
  }
}

const MINUTE_MS = 60_000;
/** Clients remembered for their rate, at most. */
const CLIENTS = 20_000;

type Count = ReturnType<FastifyInstance["createRateLimit"]>;
type CountOptions = NonNullable<Parameters<Count>[1]>;

/** What is around a gateway's routes: limits, rates, `/metrics` and `/openapi.json`. */
export class GatewayHttp {
  readonly limits: HttpLimits;
  readonly metrics = new GatewayMetrics();
  /** Counters of refusals per address and of purchases per payer, there once the app is ready. */
  #refusals: Count | undefined;
  #purchases: Count | undefined;

  constructor(limits: Partial<HttpLimits> = {}) {
    this.limits = resolveLimits(limits);
  }

  /** The server to add routes to, in `after`. */
  createApp(tls?: { key: string; cert: string }): FastifyInstance {
    const app = createHttpApp({
      limits: this.limits,
      refusalBody: (status, code, message) => new GatewayError(status, "invalid_request_error", code, message).toBody(),
      tls,
    });
    this.metrics.http.watch(app);
    app.decorateRequest("payer", "");
    void app.register(rateLimit, { global: false, cache: CLIENTS });
    addOpenApi(app, gatewayApi);
    app.after(() => {
      const { refusalsPerMinute, paidPerMinute } = this.limits;
      const limit = (max: number): object => ({ max, timeWindow: MINUTE_MS, cache: CLIENTS });
      if (Number.isFinite(refusalsPerMinute)) this.#refusals = app.createRateLimit(limit(refusalsPerMinute));
      if (Number.isFinite(paidPerMinute)) {
        const keyGenerator = ({ payer }: FastifyRequest): string => payer;
        this.#purchases = app.createRateLimit({ ...limit(paidPerMinute), keyGenerator });
      }
      addMetricsRoute(app, this.metrics.registry);
    });
    return app;
  }

  /** Shows a gateway's state in the metrics, and what becomes of its payments. */
  watch(rail: Pick<PaymentRail, "onOutcome">, state: GatewayState): void {
    this.metrics.show(state);
    rail.onOutcome(({ status, requirements, amountWei }) => {
      const { scheme } = requirements;
      this.metrics.payment(scheme, status === "settled" ? "settled" : "dead");
      if (status === "settled") this.metrics.charged(scheme, amountWei);
    });
  }

  /**
   * The PAYMENT-SIGNATURE of a request, if any.
   * @throws GatewayError 400, 431; 429 when its sender was refused too often: checking payments costs more than sending them.
   */
  async payment(request: FastifyRequest): Promise<string | undefined> {
    const header = paymentHeaderOf(request.headers, this.limits.paymentHeaderBytes);
    if (header !== undefined) await this.requireWelcome(request);
    return header;
  }

  /** @throws GatewayError 429 for a sender who was refused too often. */
  requireWelcome(request: FastifyRequest): Promise<void> {
    return this.#count(this.#refusals, request, { increment: false });
  }

  /** Counts a request that is about to be refused. @throws GatewayError 429 instead. */
  async refuse(request: FastifyRequest, reason: string): Promise<void> {
    this.metrics.refused(reason);
    await this.#count(this.#refusals, request);
  }

  /** Counts a verified payment, before anything is done for it. @throws GatewayError 429 */
  async admit(request: FastifyRequest, payer: string, scheme: string): Promise<void> {
    request.payer = payer;
    request.paidBy = scheme;
    await this.#count(this.#purchases, request);
    this.metrics.payment(scheme, "accepted");
  }

  /** Counts what a lane answers before Fastify sees it. */
  observerOf(scheme: string): VoucherObserver {
    const { metrics } = this;
    return {
      taken: (route, res) => {
        const startedAt = performance.now();
        res.once("close", () =>
          metrics.http.observe("POST", route, res.statusCode, scheme, (performance.now() - startedAt) / 1000),
        );
      },
      admitted: () => metrics.payment(scheme, "accepted"),
      refused: (reason) => metrics.refused(reason),
    };
  }

  async #count(count: Count | undefined, request: FastifyRequest, options?: CountOptions): Promise<void> {
    const counted = await count?.(request, options);
    if (counted === undefined || counted.isAllowed || !counted.isExceeded) return;
    throw new GatewayError(
      429,
      "rate_limit_error",
      "rate_limit_exceeded",
      `Expected at most ${counted.max} such requests per minute; try again in ${counted.ttlInSeconds} s`,
      { retryAfterSeconds: Math.max(1, counted.ttlInSeconds) },
    );
  }
}
