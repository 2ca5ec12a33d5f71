import type { PaymentRequirements } from "@x402/core/types";
import { PERMIT2_SCOPE, requestIdForPayment } from "../../receipts/requestId.ts";
import type { SettlementDomain } from "../../receipts/types.ts";
import type { InferenceDriver } from "../InferenceDriver.ts";
import type { NodeDirectory, Offer } from "../NodeDirectory.ts";
import { nodeDown, offersFor } from "../offers.ts";
import { isPaidAlone, type PaymentCollector } from "../PaymentCollector.ts";
import { inputHashOf, type ModelRequest } from "../requestSchemas.ts";
import type { RequestStore } from "../RequestStore.ts";
import type { PaidRequest, StoredRequest } from "../StoredRequest.ts";
import type { PayerStanding } from "./PayerStanding.ts";
import type { PaymentGate } from "./PaymentGate.ts";
import type { Admit, PaymentMethod, Purchase } from "./PaymentMethod.ts";
import type { SessionStore } from "./SessionStore.ts";
import { refused, type SignedPayment } from "./SignedPayment.ts";

export interface MethodOptions {
  gate: PaymentGate;
  store: RequestStore;
  sessions: SessionStore;
  driver: InferenceDriver;
  directory: NodeDirectory;
  standing: PayerStanding;
  domain: SettlementDomain;
  /** A payment has to be valid for at least this long when it is taken, so that it can still be charged after the inference. */
  minValiditySeconds: number;
}

export interface ExactMethodOptions extends MethodOptions {
  kind: "exact/eip3009" | "exact/permit2";
  collector: PaymentCollector;
}

/** A fixed fee for one request, by ERC-3009 or Permit2: one payment, one answer. */
export class ExactMethod implements PaymentMethod {
  readonly kind: ExactMethodOptions["kind"];
  readonly #options: ExactMethodOptions;

  constructor(options: ExactMethodOptions) {
    this.kind = options.kind;
    this.#options = options;
  }

  async requirements({ payTo, feeWei }: Offer): Promise<PaymentRequirements | undefined> {
    const { gate } = this.#options;
    // a permit of nothing moves nothing, and so is never spent
    if (!gate.supports(this.kind) || (this.kind === "exact/permit2" && feeWei === 0n)) return undefined;
    return gate.requirements(this.kind, payTo, feeWei);
  }

  async buy(request: ModelRequest, payment: SignedPayment, admit: Admit): Promise<Purchase> {
    const { store, sessions, gate, standing, minValiditySeconds } = this.#options;
    const known = store.find(payment.key);
    if (known !== undefined && known.status !== "released") {
      if (!sameRequest(known, request, payment)) throw boundElsewhere();
      await admit(known.payment.payer, "exact");
      return this.#resume(known, request, payment);
    }
    const paid =
      known === undefined
        ? await this.#newRequest(request, payment)
        : sameRequest(known, request, payment) && { ...known, body: request.raw };
    if (paid === false) throw boundElsewhere();
    requireTime(payment, minValiditySeconds);
    await gate.verify(payment.payload, paid.own!.requirements);
    await admit(payment.authorization.payer, "exact");
    const limits = await standing.limits(payment);
    // Permit2 has one set of nonces for both schemes
    if (sessions.find(payment.key) !== undefined) throw boundElsewhere();
    const reserved = standing.reserve(paid, limits);
    // a copy of this request may have been faster
    return this.#resume(reserved, request, payment);
  }

  /** The answer of a request that holds its payment, if this is that request. */
  async #resume(known: StoredRequest, request: ModelRequest, payment: SignedPayment): Promise<Purchase> {
    if (!sameRequest(known, request, payment)) throw boundElsewhere();
    const { driver, collector, store } = this.#options;
    const running = driver.running(known.key);
    if (running !== undefined) return { request: known, answer: running };
    if (known.answer === undefined) return { request: known, answer: driver.run(known) };
    if (isPaidAlone(known)) await collector.collect(known);
    return { request: store.find(known.key) ?? known, stored: known.answer };
  }

  async #newRequest(
    request: ModelRequest,
    { key, signature, payload, authorization }: SignedPayment,
  ): Promise<PaidRequest> {
    const { directory, domain } = this.#options;
    const matched = await this.#match(offersFor(directory, request), payload);
    if (matched === undefined) throw otherTerms();
    const { offer, requirements } = matched;
    if (!directory.isUp(offer.node)) throw nodeDown();
    const { asset, payer, nonce } = authorization;
    const payment = { asset, payer, nonce, ...(this.kind === "exact/permit2" && { scope: PERMIT2_SCOPE }) };
    return {
      key,
      scheme: "exact",
      payment,
      amountWei: authorization.valueWei,
      signature,
      hash: request.hash,
      kind: request.kind,
      stream: request.stream,
      body: request.raw,
      nodeUrl: offer.node.url,
      requestId: requestIdForPayment(domain, offer.operator, payment),
      modelId: offer.modelId,
      inputHash: inputHashOf(request, offer),
      ...(request.settlement !== undefined && { settlement: request.settlement }),
      own: { payload, requirements },
      validBefore: Number(authorization.validBefore),
    };
  }

  /** The offer a client accepted: the one for its recipient and price. */
  async #match(
    offers: Offer[],
    payload: SignedPayment["payload"],
  ): Promise<{ offer: Offer; requirements: PaymentRequirements } | undefined> {
    for (const offer of offers) {
      const requirements = await this.requirements(offer);
      if (requirements !== undefined && this.#options.gate.accepts(requirements, payload))
        return { offer, requirements };
    }
    return undefined;
  }
}

/** @throws GatewayError 402 payment_expires_too_soon */
export function requireTime({ authorization }: SignedPayment, minValiditySeconds: number): void {
  if (Number(authorization.validBefore) >= Date.now() / 1000 + minValiditySeconds) return;
  throw refused(
    "payment_expires_too_soon",
    `The payment has to be valid for ${minValiditySeconds} s more, so that it can be settled after the inference: sign a new one`,
  );
}

export const otherTerms = (): Error =>
  refused("no_matching_requirements", "The payment is for other terms than this model's now: sign one of `accepts`");

export const boundElsewhere = (): Error =>
  refused("payment_already_used", "This payment has bought another request; sign a new one for this one");

const sameRequest = (known: StoredRequest, request: ModelRequest, { signature }: SignedPayment): boolean =>
  known.hash === request.hash &&
  known.kind === request.kind &&
  known.stream === request.stream &&
  known.signature === signature;
