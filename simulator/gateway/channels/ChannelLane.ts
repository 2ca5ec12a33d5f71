import type { IncomingHttpHeaders, Server, ServerResponse } from "node:http";
import type { FacilitatorClient } from "@x402/core/server";
import type { Network, PaymentRequirements } from "@x402/core/types";
import type { Logger } from "pino";
import { NodeError } from "../../nodes/NodeError.ts";
import { RequestBody } from "../../nodes/RequestBody.ts";
import type { GroupCommit } from "../../persistence/GroupCommit.ts";
import { InvalidJsonError } from "../../receipts/json.ts";
import type { RequestKind } from "../../receipts/hashes.ts";
import { InvalidRequestError } from "../../receipts/requestText.ts";
import type { SettlementDomain } from "../../receipts/types.ts";
import { asGatewayError } from "../askNode.ts";
import { GatewayError, type OpenAiErrorType } from "../GatewayError.ts";
import { ROUTES } from "../requestSchemas.ts";
import { ChannelBook, type ReadChannels } from "./ChannelBook.ts";
import { ChannelCheckout, type Delivered, type Deposited } from "./ChannelCheckout.ts";
import { ChannelHasher, SCHEME } from "./channelConfig.ts";
import { ChannelFunding } from "./ChannelFunding.ts";
import { decodePaymentHeader, isChannelPayment, readChannelPayment } from "./ChannelPayment.ts";
import { ChannelRefusal } from "./ChannelRefusal.ts";
import { REASONS } from "./channelReasons.ts";
import { type Asked, paymentResponse, sendAnswer, sendError } from "./channelReplies.ts";
import { type ChannelSeller, flatFee, type QuoteRequest } from "./ChannelSeller.ts";
import { ChannelStore } from "./ChannelStore.ts";
import { ChannelTerms, type ChannelTermsOptions } from "./ChannelTerms.ts";
import { interceptRequests, readBody } from "./fastPath.ts";
import { streamAnswer } from "./streamAnswer.ts";

export interface ChannelLaneOptions extends Omit<ChannelTermsOptions, "network"> {
  domain: SettlementDomain;
  /** Nodes in this process, whose answers channels pay for. */
  sellers: readonly ChannelSeller[];
  /** Where the channels' books are; the nodes' answers too, so that an answer and its charge are one commit. */
  commits: GroupCommit;
  /** Verifies and settles what goes on chain. */
  rail: Pick<FacilitatorClient, "verify" | "settle">;
  readChannels: ReadChannels;
  /** The price of a request. Default: the offer's fee. */
  quote?: QuoteRequest;
  logger: Logger;
  /** How long the chain's state of a channel is taken as known. Default: a third of the withdraw delay, at most 5 minutes. */
  chainTtlMs?: number;
}

const MAX_TTL_MS = 300_000;
const KINDS = new Map(Object.entries(ROUTES).map(([kind, route]) => [route as string, kind as RequestKind]));
const TOO_LARGE = new GatewayError(413, "invalid_request_error", "body_too_large", "The request's body is too large");

const isJson = (contentType: string | undefined): boolean =>
  contentType !== undefined && /^application\/json *(?:;|$)/i.test(contentType);

/** Payments through channels, from the request to the answer. */
export class ChannelLane {
  readonly scheme = SCHEME;
  readonly book: ChannelBook<Delivered>;
  readonly terms: ChannelTerms;
  readonly #options: ChannelLaneOptions;
  readonly #network: Network;
  readonly #quote: QuoteRequest;
  readonly #checkout: ChannelCheckout;

  constructor(options: ChannelLaneOptions) {
    const { domain, sellers, commits, rail, readChannels, quote = flatFee } = options;
    this.#options = options;
    this.#network = `eip155:${domain.chainId}`;
    this.#quote = quote;
    const terms = (this.terms = new ChannelTerms({ ...options, network: this.#network }));
    const hasher = new ChannelHasher(domain.chainId);
    const store = new ChannelStore(commits);
    const ttlMs = options.chainTtlMs ?? Math.min(MAX_TTL_MS, (terms.withdrawDelaySeconds * 1000) / 3);
    const book = (this.book = new ChannelBook<Delivered>({ store, hasher, readChannels, ttlMs }));
    const funding = new ChannelFunding({ rail, book, store, terms });
    this.#checkout = new ChannelCheckout({
      ...{ sellers, domain, terms, book, store, hasher, quote },
      verifyContract: (payment, capWei, payTo) => funding.verify(payment, capWei, payTo),
      deposit: (payment, capWei, payTo) => funding.deposit(payment, capWei, payTo),
    });
  }

  /** What a client can sign for a request; the fewest that say it all. @throws NodeError, GatewayError */
  requirements(body: RequestBody): PaymentRequirements[] {
    const found = new Map<string, PaymentRequirements>();
    for (const seller of this.#options.sellers) {
      try {
        const { offer } = seller.read(body).prepared;
        const { capWei } = this.#quote(offer, { bytes: body.bytes, maxOutputTokens: body.maxOutputTokens });
        found.set(`${seller.payout}/${capWei}`, this.terms.requirements(seller.payout, capWei));
      } catch (error) {
        if (!(error instanceof NodeError)) throw error;
      }
    }
    return [...found.values()];
  }

  /**
   * Serves requests that are paid for through channels ahead of everything else that a server does: only those whose path is one of the
   * paid routes, letter for letter. Others, and everything that is not as it should be, are the gateway's.
   * @param bodyLimitBytes and how many headers there may be: as the gateway has it.
   */
  takeFirst(server: Server, { bodyLimitBytes, headerCount }: { bodyLimitBytes: number; headerCount: number }): void {
    interceptRequests(server, (req, res) => {
      const kind = KINDS.get(req.url ?? "");
      const header = req.headers["payment-signature"];
      if (kind === undefined || req.method !== "POST" || typeof header !== "string") return false;
      if (req.rawHeaders.length > 2 * headerCount || !isJson(req.headers["content-type"])) return false;
      const payment = decodePaymentHeader(header);
      if (!isChannelPayment(payment)) return false;
      const url = `${"encrypted" in req.socket ? "https" : "http"}://${req.headers.host ?? ""}${req.url ?? ""}`;
      readBody(
        req,
        bodyLimitBytes,
        (bytes) => void this.serve(kind, bytes, payment, { headers: req.headers, url }, res),
        () => sendError(res, TOO_LARGE, { network: this.#network, url, requirements: [] }),
      );
      return true;
    });
  }

  /**
   * Answers a request that is paid for through a channel.
   * @param payment the decoded PAYMENT-SIGNATURE header.
   */
  async serve(
    kind: RequestKind,
    bytes: Buffer,
    payment: unknown,
    { headers, url }: { headers: IncomingHttpHeaders; url: string },
    res: ServerResponse,
  ): Promise<void> {
    let body: RequestBody | undefined;
    let deposited: Deposited | undefined;
    try {
      const read = readChannelPayment(payment);
      if (read === undefined || read.type === "refund") throw new ChannelRefusal(REASONS.payload);
      body = new RequestBody(kind, bytes);
      const key = headers["idempotency-key"];
      const purchase = await this.#checkout.buy(read, body, typeof key === "string" ? key : undefined, (made) => {
        deposited = made;
      });
      const { answer, channel, outcome } = purchase;
      const response = (delivered: Delivered): string => paymentResponse(channel, delivered, this.#network, deposited);
      if (answer.streamed) {
        await streamAnswer(res, purchase, { "x-processing-hash": answer.requestId }, response);
        return;
      }
      const delivered = await outcome;
      sendAnswer(res, answer.requestId, delivered, response(delivered));
    } catch (error) {
      this.#fail(res, error, url, body, deposited);
    }
  }

  #fail(
    res: ServerResponse,
    error: unknown,
    url: string,
    body: RequestBody | undefined,
    deposited: Deposited | undefined,
  ): void {
    const known = knownError(error);
    if (known.status >= 500) this.#options.logger.warn({ err: error }, "a request paid through a channel failed");
    let asked: Asked = { network: this.#network, url, requirements: [] };
    try {
      if (known.status === 402 && body !== undefined) asked = { ...asked, requirements: this.requirements(body) };
      sendError(res, known, asked, deposited);
    } catch (failure) {
      sendError(res, knownError(failure), asked, deposited);
    }
  }
}

const TYPES: Readonly<Record<number, OpenAiErrorType>> = { 402: "payment_required", 429: "rate_limit_error" };

/** What a client is told. */
function knownError(error: unknown): GatewayError {
  if (error instanceof InvalidJsonError || error instanceof InvalidRequestError) {
    return new GatewayError(400, "invalid_request_error", error.code, error.message);
  }
  if (!(error instanceof NodeError)) return asGatewayError(error);
  const { status, code, message } = error;
  const type = TYPES[status] ?? (status < 500 ? "invalid_request_error" : "upstream_error");
  return new GatewayError(status, type, code, message, { cause: error });
}
