import { FetchRequest, JsonRpcProvider, Network } from "ethers";
import type { JsonRpcPayload } from "ethers";

import { classifyRpcError } from "./rpcErrors.ts";
import { delay } from "./delay.ts";

export interface ChainProviderOptions {
  url: string;
  chainId: bigint;
  /** How often ethers' own subscriptions poll. */
  pollingIntervalMs: number;
  /** Bound of one HTTP request. */
  requestTimeoutMs: number;
  /** How many times a request that got no answer is sent again. */
  retries: number;
}

/** Asking twice does no harm: everything but what changes a development chain, and transactions the node signs itself. */
const isRepeatable = ({ method }: JsonRpcPayload) => !/^(eth_sendTransaction$|evm_|hardhat_|anvil_)/.test(method);

const FIRST_RETRY_MS = 50;

/**
 * ethers' JSON-RPC provider with what a long-running actor needs: bounded requests, retries when no answer came (refused, reset or timed out
 * connections, 429 and 5xx), and no cache, so that a read after a transaction sees it.
 */
export class ChainProvider extends JsonRpcProvider {
  readonly #retries: number;

  constructor({ url, chainId, pollingIntervalMs, requestTimeoutMs, retries }: ChainProviderOptions) {
    const request = new FetchRequest(url);
    request.timeout = requestTimeoutMs;
    const network = Network.from(chainId);
    super(request, network, {
      staticNetwork: network,
      cacheTimeout: -1,
      batchStallTime: 0,
      batchMaxCount: 10,
      pollingInterval: pollingIntervalMs,
    });
    this.#retries = retries;
  }

  override async _send(payload: JsonRpcPayload | JsonRpcPayload[]): ReturnType<JsonRpcProvider["_send"]> {
    const payloads = Array.isArray(payload) ? payload : [payload];
    const retries = payloads.every(isRepeatable) ? this.#retries : 0;
    for (let attempt = 0; ; attempt++) {
      try {
        return await super._send(payload);
      } catch (error) {
        if (attempt >= retries || this.destroyed || classifyRpcError(error) !== "unreachable") throw error;
        // jitter, so that the actors that lost the node together do not all come back together
        await delay(FIRST_RETRY_MS * 2 ** attempt * (0.5 + Math.random()));
      }
    }
  }
}
