import { JsonRpcProvider } from "ethers";
import type { Logger } from "pino";

import { devAccounts } from "./devAccounts.ts";
import type { DevAccount } from "./devAccounts.ts";
import { hardhatRuntime } from "./hardhatRuntime.ts";
import { installLocalX402 } from "./x402/installLocalX402.ts";

export interface EmbeddedChainOptions {
  logger: Logger;
  /** 0, the default, takes any free port. */
  port?: number;
  /** Seconds between blocks; without it every transaction is mined at once. */
  blockTimeSeconds?: number;
}

/**
 * A development chain inside this process: Hardhat's EDR with Base's rules (Osaka, chain 31337) behind JSON-RPC on 127.0.0.1. It has what x402
 * expects of a chain (`installLocalX402`). Nothing of it outlives stop().
 */
export class EmbeddedChain {
  readonly #options: EmbeddedChainOptions;
  #server: { close(): Promise<void> } | undefined;
  #url: string | undefined;

  /** Accounts with 10,000 ETH each. */
  readonly accounts: readonly DevAccount[] = devAccounts();

  constructor(options: EmbeddedChainOptions) {
    this.#options = options;
  }

  /** @throws Error before start() has finished. */
  get url(): string {
    if (!this.#url) throw new Error("The embedded chain is not running: await start() first");
    return this.#url;
  }

  async start(): Promise<void> {
    if (this.#server) return;
    const hre = await hardhatRuntime();
    const { blockTimeSeconds, port = 0, logger } = this.#options;
    const server = await hre.network.createServer(
      {
        network: "node",
        ...(blockTimeSeconds && { override: { mining: { auto: false, interval: blockTimeSeconds * 1_000 } } }),
      },
      "127.0.0.1",
      port,
    );
    const address = await server.listen();
    this.#server = server;
    this.#url = `http://127.0.0.1:${address.port}`;
    await prepare(this.#url);
    logger.info({ url: this.#url }, "embedded chain is up");
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    this.#url = undefined;
    await server?.close();
  }
}

async function prepare(url: string): Promise<void> {
  const provider = new JsonRpcProvider(url, undefined, { cacheTimeout: -1, batchMaxCount: 1 });
  try {
    await installLocalX402({ provider });
    await catchUp(provider);
  } finally {
    provider.destroy();
  }
}

/** EDR's clock starts when the chain is made and first runs when it is ready, seconds later: documents made now would be of its future. */
async function catchUp(provider: JsonRpcProvider): Promise<void> {
  const { timestamp } = (await provider.send("eth_getBlockByNumber", ["pending", false])) as { timestamp: string };
  const lag = Math.floor(Date.now() / 1000) - Number(timestamp);
  if (lag > 0) await provider.send("evm_increaseTime", [lag]);
}
