import { createHash } from "node:crypto";
import type { PaymentPayload } from "@x402/core/types";
import { paymentKeyText, type PaymentAuthorization } from "../facilitator/payment.ts";
import { PaymentError } from "../facilitator/PaymentError.ts";
import { requestIdForPayment } from "../receipts/requestId.ts";
import type { Hex, SettlementDomain } from "../receipts/types.ts";
import type { Answer } from "./Answer.ts";
import { GatewayError } from "./GatewayError.ts";
import type { InferenceDriver } from "./InferenceDriver.ts";
import type { NodeDirectory, Offer } from "./NodeDirectory.ts";
import type { PayerBalances } from "./PayerBalances.ts";
import type { PaymentCollector, PaymentRail } from "./PaymentCollector.ts";
import type { PaymentGate } from "./PaymentGate.ts";
import { inputHashOf, type ModelRequest } from "./requestSchemas.ts";
import type { PaidRequest, RequestStore, StoredAnswer, StoredRequest } from "./RequestStore.ts";
import { sealedOffers } from "./sealedRequests.ts";

export interface CheckoutOptions {
  gate: PaymentGate;
  store: RequestStore;
  driver: InferenceDriver;
  collector: PaymentCollector;
  directory: NodeDirectory;
  rail: PaymentRail;
  balances: PayerBalances;
  domain: SettlementDomain;
  /** What a payer may owe at most, wei. */
  exposureCapWei: bigint;
  /** A payment has to be valid for at least this long when it is taken, so that it can still be charged after the inference. */
  minValiditySeconds: number;
}

/** A bought answer: still coming in, or stored. */
export type Purchase = { request: StoredRequest; answer: Answer } | { request: StoredRequest; stored: StoredAnswer };

/** May throw, and so keep a payment from buying anything. */
export type Admit = (payer: Hex, scheme: string) => Promise<void>;

const refused = (code: string, message: string): GatewayError =>
  new GatewayError(402, "payment_required", code, message);

/** Exchanges a payment for one inference: the same payment again gets the same answer, and nothing else gets it. */
export class Checkout {
  readonly #options: CheckoutOptions;

  constructor(options: CheckoutOptions) {
    this.#options = options;
  }

  /**
   * @param header PAYMENT-SIGNATURE.
   * @param admit told who pays, and by which scheme, once that is certain and before anything is done for it; may refuse.
   * @throws GatewayError 402 when the payment does not buy this request.
   */
  async buy(request: ModelRequest, header: string, admit: Admit): Promise<Purchase> {
    const { payload, authorization } = this.#read(header);
    const known = this.#options.store.find(paymentKeyText(authorization));
    if (known !== undefined && known.status !== "released") {
      if (!sameRequest(known, request, payload)) throw boundElsewhere();
      await admit(known.payer, payload.accepted.scheme);
      return this.#resume(known, request, payload);
    }
    const paid =
      known === undefined
        ? await this.#newRequest(request, payload, authorization)
        : sameRequest(known, request, payload) && { ...known, body: request.raw };
    if (paid === false) throw boundElsewhere();
    this.#requireTime(paid);
    await this.#options.gate.verify(paid.payload, paid.requirements).catch(uncheckable);
    await admit(paid.payer, payload.accepted.scheme);
    const reserved = await this.#reserve(paid);
    // a copy of this request may have been faster
    return this.#resume(reserved, request, payload);
  }

  #read(header: string): ReturnType<PaymentGate["read"]> {
    try {
      return this.#options.gate.read(header);
    } catch (error) {
      if (error instanceof PaymentError) throw refused(error.code, error.message);
      throw error;
    }
  }

  /** The answer of a request that holds its payment, if this is that request. */
  async #resume(known: StoredRequest, request: ModelRequest, payload: PaymentPayload): Promise<Purchase> {
    if (!sameRequest(known, request, payload)) throw boundElsewhere();
    const { driver, collector } = this.#options;
    const running = driver.running(known.key);
    if (running !== undefined) return { request: known, answer: running };
    if (known.answer === undefined) return { request: known, answer: driver.run(known) };
    await collector.collect(known);
    return { request: this.#options.store.find(known.key) ?? known, stored: known.answer };
  }

  async #newRequest(
    request: ModelRequest,
    payload: PaymentPayload,
    authorization: PaymentAuthorization,
  ): Promise<PaidRequest> {
    const { gate, directory, domain } = this.#options;
    const matched = await gate.match(offersFor(directory, request), payload);
    if (matched === undefined) {
      throw refused("no_matching_requirements", "The payment is for other terms than this model's now; see accepts");
    }
    const { offer, requirements } = matched;
    if (!directory.isUp(offer.node)) throw nodeDown();
    return {
      key: paymentKeyText(authorization),
      payer: authorization.payer,
      amountWei: authorization.valueWei,
      signature: signatureOf(payload),
      bodyHash: bodyHashOf(request),
      kind: request.kind,
      stream: request.stream,
      body: request.raw,
      nodeUrl: offer.node.url,
      requestId: requestIdForPayment(domain, offer.operator, authorization),
      modelId: offer.modelId,
      inputHash: inputHashOf(request),
      payload,
      requirements,
      validBefore: Number(authorization.validBefore),
    };
  }

  #requireTime({ validBefore }: PaidRequest): void {
    const { minValiditySeconds } = this.#options;
    if (validBefore >= Date.now() / 1000 + minValiditySeconds) return;
    throw refused(
      "payment_expires_too_soon",
      `The payment has to be valid for ${minValiditySeconds} s more, so that it can be settled after the inference`,
    );
  }

  async #reserve(paid: PaidRequest): Promise<StoredRequest> {
    const { store, exposureCapWei } = this.#options;
    const [balanceWei, elsewhereWei] = await this.#standing(paid.payer);
    const limitWei = balanceWei < exposureCapWei ? balanceWei : exposureCapWei;
    const tooMuch = (outstandingWei: bigint): GatewayError =>
      balanceWei < exposureCapWei
        ? refused(
            "insufficient_balance",
            `The payer holds ${balanceWei} wei and has promised ${outstandingWei} already; this request costs ${paid.amountWei}`,
          )
        : new GatewayError(
            429,
            "rate_limit_error",
            "exposure_exceeded",
            `The payer has ${outstandingWei} wei of payments that are not settled yet; the limit is ${exposureCapWei}`,
            { retryAfterSeconds: 2 },
          );
    // the facilitator sees what the payer owes through other gateways too, the store what is not handed over yet
    if (elsewhereWei + paid.amountWei > limitWei) throw tooMuch(elsewhereWei);
    const reserved = store.reserve(paid, limitWei);
    if ("refused" in reserved) throw tooMuch(reserved.outstandingWei);
    return reserved;
  }

  async #standing(payer: Hex): Promise<[balanceWei: bigint, owedWei: bigint]> {
    const { balances, rail } = this.#options;
    const [balance, outstanding, defaulted] = await Promise.all([
      balances.of(payer),
      rail.outstandingWei(payer),
      rail.defaultedWei(payer),
    ]).catch(uncheckable);
    return [balance, outstanding + defaulted];
  }
}

/** What can be bought for a request. @throws GatewayError when nothing can. */
export function offersFor(directory: NodeDirectory, { model, kind, sealedFor }: ModelRequest): Offer[] {
  const offers = directory.offersFor(model);
  if (offers.length === 0) {
    throw new GatewayError(
      404,
      "invalid_request_error",
      "model_not_found",
      `No node serves a model "${model}"; see /v1/models`,
    );
  }
  if (sealedFor !== undefined) return sealedOffers(offers, sealedFor);
  const fitting = offers.filter((offer) => (offer.kind === "onnx") === (kind === "inference"));
  if (fitting.length === 0) {
    const route = kind === "inference" ? "/v1/chat/completions or /v1/completions" : "/v1/inference";
    throw new GatewayError(
      400,
      "invalid_request_error",
      "wrong_endpoint",
      `The model "${model}" is served at ${route}`,
    );
  }
  return fitting;
}

export const nodeDown = (): GatewayError =>
  new GatewayError(
    503,
    "upstream_error",
    "node_unreachable",
    "The model's node is not reachable now; nothing was charged",
    {
      retryAfterSeconds: 5,
    },
  );

/** The facilitator or the chain is away: the payment may be good, so it is not refused. */
function uncheckable(cause: unknown): never {
  if (cause instanceof GatewayError) throw cause;
  throw new GatewayError(
    503,
    "server_error",
    "payment_check_unavailable",
    "The payment cannot be checked now; try again",
    {
      cause,
      retryAfterSeconds: 2,
    },
  );
}

const boundElsewhere = (): GatewayError =>
  refused("payment_already_used", "This payment has bought another request; sign a new one for this one");

const sameRequest = (known: StoredRequest, request: ModelRequest, payload: PaymentPayload): boolean =>
  known.bodyHash === bodyHashOf(request) && known.signature === signatureOf(payload);

const signatureOf = ({ payload }: PaymentPayload): string => (payload as { signature: string }).signature.toLowerCase();

const bodyHashOf = ({ kind, raw }: ModelRequest): string =>
  createHash("sha256").update(`${kind}\n`).update(raw).digest("hex");
