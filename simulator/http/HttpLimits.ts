import type { FastifyServerOptions } from "fastify";

/** How much of a server one client may use. Every option has a default; `resolveLimits` fills them in. */
export interface HttpLimits {
  /** Largest request body. Gateway 4 MiB, facilitator 64 KiB. */
  bodyBytes: number;
  /** All header lines of a request together. Default 24 KiB: more is answered 431 without being read. */
  headerBytes: number;
  /** Header lines of a request. Default 100: more is answered 431. */
  headerCount: number;
  /** The PAYMENT-SIGNATURE, as base64. Default 8 KiB: more is answered 431. Real ones are below 2 KiB. */
  paymentHeaderBytes: number;
  /** Time for the request line and headers, milliseconds. Default 10,000; then 408. */
  headersMs: number;
  /** Time for the whole request, body included, milliseconds. Default 30,000; then 408. Answers take what they take. */
  requestMs: number;
  /** A connection on which nothing moves for so long is closed, milliseconds. Default 300,000: longer than any inference is silent. */
  idleMs: number;
  /** How long a connection is kept open for a next request, milliseconds. Default 72,000. */
  keepAliveMs: number;
  /** How often the times above are looked at, milliseconds. Default 5,000. */
  checkMs: number;
  /** Connections at once; further ones are closed unanswered. Default 10,000. */
  connections: number;
  /** Unpaid and refused requests per minute of one client address (IPv6: of its /64). Default 6,000; `Infinity` for no limit. */
  refusalsPerMinute: number;
  /** Paid requests per minute of one payer, counted once the payment is verified. Default 120,000; `Infinity` for no limit. */
  paidPerMinute: number;
  /**
   * Whose word to take for the client's address (X-Forwarded-For) and scheme (X-Forwarded-Proto): as Fastify's option of this name, e.g.
   * the proxy's address. Default false: a client could name any address.
   */
  trustProxy: NonNullable<FastifyServerOptions["trustProxy"]>;
}

const KIB = 1024;

export const DEFAULT_HTTP_LIMITS: HttpLimits = {
  bodyBytes: 4 * KIB * KIB,
  headerBytes: 24 * KIB,
  headerCount: 100,
  paymentHeaderBytes: 8 * KIB,
  headersMs: 10_000,
  requestMs: 30_000,
  idleMs: 300_000,
  keepAliveMs: 72_000,
  checkMs: 5_000,
  connections: 10_000,
  refusalsPerMinute: 6_000,
  paidPerMinute: 120_000,
  trustProxy: false,
};

export const resolveLimits = (limits: Partial<HttpLimits> = {}): HttpLimits => ({ ...DEFAULT_HTTP_LIMITS, ...limits });
