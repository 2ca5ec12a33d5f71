import type { ServerResponse } from "node:http";
import type { Network, PaymentRequirements, SettleResponse } from "@x402/core/types";
import type { Hex } from "../../receipts/types.ts";
import type { GatewayError } from "../GatewayError.ts";
import { channelStateJson, type Channel } from "./Channel.ts";
import type { Delivered, Deposited } from "./ChannelCheckout.ts";
import { ChannelRefusal } from "./ChannelRefusal.ts";

const base64 = (text: string): string => Buffer.from(text).toString("base64");

/** PAYMENT-RESPONSE of a request that was charged through a channel, as `@x402/evm`'s server has it. */
export function paymentResponse(
  channel: Channel,
  { receipt, chargedWei }: Pick<Delivered, "receipt" | "chargedWei">,
  network: Network,
  deposited?: Deposited,
): string {
  return response(channel, network, receipt.receipt.fee, chargedWei, deposited);
}

/** The same of a deposit whose request failed. */
export const depositResponse = ({ channel, transaction }: Deposited, network: Network): string =>
  response(channel, network, 0n, channel.ledger.chargedWei, { channel, transaction });

function response(
  channel: Channel,
  network: Network,
  feeWei: bigint,
  chargedWei: bigint,
  deposited: Deposited | undefined,
): string {
  return base64(
    JSON.stringify({
      success: true,
      payer: channel.config.payer,
      transaction: deposited?.transaction ?? "",
      network,
      amount: "",
      extra: { channelState: channelStateJson(channel, chargedWei), chargedAmount: feeWei.toString() },
    }),
  );
}

/**
 * Sends a whole answer with everything that proves it.
 * @param settlement headers about a receipt that is settled already.
 */
export function sendAnswer(
  res: ServerResponse,
  requestId: Hex,
  { text }: Delivered,
  response: string,
  settlement?: Record<string, string>,
): void {
  res.writeHead(200, {
    "content-type": "application/json; charset=utf-8",
    "content-length": Buffer.byteLength(text),
    "cache-control": "private, no-store",
    "payment-response": response,
    "x-processing-hash": requestId,
    "x-inference-receipt": base64(proofOf(text)),
    ...settlement,
  });
  // as text it goes out with the headers in one piece
  res.end(text);
}

/** Tells what became of a refund. */
export function sendRefund(res: ServerResponse, channel: Channel, settled: SettleResponse): void {
  const body = JSON.stringify({ message: "Refunded", channelId: channel.id, transaction: settled.transaction });
  const extra = { ...settled.extra, channelState: channelStateJson(channel) };
  res.writeHead(200, {
    "content-type": "application/json; charset=utf-8",
    "cache-control": "private, no-store",
    "payment-response": base64(JSON.stringify({ ...settled, extra })),
  });
  res.end(body);
}

/** The answer's own proof, which nodes add last: as it is signed, byte for byte. */
const proofOf = (text: string): string => text.slice(text.lastIndexOf(PROOF) + PROOF.length, -1);

const PROOF = '"opengradient":';

/** What a 402 asks for, by the scheme that was tried. */
export interface Asked {
  network: Network;
  url: string;
  /** The terms now. */
  requirements: readonly PaymentRequirements[];
}

/** Sends an error; a 402 with the terms, and with what was charged, for a client that has lost count. */
export function sendError(res: ServerResponse, error: GatewayError, asked: Asked, deposited?: Deposited): void {
  if (res.headersSent) {
    res.destroy();
    return;
  }
  const headers: Record<string, string | number> = {
    "content-type": "application/json; charset=utf-8",
    "cache-control": "no-store",
  };
  let body: object = error.toBody();
  if (error.retryAfterSeconds !== undefined) headers["retry-after"] = error.retryAfterSeconds;
  if (deposited !== undefined) headers["payment-response"] = depositResponse(deposited, asked.network);
  else if (error.status === 402) {
    const required = paymentRequired(error, asked);
    headers["payment-required"] = base64(JSON.stringify(required));
    body = { ...body, x402Version: 2, accepts: required.accepts };
  }
  const bytes = Buffer.from(JSON.stringify(body), "utf8");
  res.writeHead(error.status, { ...headers, "content-length": bytes.length });
  res.end(bytes);
}

/** x402's PaymentRequired. */
export function paymentRequired(
  error: Pick<GatewayError, "code">,
  { url, requirements }: Asked,
): { accepts: PaymentRequirements[] } {
  const channel = error instanceof ChannelRefusal ? error.channel : undefined;
  return {
    ...{ x402Version: 2, error: error.code },
    ...{ resource: { url, description: "One verifiable AI inference", mimeType: "application/json" } },
    accepts: requirements.map((terms) => (channel === undefined ? terms : withState(terms, channel))),
  };
}

function withState(terms: PaymentRequirements, channel: Channel): PaymentRequirements {
  const { maxClaimableWei, signature } = channel.ledger;
  const voucherState = { signedMaxClaimable: maxClaimableWei.toString(), signature };
  return {
    ...terms,
    extra: {
      ...terms.extra,
      channelState: channelStateJson(channel),
      // without a voucher the client goes by the chain
      ...(signature !== "0x" && { voucherState }),
    },
  };
}
