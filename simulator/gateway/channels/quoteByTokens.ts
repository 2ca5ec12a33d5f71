import { type PriceList, worstCaseWei } from "../payments/PriceList.ts";
import type { QuoteRequest } from "./ChannelSeller.ts";

/** Between a client's 402 and its payment the price of the token may move: so many hundredths of what it takes now will do. */
const ENOUGH = 95n;

/** By the token where tokens have a price, at most what the request can come to; the model's fee elsewhere. */
export function quoteByTokens(prices: PriceList): QuoteRequest {
  return ({ feeWei, tokenPrice, maxOutputTokens: modelsLimit }, { bytes, maxOutputTokens: limit }) => {
    if (tokenPrice === undefined) return { capWei: feeWei };
    const tariff = prices.tariffFor({ kind: "chat", feeWei, tokenPrice });
    const raw = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const capWei = worstCaseWei(
      tariff,
      { raw, ...(limit !== undefined && { maxOutputTokens: limit }) },
      { ...(modelsLimit !== undefined && { maxOutputTokens: modelsLimit }) },
    );
    return { capWei, leastWei: (capWei * ENOUGH) / 100n, tariff };
  };
}
