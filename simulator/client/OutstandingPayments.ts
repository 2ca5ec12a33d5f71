import { PaymentDeclinedError } from "./ClientError.ts";
import type { SignedPayment } from "./SignedPayment.ts";

/**
 * What was signed away and not accounted for by receipts: a gateway that takes payments and answers nothing, or says again and again that an
 * authorization is used up, gets this much and no more.
 */
export class OutstandingPayments {
  readonly #limitWei: bigint;
  readonly #payments = new Map<string, { wei: bigint; validBefore: bigint }>();

  constructor(limitWei: bigint) {
    this.#limitWei = limitWei;
  }

  /** @throws PaymentDeclinedError when there is no room for another one. */
  requireRoom(wei: bigint, nowSeconds: number): void {
    let sum = wei;
    for (const [header, payment] of this.#payments) {
      if (payment.validBefore <= nowSeconds) this.#payments.delete(header);
      else sum += payment.wei;
    }
    if (sum <= this.#limitWei) return;
    throw new PaymentDeclinedError(
      `With ${wei} wei more, payments of ${sum} wei would be out that brought nothing yet; the limit is ${this.#limitWei}`,
    );
  }

  add({ header, authorization: { valueWei: wei, validBefore } }: SignedPayment): void {
    this.#payments.set(header, { wei, validBefore });
  }

  /** A receipt accounts for `wei` of a payment; of a fixed price for all of it. */
  explain({ header }: SignedPayment, wei: bigint): void {
    const payment = this.#payments.get(header);
    if (payment === undefined) return;
    payment.wei -= wei;
    if (payment.wei <= 0n) this.#payments.delete(header);
  }
}
