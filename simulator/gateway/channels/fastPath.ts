import type { IncomingHttpHeaders, IncomingMessage, Server, ServerResponse } from "node:http";
import type { RequestKind } from "../../receipts/hashes.ts";
import { GatewayError } from "../GatewayError.ts";
import { ROUTES } from "../requestSchemas.ts";
import type { LaneRequest } from "./ChannelLane.ts";
import { SCHEME } from "./channelConfig.ts";
import { decodePaymentHeader } from "./ChannelPayment.ts";
import { sendError } from "./channelReplies.ts";
import { RateWindow } from "./RateWindow.ts";

/** Of one request and one client: as the gateway's `HttpLimits`. */
export interface FastPathLimits {
  bodyBytes: number;
  headerCount: number;
  paymentHeaderBytes: number;
  refusalsPerMinute: number;
  paidPerMinute: number;
}

/** Told of what is answered here, since nothing else of the gateway sees it. */
export interface VoucherObserver {
  /** A request to `route` is being answered on `res`. */
  taken(route: string, res: ServerResponse): void;
  admitted(): void;
  refused(reason: string): void;
}

/** What answers them. */
interface VoucherLane {
  answer(kind: RequestKind, bytes: Buffer, payment: unknown, http: LaneRequest, res: ServerResponse): Promise<void>;
}

const KINDS = new Map(Object.entries(ROUTES).map(([kind, route]) => [route as string, kind as RequestKind]));
const TOO_LARGE = new GatewayError(413, "invalid_request_error", "body_too_large", "The request's body is too large");

const isJson = (contentType: string | undefined): boolean =>
  contentType !== undefined && /^application\/json *(?:;|$)/i.test(contentType);

/**
 * Has a lane answer requests that carry a voucher, ahead of everything else that the server does: those whose path is one of the paid
 * routes, letter for letter. Others, and all that are not as they should be, are left to what listens already.
 */
export function takeVouchers(
  server: Server,
  lane: VoucherLane,
  limits: FastPathLimits,
  observer?: VoucherObserver,
): void {
  const refusals = new RateWindow(limits.refusalsPerMinute);
  const purchases = new RateWindow(limits.paidPerMinute);
  const admit = (payer: string): void => {
    if (purchases.isExceeded(payer)) throw tooMany(purchases);
    purchases.count(payer);
    observer?.admitted();
  };
  const onRefused = (address: string, reason: string): void => {
    refusals.count(address);
    observer?.refused(reason);
  };
  interceptRequests(server, (req, res) => {
    const kind = KINDS.get(req.url ?? "");
    const header = req.headers["payment-signature"];
    if (kind === undefined || req.method !== "POST" || typeof header !== "string") return false;
    if (header.length > limits.paymentHeaderBytes || req.rawHeaders.length > 2 * limits.headerCount) return false;
    if (!isJson(req.headers["content-type"])) return false;
    const payment = decodePaymentHeader(header);
    if (!isVoucher(payment)) return false;
    const address = req.socket.remoteAddress ?? "";
    if (refusals.isExceeded(address)) return false;
    const http = new VoucherRequest(req, address, admit, onRefused);
    observer?.taken(ROUTES[kind], res);
    readBody(
      req,
      limits.bodyBytes,
      (bytes) => void lane.answer(kind, bytes, payment, http, res),
      () => sendError(res, TOO_LARGE, { network: "eip155:0", url: http.url, requirements: [] }),
    );
    return true;
  });
}

/** What a lane may want to know of a request, made out when it does. */
class VoucherRequest implements LaneRequest {
  readonly admit: (payer: string) => void;
  readonly #req: IncomingMessage;
  readonly #address: string;
  readonly #onRefused: (address: string, reason: string) => void;

  /** @param address of who sent it: a socket that is closed does not tell any more. */
  constructor(
    req: IncomingMessage,
    address: string,
    admit: (payer: string) => void,
    onRefused: (address: string, reason: string) => void,
  ) {
    this.admit = admit;
    this.#req = req;
    this.#address = address;
    this.#onRefused = onRefused;
  }

  get headers(): IncomingHttpHeaders {
    return this.#req.headers;
  }

  get url(): string {
    const { socket, headers, url } = this.#req;
    return `${"encrypted" in socket ? "https" : "http"}://${headers.host ?? ""}${url ?? ""}`;
  }

  onRefused(reason: string): void {
    this.#onRefused(this.#address, reason);
  }
}

/** Deposits and refunds have time. */
function isVoucher(payment: unknown): boolean {
  const { accepted, payload } = (payment ?? {}) as { accepted?: { scheme?: unknown }; payload?: { type?: unknown } };
  return accepted?.scheme === SCHEME && payload?.type === "voucher";
}

const tooMany = ({ secondsLeft }: RateWindow): GatewayError =>
  new GatewayError(429, "rate_limit_error", "rate_limit_exceeded", `Too many requests; try again in ${secondsLeft} s`, {
    retryAfterSeconds: secondsLeft,
  });

/**
 * Lets `take` have a server's requests before what listens already, Fastify, which gets all that are not taken. Limits of connections and
 * headers are the server's, and hold for both.
 * @param take returns whether it answers the request; it must not have touched one that it does not.
 */
export function interceptRequests(server: Server, take: (req: IncomingMessage, res: ServerResponse) => boolean): void {
  const listeners = server.listeners("request") as ((req: IncomingMessage, res: ServerResponse) => void)[];
  server.removeAllListeners("request");
  server.on("request", (req, res) => {
    if (take(req, res)) return;
    for (const listener of listeners) listener.call(server, req, res);
  });
}

/**
 * Reads a request's body.
 * @param onTooLarge instead of `onBody`, for one of more than `limitBytes`. A request that is cut gets neither.
 */
export function readBody(
  req: IncomingMessage,
  limitBytes: number,
  onBody: (body: Buffer) => void,
  onTooLarge: () => void,
): void {
  const parts: Buffer[] = [];
  let bytes = 0;
  let refused = Number(req.headers["content-length"] ?? 0) > limitBytes;
  if (refused) onTooLarge();
  req.on("data", (part: Buffer) => {
    if (refused) return;
    bytes += part.length;
    if (bytes > limitBytes) {
      refused = true;
      onTooLarge();
    } else parts.push(part);
  });
  req.on("end", () => {
    if (refused) return;
    const [first, ...others] = parts;
    onBody(first !== undefined && others.length === 0 ? first : Buffer.concat(parts));
  });
  // a client that goes away is nobody to tell
  req.on("error", () => undefined);
}
