import { devAccounts } from "../../../simulator/chain/devAccounts.ts";
import type { Contender, RunningContender } from "../harness/Contender.ts";
import { startServer } from "../harness/childProcess.ts";
import type { StockSellerSettings } from "../servers/stockSeller.ts";
import { type BenchChain, PRICE_WEI, WEI_PER_TOKEN } from "./BenchChain.ts";
import { liveRuns } from "./liveRuns.ts";
import { paidRequests } from "./paidRequests.ts";

/** Hardhat's accounts; the first deploys, the others are our gateways'. */
const [, facilitatorAccount, sellerAccount] = devAccounts(3);

export interface StockOptions {
  scheme: StockSellerSettings["scheme"];
  storage?: StockSellerSettings["storage"];
  upstream: string;
  /** Of `stockFacilitator`. */
  facilitator: { url: string; pid: number };
  chain: BenchChain;
}

/** The facilitator that all stock sellers here share. */
export const startStockFacilitator = (chain: BenchChain) =>
  startServer(new URL("../servers/stockFacilitator.ts", import.meta.url), {
    chainUrl: chain.url,
    privateKey: facilitatorAccount!.privateKey,
  });

/** Sells by one scheme with x402's own packages, facilitator included. */
export function stock({ scheme, storage = "memory", upstream, facilitator, chain }: StockOptions): Contender {
  const name = `stock-${scheme}${storage === "file" ? "-file" : ""}`;
  const where = scheme === "batch-settlement" ? `, channels in ${storage === "file" ? "files" : "memory"}` : "";
  return {
    name,
    title: `@x402/hono, ${scheme}${where}, no receipt`,
    start: async (): Promise<RunningContender> => {
      const settings: StockSellerSettings = {
        scheme,
        storage,
        upstream,
        facilitatorUrl: facilitator.url,
        asset: chain.asset,
        sellerKey: sellerAccount!.privateKey,
        priceWei: PRICE_WEI.toString(),
        weiPerToken: WEI_PER_TOKEN.toString(),
      };
      const server = await startServer(new URL("../servers/stockSeller.ts", import.meta.url), settings);
      const requests = await paidRequests(name, server.url, scheme);
      return {
        url: server.url,
        pids: [server.pid, facilitator.pid],
        kind: "single",
        requests,
        live: liveRuns({ contender: name, url: server.url, scheme, chain }),
        stop: () => server.stop(),
      };
    },
  };
}
