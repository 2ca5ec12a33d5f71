import type { FastifyInstance } from "fastify";
import type { Registry } from "prom-client";

export const METRICS_ROUTE = "/metrics";

/** `GET /metrics`: the registry as Prometheus reads it. */
export function addMetricsRoute(app: FastifyInstance, registry: Registry): void {
  app.get(METRICS_ROUTE, async (_request, reply) =>
    reply
      .type(registry.contentType)
      .header("cache-control", "no-store")
      .send(await registry.metrics()),
  );
}
