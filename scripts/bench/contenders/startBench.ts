import type { Contender } from "../harness/Contender.ts";
import { type ServerProcess, startServer } from "../harness/childProcess.ts";
import type { BenchChain } from "./BenchChain.ts";
import type { ContenderName } from "./names.ts";
import { own, type OwnOptions } from "./own.ts";
import { startStockFacilitator, stock, type StockOptions } from "./stock.ts";
import { bare, calibration, portkey } from "./unpaid.ts";

export interface Bench {
  contenders: Contender[];
  stop(): Promise<void>;
}

/** Starts what the contenders share: the upstream, and for those who are paid a chain and the stock facilitator. */
export async function startBench(names: readonly ContenderName[], progress: (line: string) => void): Promise<Bench> {
  const shared: Pick<ServerProcess, "stop">[] = [];
  const start = async (what: string, starting: Promise<ServerProcess>): Promise<ServerProcess> => {
    progress(`starting the ${what}`);
    const server = await starting;
    shared.unshift(server);
    return server;
  };
  const stop = async (): Promise<void> => {
    for (const server of shared) await server.stop();
  };
  try {
    const { url: upstream } = await start("upstream", startServer(new URL("../upstream.ts", import.meta.url)));
    const free = { upstream: calibration, bare, portkey } as const;
    const paid = names.filter((name) => !(name in free));
    if (paid.length === 0) return { contenders: names.map((name) => free[name as keyof typeof free](upstream)), stop };

    const { url, facts } = await start(
      "chain",
      startServer(new URL("../servers/localChain.ts", import.meta.url), { contenders: paid }),
    );
    const chain = { url, ...facts } as unknown as BenchChain;
    const facilitator = await start("stock facilitator", startStockFacilitator(chain));
    const stockly = (scheme: StockOptions["scheme"], storage?: StockOptions["storage"]): Contender =>
      stock({ scheme, upstream, facilitator, chain, ...(storage && { storage }) });
    const ours = (
      name: ContenderName,
      index: number,
      title: string,
      style: OwnOptions["style"],
      enclave?: OwnOptions["enclave"],
    ) => own({ name, title, style, index, upstream, chain, ...(enclave && { enclave }) });
    const make: Record<ContenderName, () => Contender> = {
      upstream: () => calibration(upstream),
      bare: () => bare(upstream),
      portkey: () => portkey(upstream),
      unpaid: () => ours("unpaid", 0, "ours, given away, with receipts", "none"),
      exact: () => ours("exact", 1, "ours, exact by ERC-3009", "exact"),
      upto: () => ours("upto", 2, "ours, upto, a permit for each request", "upto"),
      "upto-session": () => ours("upto-session", 3, "ours, upto, a permit for 100 requests", "upto-session"),
      "batch-settlement": () => ours("batch-settlement", 4, "ours, channels", "batch-settlement"),
      tee: () => ours("tee", 5, "ours, channels, an enclave's RSA over Merkle roots", "batch-settlement", "merkle"),
      "tee-each": () =>
        ours("tee-each", 6, "ours, channels, an enclave's RSA for each answer", "batch-settlement", "plain"),
      "stock-exact": () => stockly("exact"),
      "stock-upto": () => stockly("upto"),
      "stock-batch-settlement": () => stockly("batch-settlement"),
      "stock-batch-settlement-file": () => stockly("batch-settlement", "file"),
    };
    return { contenders: names.map((name) => make[name]()), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
