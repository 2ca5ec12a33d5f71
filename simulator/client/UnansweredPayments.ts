import type { PaymentKey } from "../receipts/requestId.ts";
import type { OpenPayment } from "./Payer.ts";
import type { SealedExchange } from "./SealedExchange.ts";

/** A payment that went out and brought no answer (yet). */
export interface UnansweredPayment extends OpenPayment {
  /** What the request's id is made from. */
  key: PaymentKey;
  /** Unix seconds. */
  sentAt: number;
  /** The sealed request that it was made for; it buys no other ciphertext. */
  sealed?: SealedExchange;
}

/**
 * Payments whose answer was lost on the way, by the request they were for. The same request again uses them again: the gateway has, or
 * makes, the one answer, while a new payment would buy a second.
 */
export class UnansweredPayments {
  readonly #payments = new Map<string, UnansweredPayment[]>();

  put(request: string, payment: UnansweredPayment): void {
    this.#payments.set(request, [...(this.#payments.get(request) ?? []), payment]);
  }

  /** Whether there is one to take. */
  has(request: string, nowSeconds: number): boolean {
    return this.#live(request, nowSeconds).length > 0;
  }

  /** Takes the oldest payment for a request that has not expired. */
  take(request: string, nowSeconds: number): UnansweredPayment | undefined {
    const [first, ...rest] = this.#live(request, nowSeconds);
    if (rest.length > 0) this.#payments.set(request, rest);
    else this.#payments.delete(request);
    return first;
  }

  #live(request: string, nowSeconds: number): UnansweredPayment[] {
    const payments = this.#payments.get(request) ?? [];
    return payments.filter(({ authorization }) => authorization.validBefore > nowSeconds);
  }
}
