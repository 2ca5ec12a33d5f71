import { encodePaymentRequiredHeader } from "@x402/core/http";
import type { PaymentRequirements } from "@x402/core/types";
import { PAYMENT_HEADER } from "./SignedPayment.ts";

/** The terms of the channel are known: they are not asked for again, since others might come back. */
export const probeAnsweredBy =
  (offer: PaymentRequirements, send: typeof fetch): typeof fetch =>
  (input, init) => {
    const request = new Request(input, init);
    if (request.headers.has(PAYMENT_HEADER)) return send(request);
    const required = encodePaymentRequiredHeader({ x402Version: 2, resource: { url: request.url }, accepts: [offer] });
    return Promise.resolve(new Response(null, { status: 402, headers: { "payment-required": required } }));
  };
