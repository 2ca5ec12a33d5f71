import type { RunningContender } from "../harness/Contender.ts";
import { channelPayments } from "../payments/channelPayments.ts";
import { exactPayments } from "../payments/exactPayments.ts";
import { benchPayer, CONNECTIONS } from "../payments/payers.ts";
import { askTerms, type Terms } from "../payments/terms.ts";
import { sessionPayments, uptoPayments } from "../payments/uptoPayments.ts";
import { DEPOSIT_WEI } from "./BenchChain.ts";
import { CHAT_BODY, chatBody } from "./chatBody.ts";

/** x402's schemes, `upto` with an authorization for each request or one for many. */
export type PaymentStyle = "exact" | "upto" | "upto-session" | "batch-settlement";

/** Requests to a seller that are paid by a scheme, for every connection by a payer of its own. Channels are opened here. */
export async function paidRequests(
  contender: string,
  url: string,
  style: PaymentStyle,
  headers: Terms["headers"] = {},
): Promise<RunningContender["requests"]> {
  const terms = await askTerms(url, style === "upto-session" ? "upto" : style, CHAT_BODY, headers);
  const sources: ((count: number) => Buffer[])[] = [];
  for (let connection = 0; connection < CONNECTIONS; connection++) {
    const payer = benchPayer(contender, connection);
    if (style === "exact") sources.push(exactPayments(terms, payer));
    else if (style === "upto") sources.push(uptoPayments(terms, payer));
    else if (style === "upto-session") sources.push(sessionPayments(terms, payer, chatBody));
    else sources.push(await channelPayments(terms, payer, DEPOSIT_WEI));
  }
  return (connection, count) => sources[connection]!(count);
}
