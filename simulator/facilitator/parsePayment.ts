import { parseChannelPayment, type ChannelPayment } from "./channelPayment.ts";
import { parseCharge, type Charge } from "./payment.ts";

/** A payment of any scheme. */
export type AnyPayment = Charge | ChannelPayment;

/**
 * Parses a payment of any scheme with the requirements a seller wants it checked against. Nothing is verified.
 * @param amountWei what is charged in the end. Default: with `upto` what the requirements say, otherwise what was signed.
 * @throws PaymentError invalid_payload
 */
export function parsePayment(payload: unknown, requirements: unknown, amountWei?: bigint): AnyPayment {
  return schemeOf(requirements) === "batch-settlement"
    ? parseChannelPayment(payload, requirements)
    : parseCharge(payload, requirements, amountWei);
}

const schemeOf = (requirements: unknown): unknown =>
  typeof requirements === "object" && requirements !== null && "scheme" in requirements
    ? requirements.scheme
    : undefined;
