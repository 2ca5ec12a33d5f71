import type { RunningContender } from "../harness/Contender.ts";
import { channelPayments } from "../payments/channelPayments.ts";
import { exactPayments } from "../payments/exactPayments.ts";
import { benchPayer, CONNECTIONS } from "../payments/payers.ts";
import { askTerms } from "../payments/terms.ts";
import { uptoPayments } from "../payments/uptoPayments.ts";
import { DEPOSIT_WEI } from "./BenchChain.ts";
import { CHAT_BODY } from "./unpaid.ts";

/** Requests to a seller that are paid by a scheme, for every connection by a payer of its own. Channels are opened here. */
export async function paidRequests(
  contender: string,
  url: string,
  scheme: "exact" | "upto" | "batch-settlement",
  body: string = CHAT_BODY,
): Promise<RunningContender["requests"]> {
  const terms = await askTerms(url, scheme, body);
  const sources: ((count: number) => Buffer[])[] = [];
  for (let connection = 0; connection < CONNECTIONS; connection++) {
    const payer = benchPayer(contender, connection);
    if (scheme === "exact") sources.push(exactPayments(terms, payer));
    else if (scheme === "upto") sources.push(uptoPayments(terms, payer));
    else sources.push(await channelPayments(terms, payer, DEPOSIT_WEI));
  }
  return (connection, count) => sources[connection]!(count);
}
