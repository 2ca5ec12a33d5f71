import type { PaymentPayload } from "@x402/core/types";
import { parsePayload, paymentKeyText, type Charge, type PaymentAuthorization } from "../../facilitator/payment.ts";
import { PaymentError } from "../../facilitator/PaymentError.ts";
import { GatewayError } from "../GatewayError.ts";
import { decodePayment } from "../http/paymentHeader.ts";

/** A PAYMENT-SIGNATURE that was read; nothing is verified. */
export interface SignedPayment {
  kind: Charge["kind"];
  /** `paymentKeyText` of the authorization. */
  key: string;
  authorization: PaymentAuthorization;
  payload: PaymentPayload;
  /** Lower case: tells a copy from another payment with the same nonce. */
  signature: string;
}

/** A payment that is refused: 402, with what is asked for. The message says what to do. */
export const refused = (code: string, message: string): GatewayError =>
  new GatewayError(402, "payment_required", code, message);

/** The JSON of a PAYMENT-SIGNATURE header. @throws GatewayError 402 invalid_payload */
export function decodeHeader(header: string): unknown {
  try {
    return decodePayment(header);
  } catch (error) {
    throw asRefusal(error);
  }
}

/** The scheme that a payment says it is of, before anything else of it is read. */
export function schemeOf(value: unknown): string | undefined {
  const scheme = (value as { accepted?: { scheme?: unknown } } | null)?.accepted?.scheme;
  return typeof scheme === "string" ? scheme : undefined;
}

/** @throws GatewayError 402 invalid_payload */
export function readPayment(value: unknown): SignedPayment {
  try {
    const { kind, payload, authorization } = parsePayload(value);
    const { signature } = payload.payload as { signature: string };
    if (payload.accepted.asset.toLowerCase() !== authorization.asset) {
      throw refused(
        "permit2_token_mismatch",
        `The permit is for the token ${authorization.asset}, what was accepted for ${payload.accepted.asset}: sign one of \`accepts\``,
      );
    }
    return { kind, key: paymentKeyText(authorization), authorization, payload, signature: signature.toLowerCase() };
  } catch (error) {
    throw asRefusal(error);
  }
}

const asRefusal = (error: unknown): unknown =>
  error instanceof PaymentError ? refused(error.code, `${error.message}; sign one of \`accepts\``) : error;
