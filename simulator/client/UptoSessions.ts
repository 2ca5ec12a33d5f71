import type { PaymentRequirements } from "@x402/core/types";
import type { Tariff } from "../receipts/tariff.ts";
import { tariffOf, type SignedPayment } from "./SignedPayment.ts";

/** An `upto` authorization that pays for several requests. */
export interface Session {
  payment: SignedPayment;
  /** Sum of the fees of its receipts, wei. */
  spentWei: bigint;
}

/** A session, and what the next request to a target costs of it. */
export interface Quoted {
  session: Session;
  tariff?: Tariff;
  /** Unix seconds. */
  atSeconds: number;
}

/** Prices follow OPG's: after this long they are asked for again, which takes a round trip and no signature. */
const QUOTE_SECONDS = 60;

/**
 * Authorizations that may pay for more: signed once, charged once, for the sum of what was used. Whether there is room for another request the
 * gateway says; it answers 402 when there is not, or when it has charged the sum already.
 */
export class UptoSessions {
  readonly #byTerms = new Map<string, Promise<Session>>();
  readonly #byTarget = new Map<string, Quoted>();
  readonly #byHeader = new Map<string, Session>();

  /**
   * The one that last paid for the same target (gateway, route and model): nobody has to be asked for terms then, as long as what a token costs is not
   * old news.
   */
  forTarget(target: string, nowSeconds: number): Quoted | undefined {
    const quoted = this.#byTarget.get(target);
    if (quoted === undefined || quoted.atSeconds + QUOTE_SECONDS < nowSeconds) return undefined;
    return isLive(quoted.session, nowSeconds) ? quoted : undefined;
  }

  /** One for these terms: signed before, be it for another model, or now. Requests that come together share one. */
  async forTerms(
    { gateway, offer, target }: { gateway: string; offer: PaymentRequirements; target: string },
    nowSeconds: number,
    sign: () => Promise<SignedPayment>,
  ): Promise<{ session: Session; isNew: boolean }> {
    const terms = termsText(gateway, offer);
    const tariff = tariffOf(offer);
    const quote = { atSeconds: nowSeconds, ...(tariff !== undefined && { tariff }) };
    const known = await this.#byTerms.get(terms)?.catch(() => undefined);
    if (known !== undefined && this.#byHeader.has(known.payment.header) && isLive(known, nowSeconds)) {
      this.#byTarget.set(target, { session: known, ...quote });
      return { session: known, isNew: false };
    }
    const opening = sign().then((payment) => ({ payment, spentWei: 0n }));
    this.#byTerms.set(terms, opening);
    try {
      const session = await opening;
      this.#byHeader.set(session.payment.header, session);
      this.#byTarget.set(target, { session, ...quote });
      return { session, isNew: true };
    } catch (error) {
      this.#byTerms.delete(terms);
      throw error;
    }
  }

  find({ header }: SignedPayment): Session | undefined {
    return this.#byHeader.get(header);
  }

  /** It pays for nothing more. */
  end({ header }: SignedPayment): void {
    this.#byHeader.delete(header);
    for (const [target, { session }] of this.#byTarget) {
      if (session.payment.header === header) this.#byTarget.delete(target);
    }
  }
}

const isLive = ({ payment }: Session, nowSeconds: number): boolean => payment.authorization.validBefore > nowSeconds;

/** Everything that is signed. What tokens cost is not, and changes. */
const termsText = (gateway: string, { extra, ...offer }: PaymentRequirements): string =>
  JSON.stringify([gateway, offer, { ...extra, tariff: undefined }]);
