import type { IncomingHttpHeaders, Server, ServerResponse } from "node:http";
import type { FacilitatorClient } from "@x402/core/server";
import type { Network, PaymentRequirements } from "@x402/core/types";
import type { FastifyPluginCallback, FastifyReply, FastifyRequest } from "fastify";
import type { Logger } from "pino";
import type { ModelOffer } from "../../nodes/InferenceNode.ts";
import { NodeError } from "../../nodes/NodeError.ts";
import { RequestBody } from "../../nodes/RequestBody.ts";
import type { GroupCommit } from "../../persistence/GroupCommit.ts";
import { InvalidJsonError } from "../../receipts/json.ts";
import type { RequestKind } from "../../receipts/hashes.ts";
import { InvalidRequestError } from "../../receipts/requestText.ts";
import { tariffToJson } from "../../receipts/tariff.ts";
import type { Hex, SettlementDomain } from "../../receipts/types.ts";
import { asGatewayError } from "../askNode.ts";
import { GatewayError, type OpenAiErrorType } from "../GatewayError.ts";
import type { Offer } from "../NodeDirectory.ts";
import { type ModelRequest, ROUTES, settlementAsked } from "../requestSchemas.ts";
import { settlementHeaders } from "../SettlementLookup.ts";
import { ChannelBook, type ReadChannels } from "./ChannelBook.ts";
import { ChannelCheckout, type Delivered, type Deposited } from "./ChannelCheckout.ts";
import { ChannelHasher, SCHEME } from "./channelConfig.ts";
import { ChannelFunding } from "./ChannelFunding.ts";
import { decodePaymentHeader, readChannelPayment } from "./ChannelPayment.ts";
import { ChannelRefusal } from "./ChannelRefusal.ts";
import { REASONS } from "./channelReasons.ts";
import { type Asked, depositResponse, paymentResponse, sendAnswer, sendError, sendRefund } from "./channelReplies.ts";
import { type ChannelSeller, flatFee, type Quote, type QuoteRequest } from "./ChannelSeller.ts";
import type { ReceiverAuthorizer } from "./ReceiverAuthorizer.ts";
import { ChannelStore } from "./ChannelStore.ts";
import { ChannelTerms, type ChannelTermsOptions } from "./ChannelTerms.ts";
import { type FastPathLimits, takeVouchers, type VoucherObserver } from "./fastPath.ts";
import { streamAnswer } from "./streamAnswer.ts";

export interface ChannelLaneOptions extends Omit<ChannelTermsOptions, "network"> {
  domain: SettlementDomain;
  /** Nodes whose answers channels pay for: in this process, or behind a `RemoteSeller`. */
  sellers: readonly ChannelSeller[];
  /** Where the channels' books are; the nodes' answers too, so that an answer and its charge are one commit. */
  commits: GroupCommit;
  /** Verifies and settles what goes on chain. */
  rail: Pick<FacilitatorClient, "verify" | "settle">;
  readChannels: ReadChannels;
  /** Signs for `receiverAuthorizer`. Default: the facilitator, which has to be it. */
  authorizer?: ReceiverAuthorizer | undefined;
  /** The price of a request. Default: the offer's fee. */
  quote?: QuoteRequest;
  logger: Logger;
  /** How long the chain's state of a channel is taken as known. Default: a third of the withdraw delay, at most 5 minutes. */
  chainTtlMs?: number;
}

/** By "merkle" a client says that it takes an enclave's signature over many answers, which costs less than one for each. */
export const TEE_SIGNATURE_HEADER = "x-tee-signature";

const MAX_TTL_MS = 300_000;
const KINDS = new Map(Object.entries(ROUTES).map(([kind, route]) => [route as string, kind as RequestKind]));

/** A request as HTTP brought it. */
export interface LaneRequest {
  headers: IncomingHttpHeaders;
  /** Of the resource, for 402s. */
  url: string;
  /** Told who pays, once its signature is checked and before anything is done for it; throws to refuse. */
  admit?: ((payer: Hex) => Promise<void> | void) | undefined;
  /** Told why a payment is refused. */
  onRefused?(reason: string): void;
}

/** An offer, a request and its exchange as the gateway has them. */
type ListedOffer = Pick<Offer, "payTo" | "operator" | "feeWei"> & Pick<ModelOffer, "tokenPrice" | "maxOutputTokens">;
type ListedRequest = Pick<ModelRequest, "kind" | "raw"> & { maxOutputTokens?: number | undefined };
interface Exchange {
  http: FastifyRequest;
  reply: FastifyReply;
  admit: (payer: Hex, scheme: string) => Promise<void>;
}

/** Payments through channels, from the request to the answer. */
export class ChannelLane {
  readonly scheme = SCHEME;
  readonly book: ChannelBook<Delivered>;
  readonly terms: ChannelTerms;
  readonly #options: ChannelLaneOptions;
  readonly #network: Network;
  readonly #quote: QuoteRequest;
  readonly #checkout: ChannelCheckout;
  readonly #funding: ChannelFunding;

  constructor(options: ChannelLaneOptions) {
    const { domain, sellers, commits, rail, readChannels, authorizer, quote = flatFee } = options;
    this.#options = options;
    this.#network = `eip155:${domain.chainId}`;
    this.#quote = quote;
    const terms = (this.terms = new ChannelTerms({ ...options, network: this.#network }));
    const hasher = new ChannelHasher(domain.chainId);
    const store = new ChannelStore(commits);
    const ttlMs = options.chainTtlMs ?? Math.min(MAX_TTL_MS, (terms.withdrawDelaySeconds * 1000) / 3);
    const book = (this.book = new ChannelBook<Delivered>({ store, hasher, readChannels, ttlMs }));
    const funding = (this.#funding = new ChannelFunding({ rail, book, terms, authorizer }));
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
        const quote = this.#quote(offer, { bytes: body.bytes, maxOutputTokens: body.maxOutputTokens });
        found.set(`${seller.payout}/${quote.capWei}`, this.#priced(seller.payout, quote));
      } catch (error) {
        if (!(error instanceof NodeError)) throw error;
      }
    }
    return [...found.values()];
  }

  /** The same for an offer as the gateway lists it; empty when no node here is behind it. */
  extraRequirements(offer: ListedOffer, { kind, raw, maxOutputTokens }: ListedRequest): Promise<PaymentRequirements[]> {
    const { payTo, operator } = offer;
    const known = this.#options.sellers.some((seller) => seller.payout === payTo && seller.operator === operator);
    if (kind === "sealed" || !known) return Promise.resolve([]);
    return Promise.resolve([this.#priced(payTo, this.#quote(offer, { bytes: raw, maxOutputTokens }))]);
  }

  /** With what tokens cost, so that a client can tell what a receipt's fee has to be; it is no part of what is signed. */
  #priced(payTo: Hex, { capWei, tariff }: Quote): PaymentRequirements {
    const { extra, ...terms } = this.terms.requirements(payTo, capWei);
    return { ...terms, extra: { ...extra, ...(tariff !== undefined && { tariff: tariffToJson(tariff) }) } };
  }

  /** Answers a request that Fastify has read. @throws GatewayError 402 for one that channels do not pay for. */
  async serve({ kind, raw }: ListedRequest, payment: unknown, { http, reply, admit }: Exchange): Promise<FastifyReply> {
    if (kind === "sealed")
      throw new ChannelRefusal(REASONS.terms, { message: "Channels do not pay for sealed requests" });
    reply.hijack();
    const url = `${http.protocol}://${http.host}${ROUTES[kind]}`;
    await this.answer(
      kind,
      raw,
      payment,
      { headers: http.headers, url, admit: (payer) => admit(payer, SCHEME) },
      reply.raw,
    );
    return reply;
  }

  /** Channels with something left in them. */
  openChannels(): number {
    return this.book.all().filter(({ chain, ledger }) => chain.balanceWei > ledger.chargedWei).length;
  }

  /** Routes by which clients ask for what is left in their channels: GET of what they pay for. */
  get plugin(): FastifyPluginCallback {
    return (app, _options, done) => {
      for (const kind of KINDS.values()) {
        app.get(ROUTES[kind], async ({ headers, protocol, host }, reply) => {
          reply.hijack();
          await this.refund(`${protocol}://${host}${ROUTES[kind]}`, headers["payment-signature"], reply.raw);
        });
      }
      done();
    };
  }

  /** Serves vouchers ahead of everything else that a server does. */
  takeFirst(server: Server, limits: FastPathLimits, observer?: VoucherObserver): void {
    takeVouchers(server, this, limits, observer);
  }

  /**
   * Answers a request that is paid for through a channel.
   * @param payment the decoded PAYMENT-SIGNATURE header.
   */
  async answer(
    kind: RequestKind,
    bytes: Buffer,
    payment: unknown,
    http: LaneRequest,
    res: ServerResponse,
  ): Promise<void> {
    let body: RequestBody | undefined;
    const made: { deposited?: Deposited } = {};
    try {
      body = new RequestBody(kind, bytes);
      const read = readChannelPayment(payment);
      if (read === undefined || read.type === "refund") throw new ChannelRefusal(REASONS.payload);
      const key = http.headers["idempotency-key"];
      const purchase = await this.#checkout.buy(read, body, {
        idempotencyKey: typeof key === "string" ? key : undefined,
        settlement: settlementAsked(http.headers),
        admit: http.admit,
        teeSignature: http.headers[TEE_SIGNATURE_HEADER] === "merkle" ? "merkle" : "plain",
        made,
      });
      const { answer, channel, outcome } = purchase;
      const { deposited } = made;
      const settlement = purchase.place && settlementHeaders(await purchase.place);
      if (answer.streamed) {
        const headers: Record<string, string> = { "x-processing-hash": answer.requestId, ...settlement };
        // x402's own clients read no events: without it they would deposit again
        if (deposited !== undefined) headers["payment-response"] = depositResponse(deposited, this.#network);
        await streamAnswer(res, purchase, headers, (delivered) =>
          paymentResponse(channel, delivered, this.#network, deposited),
        );
        return;
      }
      const delivered = await outcome;
      const response = paymentResponse(channel, delivered, this.#network, deposited);
      sendAnswer(res, answer.requestId, delivered, response, settlement);
    } catch (error) {
      this.#fail(res, error, http, made.deposited, () => (body === undefined ? [] : this.requirements(body)));
    }
  }

  /** Gives a payer what is left in its channel. Without a payment it says what for, as x402's client asks. */
  async refund(url: string, header: string | string[] | undefined, res: ServerResponse): Promise<void> {
    const payouts = [...new Set(this.#options.sellers.map(({ payout }) => payout))];
    const requirements = payouts.map((payTo) => this.terms.requirements(payTo, this.#leastFee(payTo)));
    try {
      if (typeof header !== "string") {
        throw new GatewayError(
          402,
          "payment_required",
          "payment_required",
          "Sign a refund of a channel, or POST a request",
        );
      }
      const payment = readChannelPayment(decodePaymentHeader(header));
      if (payment?.type !== "refund") throw new ChannelRefusal(REASONS.payload);
      const payTo = payouts.find((each) => each === payment.config.receiver);
      if (payTo === undefined) throw new ChannelRefusal(REASONS.receiver);
      const { channel, settled } = await this.#funding.refund(payment, payTo);
      sendRefund(res, channel, settled);
    } catch (error) {
      this.#fail(res, error, { url }, undefined, () => requirements);
    }
  }

  #leastFee(payTo: Hex): bigint {
    const fees = this.#options.sellers.filter(({ payout }) => payout === payTo).flatMap(({ offers }) => offers);
    return fees.map(({ feeWei }) => feeWei).reduce((least, fee) => (fee < least ? fee : least), fees[0]?.feeWei ?? 0n);
  }

  #fail(
    res: ServerResponse,
    error: unknown,
    http: Pick<LaneRequest, "url" | "onRefused">,
    deposited: Deposited | undefined,
    requirements: () => readonly PaymentRequirements[],
  ): void {
    const known = knownError(error);
    if (known.status >= 500) this.#options.logger.warn({ err: error }, "a request paid through a channel failed");
    let asked: Asked = { network: this.#network, url: http.url, requirements: [] };
    try {
      if (known.status === 402) {
        http.onRefused?.(known.code);
        asked = { ...asked, requirements: requirements() };
      }
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
