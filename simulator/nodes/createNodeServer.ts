import { createHash, timingSafeEqual } from "node:crypto";
import { Readable } from "node:stream";

import Fastify, { type FastifyInstance } from "fastify";
import type { Logger } from "pino";

import { OHTTP_RESPONSE } from "../ohttp/suite.ts";
import type { RequestKind } from "../receipts/hashes.ts";
import type { Hex } from "../receipts/types.ts";
import { errorBody, NodeError, toNodeError } from "./NodeError.ts";
import { type NodePayment, parsePaymentHeader, PAYMENT_HEADER } from "./paymentHeader.ts";
import { SealedRefusal } from "./SealedRequests.ts";
import type { ReceiptPlace } from "./ReceiptPlaces.ts";
import { addSealedRoutes, type SealedRoutesOptions } from "./SealedRoutes.ts";
import { serverSentEvent } from "./serverSentEvent.ts";
import { addSettlementRoute } from "./settlementRoute.ts";
import type { ServedProof } from "./zk/ProofDesk.ts";
import { addProofRoute } from "./zk/servedProof.ts";

/** The paid routes by what they serve. */
export const ROUTES: Readonly<Record<RequestKind, string>> = {
  chat: "/v1/chat/completions",
  completion: "/v1/completions",
  inference: "/v1/inference",
};

/** An answer to pass on: a JSON body, or an event stream, in pieces. */
export interface NodeAnswer {
  streamed: boolean;
  pieces: AsyncIterable<string>;
}

export interface NodeServerOptions {
  /** What `Authorization: Bearer …` has to carry, on every route but /health. */
  bearerToken: string;
  bodyLimitBytes: number;
  kinds: readonly RequestKind[];
  health: () => object;
  models: () => readonly object[];
  /** Where a receipt is settled; undefined for a request without an answer. */
  placeOf: (requestId: Hex) => ReceiptPlace | undefined;
  /** Rejects with an error that `toNodeError` understands. */
  answer: (kind: RequestKind, body: Buffer, payment: NodePayment) => Promise<NodeAnswer>;
  /** The proof of an answer in mode ZKML, or how far it is; undefined for none. */
  proof: (requestId: Hex) => Promise<ServedProof | undefined>;
  /** For a node that has a key to open sealed requests with. */
  sealed?: SealedRoutesOptions | undefined;
  logger: Logger;
}

/** The private HTTP API of an inference node, not yet listening. */
export function createNodeServer(options: NodeServerOptions): FastifyInstance {
  const { bearerToken, bodyLimitBytes, kinds, health, models, placeOf, answer, proof, sealed, logger } = options;
  const server = Fastify({ bodyLimit: bodyLimitBytes, forceCloseConnections: true });
  const expected = digest(`Bearer ${bearerToken}`);

  // The body is hashed as it came, so it is not parsed here.
  server.removeAllContentTypeParsers();
  server.addContentTypeParser("application/json", { parseAs: "buffer" }, (_request, body, done) => done(null, body));
  server.addHook("onRequest", (request, _reply, done) => {
    const open = request.routeOptions.url === "/health";
    const allowed = open || timingSafeEqual(digest(request.headers.authorization ?? ""), expected);
    done(allowed ? undefined : new NodeError(401, "unauthorized", "expected the operator's bearer token"));
  });
  server.setErrorHandler((error, request, reply) => {
    const answered = fromFastify(error) ?? toNodeError(error);
    const level = answered.status >= 500 ? "error" : "debug";
    logger[level]({ err: answered.cause ?? answered, code: answered.code, path: request.url }, "request failed");
    if (answered instanceof SealedRefusal) {
      return reply.code(answered.status).type(OHTTP_RESPONSE).send(answered.sealed);
    }
    if (answered.retryAfterSeconds !== undefined) reply.header("retry-after", answered.retryAfterSeconds);
    return reply.code(answered.status).send(errorBody(answered));
  });
  server.setNotFoundHandler((request) => {
    throw new NodeError(404, "not_found", `${request.method} ${request.url} is not served here`);
  });

  server.get("/health", () => health());
  server.get("/models", () => ({
    models: models(),
    ...(sealed && { sealing: { keyConfigs: sealed.keyConfigs.toString("base64"), teeId: sealed.teeId } }),
  }));
  addSettlementRoute(server, placeOf);
  if (sealed !== undefined) addSealedRoutes(server, sealed);
  addProofRoute(server, proof);
  for (const kind of kinds) {
    server.post(ROUTES[kind], async (request, reply) => {
      if (!Buffer.isBuffer(request.body)) throw new NodeError(400, "invalid_request", "expected a JSON body");
      const payment = parsePaymentHeader(request.headers[PAYMENT_HEADER]);
      const { streamed, pieces } = await answer(kind, request.body, payment);
      if (!streamed) return reply.type("application/json; charset=utf-8").send(await joined(pieces));
      return reply
        .type("text/event-stream; charset=utf-8")
        .header("cache-control", "no-cache")
        .send(Readable.from(reportingFailure(pieces, logger)));
    });
  }
  return server;
}

async function joined(pieces: AsyncIterable<string>): Promise<string> {
  let text = "";
  for await (const piece of pieces) text += piece;
  return text;
}

/** A stream that has begun cannot change its status: a failure becomes its last event, without `[DONE]`. */
async function* reportingFailure(pieces: AsyncIterable<string>, logger: Logger): AsyncGenerator<string, void> {
  try {
    yield* pieces;
  } catch (error) {
    const failure = toNodeError(error);
    logger.error({ err: failure.cause ?? failure, code: failure.code }, "stream failed");
    yield serverSentEvent(errorBody(failure));
  }
}

/** Fastify's own errors about a request: too large, another media type, cut short. */
function fromFastify(error: unknown): NodeError | undefined {
  if (!(error instanceof Error) || !("statusCode" in error) || !("code" in error)) return undefined;
  const { statusCode, code, message } = error;
  if (typeof statusCode !== "number" || typeof code !== "string" || statusCode >= 500) return undefined;
  const named = code === "FST_ERR_CTP_BODY_TOO_LARGE" ? "request_too_large" : "invalid_request";
  return new NodeError(statusCode, named, message, { cause: error });
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
