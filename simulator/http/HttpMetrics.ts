import type { FastifyInstance } from "fastify";
import { Counter, Histogram, type Registry } from "prom-client";

declare module "fastify" {
  interface FastifyRequest {
    /** How the request was paid, for the metrics: an x402 scheme, or "none". */
    paidBy: string;
  }
}

/** Seconds. From what a stored answer takes to the longest inference. */
const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120];

/** Requests of a server by route, status and scheme, and how long they took. Two counters per request, below a microsecond together. */
export class HttpMetrics {
  readonly #requests: Counter<"method" | "route" | "status" | "scheme">;
  readonly #seconds: Histogram<"route">;

  /** @param prefix of the metrics' names, e.g. "gateway". */
  constructor(prefix: string, registry: Registry) {
    this.#requests = new Counter({
      name: `${prefix}_http_requests_total`,
      help: "Requests answered, by route, status and how they were paid.",
      labelNames: ["method", "route", "status", "scheme"],
      registers: [registry],
    });
    this.#seconds = new Histogram({
      name: `${prefix}_http_request_duration_seconds`,
      help: "From a request's headers to the end of its answer.",
      labelNames: ["route"],
      buckets: BUCKETS,
      registers: [registry],
    });
  }

  /** Counts one answered request. `route` is the pattern, never the path: its number of values has to stay small. */
  observe(method: string, route: string, status: number, scheme: string, seconds: number): void {
    this.#requests.inc({ method, route, status: String(status), scheme });
    this.#seconds.observe({ route }, seconds);
  }

  /** Counts every request of `app`, those without a route as "unmatched". */
  watch(app: FastifyInstance): void {
    app.decorateRequest("paidBy", "none");
    app.addHook("onResponse", (request, reply, done) => {
      const route = request.routeOptions.url;
      // a method without a route can be anything the parser knows
      const method = route === undefined ? "any" : request.method;
      this.observe(method, route ?? "unmatched", reply.statusCode, request.paidBy, reply.elapsedTime / 1000);
      done();
    });
  }
}
