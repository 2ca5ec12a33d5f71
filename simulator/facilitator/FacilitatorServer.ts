import type { PaymentPayload, PaymentRequirements } from "@x402/core/types";
import Fastify, { type FastifyInstance } from "fastify";
import type { Logger } from "pino";
import { z } from "zod";
import type { Facilitator } from "./Facilitator.ts";

export interface FacilitatorServerOptions {
  facilitator: Facilitator;
  logger: Logger;
  /** Default 127.0.0.1. */
  host?: string;
  /** Default 0: any free port. */
  port?: number;
  /** When set, POST requests need `Authorization: Bearer <token>`. */
  token?: string;
}

/** The envelope; the facilitator parses what is inside. */
const requestSchema = z.object({
  x402Version: z.literal(2),
  paymentPayload: z.record(z.string(), z.unknown()),
  paymentRequirements: z.record(z.string(), z.unknown()),
});

/** A payload is below 4 kB; nothing larger is worth parsing. */
const BODY_LIMIT = 64 * 1024;

/** The facilitator over the standard x402 HTTP API: GET /supported, POST /verify, POST /settle; and GET /health. */
export class FacilitatorServer {
  readonly #options: FacilitatorServerOptions;
  readonly #app: FastifyInstance;
  #url: string | undefined;

  constructor(options: FacilitatorServerOptions) {
    this.#options = options;
    this.#app = Fastify({ bodyLimit: BODY_LIMIT, forceCloseConnections: true });
    const { facilitator, logger, token } = options;
    this.#app.addHook("onRequest", async (request, reply) => {
      if (token === undefined || request.method !== "POST") return;
      if (request.headers.authorization !== `Bearer ${token}`) {
        await reply.code(401).send({ error: "unauthorized" });
      }
    });
    this.#app.setErrorHandler(async (error, _request, reply) => {
      if (error instanceof z.ZodError) return reply.code(400).send({ error: z.prettifyError(error) });
      const status = error instanceof Error && "statusCode" in error ? Number(error.statusCode) : 500;
      if (status >= 500) logger.error({ err: error }, "facilitator request failed");
      return reply.code(status).send({ error: error instanceof Error ? error.message : "internal error" });
    });
    this.#app.get("/supported", () => facilitator.getSupported());
    this.#app.get("/health", async () => ({
      status: "ok",
      network: facilitator.network,
      payments: await facilitator.store.counts(),
    }));
    // a refusal is an answer: 200 with a reason. 400 is for what is no x402 request at all.
    this.#app.post("/verify", async ({ body }) => {
      const { paymentPayload, paymentRequirements } = requestSchema.parse(body);
      return facilitator.verify(paymentPayload as PaymentPayload, paymentRequirements as PaymentRequirements);
    });
    this.#app.post("/settle", async ({ body }) => {
      const { paymentPayload, paymentRequirements } = requestSchema.parse(body);
      return facilitator.settle(paymentPayload as PaymentPayload, paymentRequirements as PaymentRequirements);
    });
  }

  /** Base URL; known once started. */
  get url(): string {
    if (this.#url === undefined) throw new Error("FacilitatorServer is not started");
    return this.#url;
  }

  async start(): Promise<void> {
    const { host = "127.0.0.1", port = 0 } = this.#options;
    this.#url = await this.#app.listen({ host, port });
  }

  async stop(): Promise<void> {
    await this.#app.close();
  }
}
