import type { Network } from "@x402/core/types";
import { BATCH_SETTLEMENT_ADDRESS } from "@x402/evm";
import type { Provider } from "ethers";
import type { Hex } from "../receipts/types.ts";
import { aggregate, type Read } from "./multicall.ts";
import { channelInterface } from "./settlementCall.ts";

/** A channel as the chain has it. */
export interface ChannelState {
  channelId: Hex;
  network: Network;
  /** Wei deposited and not refunded or withdrawn, what was claimed included. */
  balanceWei: bigint;
  /** Wei the receiver has taken, ever. */
  claimedWei: bigint;
  /** Unix seconds when the payer asked for its money back; 0: it has not. */
  withdrawRequestedAt: number;
  refundNonce: bigint;
}

const BATCH_SIZE = 100;

/** States of channels, in the order of their ids, a hundred in one call to the node. */
export async function channelStates(
  provider: Provider,
  network: Network,
  channelIds: readonly Hex[],
): Promise<ChannelState[]> {
  const pages = Array.from({ length: Math.ceil(channelIds.length / BATCH_SIZE) }, (_, page) =>
    channelIds.slice(page * BATCH_SIZE, (page + 1) * BATCH_SIZE),
  );
  return (await Promise.all(pages.map((page) => readPage(provider, network, page)))).flat();
}

async function readPage(provider: Provider, network: Network, channelIds: readonly Hex[]): Promise<ChannelState[]> {
  const reads = channelIds.flatMap((channelId): Read[] =>
    (["channels", "pendingWithdrawals", "refundNonce"] as const).map((name) => ({
      target: BATCH_SETTLEMENT_ADDRESS,
      contract: channelInterface,
      name,
      values: [channelId],
    })),
  );
  const results = await aggregate(provider, reads);
  return channelIds.map((channelId, index) => {
    const [channel, withdrawal, refund] = results.slice(3 * index, 3 * index + 3);
    return {
      channelId,
      network,
      balanceWei: channel![0] as bigint,
      claimedWei: channel![1] as bigint,
      withdrawRequestedAt: Number(withdrawal![1] as bigint),
      refundNonce: refund![0] as bigint,
    };
  });
}
