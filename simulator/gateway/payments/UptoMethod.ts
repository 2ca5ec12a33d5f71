import type { PaymentRequirements } from "@x402/core/types";
import { requestIdForPayment, sessionScope } from "../../receipts/requestId.ts";
import { type Tariff, tariffToJson } from "../../receipts/tariff.ts";
import { GatewayError } from "../GatewayError.ts";
import type { Offer } from "../NodeDirectory.ts";
import { nodeDown, offersFor } from "../offers.ts";
import { inputHashOf, type ModelRequest } from "../requestSchemas.ts";
import type { PaidRequest } from "../StoredRequest.ts";
import { boundElsewhere, type MethodOptions, otherTerms, requireTime } from "./ExactMethod.ts";
import type { Admit, PaymentMethod, Purchase } from "./PaymentMethod.ts";
import { type PriceList, worstCaseWei } from "./PriceList.ts";
import type { SessionKeeper } from "./SessionKeeper.ts";
import type { Session } from "./SessionStore.ts";
import { refused, type SignedPayment } from "./SignedPayment.ts";

export interface UptoMethodOptions extends MethodOptions {
  keeper: SessionKeeper;
  prices: PriceList;
  /** What a session is asked to be signed for, wei; more only for a request that may cost more. */
  sessionCapWei: bigint;
}

/** The largest session, in caps. */
const MAX_CAPS = 1_000n;

/**
 * Charged by use, up to what was signed: one authorization, a session, pays for one request after another, and is settled once. A
 * session belongs to one recipient; which of its models a request is for does not matter.
 */
export class UptoMethod implements PaymentMethod {
  readonly kind = "upto/permit2";
  readonly #options: UptoMethodOptions;

  constructor(options: UptoMethodOptions) {
    this.#options = options;
  }

  async requirements(offer: Offer, request: ModelRequest): Promise<PaymentRequirements | undefined> {
    const { gate, prices, sessionCapWei } = this.#options;
    if (!gate.supports(this.kind)) return undefined;
    let tariff: Tariff;
    try {
      tariff = prices.tell(offer);
    } catch (error) {
      if (error instanceof GatewayError) return undefined;
      throw error;
    }
    const caps = ceilDiv(worstCaseWei(tariff, request, offer), sessionCapWei) || 1n;
    if (caps > MAX_CAPS) return undefined;
    const { extra, ...terms } = await gate.requirements(this.kind, offer.payTo, caps * sessionCapWei);
    // so that a client can tell what a receipt's fee has to be; it is no part of what is signed
    return { ...terms, extra: { ...extra, tariff: tariffToJson(tariff) } };
  }

  async buy(request: ModelRequest, payment: SignedPayment, admit: Admit): Promise<Purchase> {
    const { store, keeper, standing, sessions } = this.#options;
    const stored = this.#stored(request, payment);
    if (stored !== undefined) {
      await admit(payment.authorization.payer, "upto");
      return stored;
    }
    const offers = offersFor(this.#options.directory, request);
    const opened = sessions.find(payment.key) ?? (await this.#verified(payment, offers));
    requireTime(payment, this.#options.minValiditySeconds);
    await admit(payment.authorization.payer, "upto");
    const limits = await standing.limits(payment);
    // from here on nothing is awaited: what is found now is so when it is reserved
    const again = this.#stored(request, payment);
    if (again !== undefined) return again;
    const known = sessions.find(payment.key);
    if (known === undefined && store.find(payment.key) !== undefined) throw boundElsewhere();
    const session = known ?? opened;
    if (session.status !== "open") throw sessionOver(session);
    const paid = this.#newRequest(request, payment, session, offers);
    const remainingWei = known === undefined ? session.capWei : keeper.remainingWei(session);
    if (paid.amountWei > remainingWei) {
      keeper.exhausted(session.key);
      throw refused(
        "session_exhausted",
        `${remainingWei} wei of the session's ${session.capWei} are left and this request may cost ${paid.amountWei}: sign a new ` +
          "payment, ask for fewer tokens (max_tokens), or wait for the requests under way",
      );
    }
    const reserved = standing.reserve(paid, limits);
    if (known === undefined) keeper.open(session);
    keeper.reserved(reserved);
    return { request: reserved, answer: this.#options.driver.run(reserved) };
  }

  /** What the same request in the same session has bought, or is buying. */
  #stored(request: ModelRequest, payment: SignedPayment): Purchase | undefined {
    const { store, sessions, driver } = this.#options;
    const session = sessions.find(payment.key);
    if (session === undefined) return undefined;
    // another permit with this nonce can never be charged as well
    if (session.signature !== payment.signature) throw boundElsewhere();
    const known = store.find(requestKey(payment.key, request));
    if (known === undefined || known.status === "released") return undefined;
    if (known.answer !== undefined) return { request: known, stored: known.answer };
    return { request: known, answer: driver.running(known.key) ?? driver.run(known) };
  }

  /** A session for a payment that is seen for the first time. */
  async #verified(payment: SignedPayment, offers: readonly Offer[]): Promise<Session> {
    const { gate, store, minValiditySeconds, sessionCapWei } = this.#options;
    const { authorization, payload, key, signature } = payment;
    // Permit2 has one set of nonces for both schemes
    if (store.find(key) !== undefined) throw boundElsewhere();
    const amountWei = BigInt(payload.accepted.amount);
    const payTo = offers.find((offer) => offer.payTo === payload.accepted.payTo.toLowerCase())?.payTo;
    if (
      payTo === undefined ||
      amountWei === 0n ||
      amountWei % sessionCapWei !== 0n ||
      amountWei / sessionCapWei > MAX_CAPS
    ) {
      throw otherTerms();
    }
    const requirements = await gate.requirements(this.kind, payTo, amountWei);
    if (!gate.accepts(requirements, payload)) throw otherTerms();
    requireTime(payment, minValiditySeconds);
    await gate.verify(payload, requirements);
    return {
      key,
      payer: authorization.payer,
      payTo,
      capWei: amountWei,
      signature,
      payload,
      requirements,
      validBefore: Number(authorization.validBefore),
      openedAtMs: Date.now(),
      status: "open",
    };
  }

  #newRequest(
    request: ModelRequest,
    { authorization, signature, payload }: SignedPayment,
    session: Session,
    offers: readonly Offer[],
  ): PaidRequest {
    const { store, directory, prices, domain } = this.#options;
    const key = requestKey(session.key, request);
    // its node may have it all but sent, with the fee of the tariff it was given
    const released = store.find(key);
    if (released !== undefined) return { ...released, body: request.raw };
    const offer = offers.find(({ payTo }) => payTo === session.payTo);
    if (offer === undefined) throw otherTerms();
    if (!directory.isUp(offer.node)) throw nodeDown();
    const tariff = prices.asTold(offer, payload.accepted.extra.tariff);
    const { asset, payer, nonce } = authorization;
    const payment = { asset, payer, nonce, scope: sessionScope(request.hash) };
    return {
      key,
      scheme: "upto",
      payment,
      amountWei: worstCaseWei(tariff, request, offer),
      tariff,
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
      validBefore: session.validBefore,
      session: session.key,
    };
  }
}

const requestKey = (session: string, { hash }: ModelRequest): string => `${session}#${hash}`;

const sessionOver = ({ status }: Session): GatewayError =>
  refused(
    "session_closed",
    `The session is ${status === "closed" ? "closed" : "being settled or settled"}: sign a new payment`,
  );

const ceilDiv = (dividend: bigint, divisor: bigint): bigint => (dividend + divisor - 1n) / divisor;
