import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { DONE_EVENT, serverSentEvent } from "../../nodes/serverSentEvent.ts";
import { asGatewayError } from "../askNode.ts";
import type { Delivered, Purchase } from "./ChannelCheckout.ts";

/** Name of the event that tells what a stream came to: headers are out by then. */
const SETTLEMENT_EVENT = "x402-settlement";

/**
 * Sends a stream as it comes. Its end, with the receipt, waits for the charge to be durable, and comes after PAYMENT-RESPONSE as an event.
 * That event has no choices, as the one with the usage has none: OpenAI's clients take every event for a chunk.
 * @param response PAYMENT-RESPONSE.
 */
export async function streamAnswer(
  res: ServerResponse,
  { answer, outcome, onPiece }: Purchase,
  headers: Record<string, string>,
  response: (delivered: Delivered) => string,
): Promise<void> {
  let open = false;
  const write = async (text: string): Promise<void> => {
    if (!open) {
      res.writeHead(200, {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "private, no-store",
        ...headers,
      });
    }
    open = true;
    if (res.destroyed) return;
    if (!res.write(text)) await Promise.race([once(res, "drain"), once(res, "close")]);
  };
  try {
    for await (const piece of answer.follow()) {
      onPiece?.();
      if (!piece.endsWith(DONE_EVENT)) {
        await write(piece);
        continue;
      }
      await write(piece.slice(0, -DONE_EVENT.length));
      const settled = { choices: [], paymentResponse: response(await outcome) };
      await write(`event: ${SETTLEMENT_EVENT}\n${serverSentEvent(settled)}${DONE_EVENT}`);
    }
  } catch (error) {
    if (!open) throw error;
    await write(serverSentEvent(asGatewayError(error).toBody()));
  }
  res.end();
}
