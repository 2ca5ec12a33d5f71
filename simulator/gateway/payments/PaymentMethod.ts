import type { PaymentRequirements } from "@x402/core/types";
import type { Server } from "node:http";
import type { FastifyPluginCallback, FastifyReply, FastifyRequest } from "fastify";
import type { Charge } from "../../facilitator/payment.ts";
import type { VoucherObserver } from "../channels/fastPath.ts";
import type { HttpLimits } from "../../http/HttpLimits.ts";
import type { Hex } from "../../receipts/types.ts";
import type { Answer } from "../Answer.ts";
import type { Offer } from "../NodeDirectory.ts";
import type { ModelRequest } from "../requestSchemas.ts";
import type { StoredAnswer, StoredRequest } from "../StoredRequest.ts";
import type { SignedPayment } from "./SignedPayment.ts";

/** A bought answer: still coming in, or stored. */
export type Purchase = { request: StoredRequest; answer: Answer } | { request: StoredRequest; stored: StoredAnswer };

/** Told who pays, and by which scheme, once that is certain and before anything is done for it; throws to refuse. */
export type Admit = (payer: Hex, scheme: string) => Promise<void>;

/** A way to pay for a request by a signature. */
export interface PaymentMethod {
  readonly kind: Charge["kind"];

  /** What a client can sign for a request to an offer; undefined when it cannot be paid this way now. */
  requirements(offer: Offer, request: ModelRequest): Promise<PaymentRequirements | undefined>;

  /**
   * Exchanges a payment for an answer. The same payment with the same request again gets the same answer.
   * @throws GatewayError 402 when the payment does not buy this request.
   */
  buy(request: ModelRequest, payment: SignedPayment, admit: Admit): Promise<Purchase>;
}

/** One HTTP request and its answer. */
export interface Exchange {
  http: FastifyRequest;
  reply: FastifyReply;
  admit: Admit;
}

/** A way to pay that keeps its own books and serves its own requests, such as payment channels. */
export interface PaymentLane {
  /** x402's name for it. */
  readonly scheme: string;

  /** What a client can sign for a request to an offer, the best first. */
  extraRequirements(offer: Offer, request: ModelRequest): Promise<PaymentRequirements[]>;

  /**
   * Answers a request whose payment is of this scheme.
   * @param payment the decoded header.
   * @throws GatewayError 402 to have the client told what can be signed instead.
   */
  serve(request: ModelRequest, payment: unknown, exchange: Exchange): Promise<FastifyReply>;

  /** Channels with something left in them. */
  openChannels?(): number;

  /** Further routes that the scheme needs. */
  readonly plugin?: FastifyPluginCallback;

  /** Serves, ahead of Fastify, what it can serve faster. */
  takeFirst?(server: Server, limits: HttpLimits, observer?: VoucherObserver): void;
}
