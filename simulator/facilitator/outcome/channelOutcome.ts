import { BATCH_SETTLEMENT_ADDRESS, ERC3009_DEPOSIT_COLLECTOR_ADDRESS } from "@x402/evm";
import { AbiCoder, type Provider } from "ethers";
import type { Hex } from "../../receipts/types.ts";
import { channelIdOf, depositAuthorization, type ChannelPayment } from "../channelPayment.ts";
import { channelStates } from "../channelState.ts";
import { channelInterface } from "../settlementCall.ts";
import { authorizationOutcome } from "./authorizationOutcome.ts";
import { callReader, permit2Outcome } from "./permit2Outcome.ts";
import type { SettlementOutcome } from "./SettlementOutcome.ts";

const BATCH_SETTLEMENT = BATCH_SETTLEMENT_ADDRESS.toLowerCase() as Hex;

/** Reads deposits by Permit2; what they spend is in the data for the collector. */
const depositReader = callReader(channelInterface, ["deposit"], ({ args }) => {
  const config = args.getValue("config") as { payer: string };
  const [nonce] = AbiCoder.defaultAbiCoder().decode(["uint256"], args.getValue("collectorData") as string);
  const amountWei = args.getValue("amount") as bigint;
  return { owner: config.payer, nonce: nonce as bigint, amountWei, receiver: BATCH_SETTLEMENT };
});

/**
 * What has become of something done with channels. Claims, settlements and refunds count up on chain, so their end is read from there,
 * whoever made the transaction.
 * @param fromBlock a block at whose end it was not done.
 * @param recorded a transaction of ours that may have done it.
 */
export async function channelOutcome(
  provider: Provider,
  payment: ChannelPayment,
  fromBlock: number,
  recorded: Hex | undefined,
): Promise<SettlementOutcome> {
  const { action, network } = payment;
  switch (action.type) {
    case "deposit": {
      const authorization = depositAuthorization(network, action);
      if (authorization.method === "eip3009") {
        const payTo = ERC3009_DEPOSIT_COLLECTOR_ADDRESS.toLowerCase() as Hex;
        return authorizationOutcome(provider, { ...authorization, payTo }, fromBlock);
      }
      const { amountWei } = payment;
      const permitted = { authorization, amountWei, receiver: BATCH_SETTLEMENT, reader: depositReader };
      return permit2Outcome(provider, permitted, fromBlock, recorded);
    }
    case "claim": {
      const ids = action.claims.map(({ voucher }) => channelIdOf(network, voucher.channel));
      const states = await channelStates(provider, network, ids);
      const claimed = action.claims.every(
        ({ totalClaimed }, index) => states[index]!.claimedWei >= BigInt(totalClaimed),
      );
      if (!claimed || action.settle === undefined) return decided(provider, claimed, recorded);
      const { receiver, token } = action.settle;
      const [everClaimed, settled] = await receiverTotals(provider, receiver, token);
      return decided(provider, settled >= everClaimed, recorded);
    }
    case "settle": {
      const [, settled] = await receiverTotals(provider, action.receiver, action.token);
      return decided(provider, settled >= BigInt(action.totalClaimed), recorded);
    }
    case "refund": {
      const [state] = await channelStates(provider, network, [channelIdOf(network, action.channelConfig)]);
      return decided(provider, state!.refundNonce > BigInt(action.refundNonce), recorded);
    }
  }
}

/** The transaction is told only when it is ours: others' leave no event to find it by. */
async function decided(provider: Provider, done: boolean, recorded: Hex | undefined): Promise<SettlementOutcome> {
  if (!done) return { kind: "unused" };
  const receipt = recorded === undefined ? null : await provider.getTransactionReceipt(recorded);
  return { kind: "paid", ...(receipt?.status === 1 && { transaction: recorded! }) };
}

/** Wei that a receiver has claimed and that were paid out to it, ever. */
export async function receiverTotals(
  provider: Provider,
  receiver: Hex,
  token: Hex,
): Promise<[claimedWei: bigint, settledWei: bigint]> {
  const data = channelInterface.encodeFunctionData("receivers", [receiver, token]);
  const result = channelInterface.decodeFunctionResult(
    "receivers",
    await provider.call({ to: BATCH_SETTLEMENT_ADDRESS, data }),
  );
  return [result[0] as bigint, result[1] as bigint];
}
