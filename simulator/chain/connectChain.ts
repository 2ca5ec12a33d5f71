import { FetchRequest, toBigInt } from "ethers";
import type { JsonRpcProvider } from "ethers";
import { z } from "zod";

import { ChainProvider } from "./ChainProvider.ts";
import { HeadWatcher } from "./HeadWatcher.ts";

/** A connection to one chain, shared by the actors of a process. */
export interface Chain {
  readonly url: string;
  readonly chainId: bigint;
  readonly provider: JsonRpcProvider;
  /** The newest block, polled once for all. */
  readonly head: HeadWatcher;
  /** How often things that wait for the chain look again. */
  readonly pollingIntervalMs: number;
  /** Ends polling and forgets requests under way. */
  close(): void;
}

export interface ConnectChainOptions {
  /** HTTP(S) JSON-RPC endpoint. */
  url: string;
  /** Default: 25 ms on chain 31337, 1 s elsewhere. */
  pollingIntervalMs?: number;
  /** Bound of one HTTP request. Default 15 s. */
  requestTimeoutMs?: number;
  /** Sent again this many times when no answer came. Default 5, over about 1.5 s. */
  retries?: number;
}

/** Chains of Hardhat and Anvil: blocks come with the transactions, so polling often pays. */
export const LOCAL_CHAIN_ID = 31337n;

/** The endpoint does not answer, or not as an Ethereum node does. */
export class ChainUnreachableError extends Error {
  override readonly name = "ChainUnreachableError";
  readonly code = "chain_unreachable";
}

const chainIdResponse = z.object({ result: z.string().regex(/^0x[0-9a-fA-F]+$/) });

/**
 * Connects to a JSON-RPC endpoint and asks for its chain id.
 * @throws ChainUnreachableError
 */
export async function connectChain(options: ConnectChainOptions): Promise<Chain> {
  const { url, requestTimeoutMs = 15_000, retries = 5 } = options;
  const chainId = await askChainId(url, requestTimeoutMs);
  const pollingIntervalMs = options.pollingIntervalMs ?? (chainId === LOCAL_CHAIN_ID ? 25 : 1_000);
  const provider = new ChainProvider({ url, chainId, pollingIntervalMs, requestTimeoutMs, retries });
  const head = new HeadWatcher(provider, pollingIntervalMs);
  return {
    url,
    chainId,
    provider,
    head,
    pollingIntervalMs,
    close() {
      head.stop();
      provider.destroy();
    },
  };
}

/** ethers would ask for the network again and again, and print to the console, while nothing answers. */
async function askChainId(url: string, timeoutMs: number): Promise<bigint> {
  try {
    const request = new FetchRequest(url);
    request.timeout = timeoutMs;
    request.body = { jsonrpc: "2.0", id: 1, method: "eth_chainId", params: [] };
    const response = await request.send();
    response.assertOk();
    return toBigInt(chainIdResponse.parse(response.bodyJson).result);
  } catch (cause) {
    throw new ChainUnreachableError(
      `Expected an Ethereum JSON-RPC endpoint at ${url}, which did not tell its chain id`,
      {
        cause,
      },
    );
  }
}
