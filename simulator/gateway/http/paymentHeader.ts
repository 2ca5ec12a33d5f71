import type { IncomingHttpHeaders } from "node:http";
import { PaymentError } from "../../facilitator/PaymentError.ts";
import { GatewayError } from "../GatewayError.ts";

export const PAYMENT_SIGNATURE = "payment-signature";

/** What stock clients write: the standard alphabet. Node joins repeated headers by a comma, which is none of it. */
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;

/** A payment's JSON has four levels, its extensions a few more. */
const MAX_DEPTH = 16;

/** Keys by which a careless copy of an object changes its prototype, also when spelled with escapes. */
const POLLUTING =
  /"(?:_|\\u005[fF]){2}(?:p|\\u0070)(?:r|\\u0072)(?:o|\\u006[fF])(?:t|\\u0074)(?:o|\\u006[fF])(?:_|\\u005[fF]){2}"\s*:/;

/**
 * The one PAYMENT-SIGNATURE of a request, if it has any; what it holds is `decodePayment`'s matter.
 * @throws GatewayError 400 or 431 for one that no x402 client writes, before any of it is decoded.
 */
export function paymentHeaderOf(headers: IncomingHttpHeaders, maxBytes: number): string | undefined {
  const header = headers[PAYMENT_SIGNATURE];
  if (header === undefined) return undefined;
  if (typeof header !== "string" || header.includes(",")) {
    throw refused(400, "duplicate_payment", "Expected one PAYMENT-SIGNATURE header, found several");
  }
  if (header.length > maxBytes) {
    const message = `Expected a PAYMENT-SIGNATURE of at most ${maxBytes} bytes, found ${header.length}`;
    throw refused(431, "payment_too_large", message);
  }
  return header;
}

/**
 * The JSON in a PAYMENT-SIGNATURE, as harmless as what other JSON may be handed to: nesting is bounded, and no key is "__proto__".
 * @throws PaymentError invalid_payload
 */
export function decodePayment(header: string): unknown {
  if (!BASE64.test(header))
    throw new PaymentError("invalid_payload", "Expected base64 of JSON, found other characters");
  const text = Buffer.from(header, "base64").toString("utf8");
  if (depthOf(text) > MAX_DEPTH) {
    throw new PaymentError("invalid_payload", `Expected JSON nested at most ${MAX_DEPTH} levels deep`);
  }
  if (POLLUTING.test(text)) throw new PaymentError("invalid_payload", 'Expected no key "__proto__"');
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    const reason = error instanceof Error ? error.message : "unreadable";
    throw new PaymentError("invalid_payload", `Expected base64 of JSON: ${reason}`);
  }
}

/** How deep the brackets outside strings nest; of text that is no JSON, any number. */
function depthOf(text: string): number {
  let depth = 0;
  let deepest = 0;
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (inString) {
      if (code === 0x5c) i++;
      else if (code === 0x22) inString = false;
    } else if (code === 0x22) inString = true;
    else if (code === 0x7b || code === 0x5b) deepest = Math.max(deepest, ++depth);
    else if (code === 0x7d || code === 0x5d) depth--;
  }
  return deepest;
}

const refused = (status: number, code: string, message: string): GatewayError =>
  new GatewayError(status, "invalid_request_error", code, message);
