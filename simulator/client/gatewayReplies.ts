import { decodePaymentRequiredHeader, decodePaymentResponseHeader } from "@x402/core/http";
import type { PaymentRequired, PaymentRequirements } from "@x402/core/types";

/** What a 402 asks for; undefined when it does not say so as x402 v2. */
export function requiredBy(response: Response): PaymentRequired | undefined {
  try {
    const required = decodePaymentRequiredHeader(response.headers.get("payment-required") ?? "");
    return required.x402Version === 2 && Array.isArray(required.accepts) ? required : undefined;
  } catch {
    return undefined;
  }
}

/** Whether another request has the voucher's channel at the moment. */
export const isBusy = (response: Response): boolean =>
  response.status === 402 && requiredBy(response)?.error?.endsWith("channel_busy") === true;

/** @param stated PAYMENT-RESPONSE, if any. */
export function isSuccess(stated: string | null): boolean {
  try {
    return stated !== null && decodePaymentResponseHeader(stated).success;
  } catch {
    return false;
  }
}

/** What a gateway says about a channel is no part of what is offered. */
export function withoutState(offer: PaymentRequirements): PaymentRequirements {
  const isState = (name: string): boolean => name === "channelState" || name === "voucherState";
  const extra = Object.fromEntries(Object.entries(offer.extra ?? {}).filter(([name]) => !isState(name)));
  return { ...offer, extra };
}
