import type { Socket } from "node:net";
import Fastify, { type FastifyInstance } from "fastify";
import type { HttpLimits } from "./HttpLimits.ts";

/** What a server says about a request it does not take, in the shape of its API. */
export type RefusalBody = (status: number, code: string, message: string) => object;

export interface HttpAppOptions {
  limits: HttpLimits;
  refusalBody: RefusalBody;
  /** Serves HTTPS, TLS 1.2 or later, with this certificate and key, PEM. Default: plain HTTP. */
  tls?: { key: string; cert: string } | undefined;
}

/** Of a path, characters: ids of payments are about 200. */
const MAX_PARAMETER = 512;

/** A Fastify instance that keeps to `limits` from the first byte of a connection on. */
export function createHttpApp({ limits, refusalBody, tls }: HttpAppOptions): FastifyInstance {
  const server = {
    maxHeaderSize: limits.headerBytes,
    headersTimeout: Math.min(limits.headersMs, limits.requestMs),
    connectionsCheckingInterval: limits.checkMs,
  };
  const options = {
    bodyLimit: limits.bodyBytes,
    requestTimeout: limits.requestMs,
    connectionTimeout: limits.idleMs,
    keepAliveTimeout: limits.keepAliveMs,
    trustProxy: limits.trustProxy,
    routerOptions: { maxParamLength: MAX_PARAMETER },
    clientErrorHandler: (error: Error, socket: Socket) => refuseUnread(error, socket, refusalBody),
  };
  // its type names the server, of which the rest uses what both kinds have
  const app = (
    tls === undefined
      ? Fastify({ ...options, http: server })
      : Fastify({ ...options, https: { ...server, ...tls, minVersion: "TLSv1.2" } })
  ) as FastifyInstance;
  app.server.maxConnections = limits.connections;
  // before version 24 Node leaves out what is above its limit, a payment perhaps: one more shows that there were too many
  app.server.maxHeadersCount = limits.headerCount + 1;
  app.addHook("onRequest", (request, reply, done) => {
    if (request.raw.rawHeaders.length <= 2 * limits.headerCount) return done();
    void reply
      .code(431)
      .header("connection", "close")
      .send(refusalBody(431, "headers_too_large", TOO_LARGE));
  });
  return app;
}

const TOO_LARGE = "The request has too many headers, or too long ones";

const UNREADABLE: Record<string, [status: number, reason: string, code: string, message: string]> = {
  HPE_HEADER_OVERFLOW: [431, "Request Header Fields Too Large", "headers_too_large", TOO_LARGE],
  ERR_HTTP_REQUEST_TIMEOUT: [408, "Request Timeout", "request_timeout", "The request took too long to arrive"],
};

/** Answers what never became a request. A connection on which an answer is under way is only closed: this one would be taken for it. */
function refuseUnread(error: Error & { code?: string }, socket: Socket, refusalBody: RefusalBody): void {
  const answering = (socket as { _httpMessage?: { headersSent: boolean } | null })._httpMessage?.headersSent === true;
  if (error.code === "ECONNRESET" || !socket.writable || answering) {
    socket.destroy();
    return;
  }
  const [status, reason, code, message] = UNREADABLE[error.code ?? ""] ?? [
    400,
    "Bad Request",
    "malformed_http",
    "Expected a well-formed HTTP/1.1 request",
  ];
  const body = JSON.stringify(refusalBody(status, code, message));
  socket.end(
    `HTTP/1.1 ${status} ${reason}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    () => socket.destroy(),
  );
}
