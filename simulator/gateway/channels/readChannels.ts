import type { FacilitatorClient } from "@x402/core/server";
import type { Provider } from "ethers";
import { IBatchSettlement__factory } from "../../../typechain-types/index.ts";
import { addressSchema, type Hex } from "../../receipts/types.ts";
import { BATCH_SETTLEMENT, SCHEME } from "./channelConfig.ts";
import type { ReadChannels } from "./ChannelBook.ts";

/** Reads channels' states from x402's contract. */
export function channelReader(provider: Provider): ReadChannels {
  const contract = IBatchSettlement__factory.connect(BATCH_SETTLEMENT, provider);
  return (channelIds) =>
    Promise.all(
      channelIds.map(async (id) => {
        const [channel, withdrawal, refundNonce] = await Promise.all([
          contract.channels(id),
          contract.pendingWithdrawals(id),
          contract.refundNonce(id),
        ]);
        return {
          balanceWei: channel.balance,
          claimedWei: channel.totalClaimed,
          withdrawRequestedAt: Number(withdrawal.initiatedAt),
          refundNonce,
        };
      }),
    );
}

/** Who signs claims for receivers that leave that to their facilitator. @throws when it offers that to nobody. */
export async function facilitatorsAuthorizer(rail: FacilitatorClient, network: string): Promise<Hex> {
  const { kinds } = await rail.getSupported();
  const kind = kinds.find((each) => each.scheme === SCHEME && each.network === network);
  const parsed = addressSchema.safeParse(kind?.extra?.["receiverAuthorizer"]);
  if (parsed.success) return parsed.data;
  throw new Error(`The facilitator signs no claims of ${SCHEME} on ${network}: give a receiverAuthorizer`);
}
