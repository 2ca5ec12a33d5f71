import type { PaymentRequirements } from "@x402/core/types";
import type { SignedPayment } from "./SignedPayment.ts";

/** An `upto` authorization that pays for several requests. */
export interface Session {
  payment: SignedPayment;
  /** Sum of the fees of its receipts, wei. */
  spentWei: bigint;
}

/**
 * Authorizations that may pay for more: signed once, charged once, for the sum of what was used. Whether there is room for another request the
 * gateway says; it answers 402 when there is not, or when it has charged the sum already.
 */
export class UptoSessions {
  readonly #byTerms = new Map<string, Promise<Session>>();
  readonly #byTarget = new Map<string, Session>();
  readonly #byHeader = new Map<string, Session>();

  /** The one that last paid for the same target (gateway, route and model); nobody has to be asked for terms then. */
  forTarget(target: string, nowSeconds: number): Session | undefined {
    const session = this.#byTarget.get(target);
    if (session === undefined || isLive(session, nowSeconds)) return session;
    this.end(session.payment);
    return undefined;
  }

  /** One for these terms: signed before, be it for another model, or now. Requests that come together share one. */
  async forTerms(
    { gateway, offer, target }: { gateway: string; offer: PaymentRequirements; target: string },
    nowSeconds: number,
    sign: () => Promise<SignedPayment>,
  ): Promise<{ session: Session; isNew: boolean }> {
    const terms = termsText(gateway, offer);
    const known = await this.#byTerms.get(terms)?.catch(() => undefined);
    if (known !== undefined && this.#byHeader.has(known.payment.header) && isLive(known, nowSeconds)) {
      this.#byTarget.set(target, known);
      return { session: known, isNew: false };
    }
    const opening = sign().then((payment) => ({ payment, spentWei: 0n }));
    this.#byTerms.set(terms, opening);
    try {
      const session = await opening;
      this.#byHeader.set(session.payment.header, session);
      this.#byTarget.set(target, session);
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
    for (const [target, { payment }] of this.#byTarget) if (payment.header === header) this.#byTarget.delete(target);
  }
}

const isLive = ({ payment }: Session, nowSeconds: number): boolean => payment.authorization.validBefore > nowSeconds;

/** Everything that is signed, and what the gateway compares. */
const termsText = (gateway: string, offer: PaymentRequirements): string => JSON.stringify([gateway, offer]);
