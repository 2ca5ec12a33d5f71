import type { Scheme } from "../../../simulator/client/PaymentLimits.ts";
import type { Hex } from "../../../simulator/receipts/types.ts";
import type { LiveClientKind, LiveRun } from "../load/liveClient.ts";
import { benchPayer, LIVE_PAYERS } from "../payments/payers.ts";
import { type BenchChain, PRICE_WEI } from "./BenchChain.ts";

export interface LiveOptions {
  contender: string;
  url: string;
  scheme: Scheme;
  chain: BenchChain;
  /** Of ours: whom receipts are of, and the key that signs them. */
  receipts?: { operator: Hex; signer: Hex };
}

/** How users pay a seller: by the stock client, and where there are receipts to be checked, by ours too. */
export function liveRuns({ contender, url, scheme, chain, receipts }: LiveOptions): Omit<LiveRun, "seconds">[] {
  const nobody: Hex = `0x${"00".repeat(20)}`;
  const kinds: (keyof typeof LIVE_PAYERS & LiveClientKind)[] = ["openai + @x402/fetch"];
  if (receipts !== undefined) kinds.push("openai + ours");
  return kinds.map((kind) => ({
    kind,
    url,
    headers: {},
    paid: {
      scheme,
      privateKey: benchPayer(contender, LIVE_PAYERS[kind]).privateKey,
      chainUrl: chain.url,
      chainId: 31_337,
      asset: chain.asset,
      maxWei: PRICE_WEI,
      settlement: chain.settlement,
      ...(receipts ?? { operator: nobody, signer: nobody }),
    },
  }));
}
