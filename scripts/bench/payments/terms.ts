import { decodePaymentRequiredHeader } from "@x402/core/http";
import type { PaymentPayload, PaymentRequired, PaymentRequirements } from "@x402/core/types";
import { rawRequest } from "../load/requests.ts";

/** What a server asks for by one scheme. */
export interface Terms {
  /** Base URL. */
  url: string;
  accepted: PaymentRequirements;
  resource: PaymentRequired["resource"];
  body: string;
  /** Sent with every request. */
  headers: Readonly<Record<string, string>>;
}

/** Asks a server without paying. @throws Error when it does not want to be paid in this way. */
export async function askTerms(
  url: string,
  scheme: string,
  body: string,
  headers: Terms["headers"] = {},
): Promise<Terms> {
  const answer = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body,
  });
  const text = await answer.text();
  const header = answer.headers.get("payment-required");
  if (answer.status !== 402 || header === null) throw new Error(`Expected 402, found ${answer.status}: ${text}`);
  const { accepts, resource } = decodePaymentRequiredHeader(header);
  const accepted = accepts.find((candidate) => candidate.scheme === scheme);
  if (accepted === undefined) throw new Error(`Expected the scheme ${scheme} among ${JSON.stringify(accepts)}`);
  return { url, accepted, resource, body, headers };
}

/** PAYMENT-SIGNATURE by which a request is paid. */
export function paymentHeader({ accepted, resource }: Terms, payload: PaymentPayload["payload"]): string {
  return Buffer.from(JSON.stringify({ x402Version: 2, payload, resource, accepted })).toString("base64");
}

/** The request with its payment, as it goes over the wire. */
export const paidRequest = (terms: Terms, payload: PaymentPayload["payload"]): Buffer =>
  rawRequest({
    url: terms.url,
    headers: { ...terms.headers, "payment-signature": paymentHeader(terms, payload) },
    body: terms.body,
  });

/** CAIP-2 to the number in it. */
export const chainIdOf = ({ accepted }: Terms): number => Number(accepted.network.split(":")[1]);
