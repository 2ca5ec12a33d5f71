import { claimBatchTypes, refundTypes } from "@x402/evm";
import type { Signer, TypedDataField } from "ethers";
import type { Hex } from "../../receipts/types.ts";
import { BATCH_SETTLEMENT } from "./channelConfig.ts";

/** A claim of one channel. */
export interface ClaimEntry {
  channelId: Hex;
  maxClaimableAmount: bigint;
  totalClaimed: bigint;
}

/** Signs for the receiver of channels, so that whoever pays the gas can move their money only as it says. */
export interface ReceiverAuthorizer {
  signClaims(claims: readonly ClaimEntry[]): Promise<string>;
  signRefund(channelId: Hex, nonce: bigint, amountWei: bigint): Promise<string>;
}

/** The operator's own key. */
export function walletAuthorizer(wallet: Signer, chainId: bigint): ReceiverAuthorizer {
  const domain = { name: "x402 Batch Settlement", version: "1", chainId, verifyingContract: BATCH_SETTLEMENT };
  const sign = (types: unknown, message: Record<string, unknown>): Promise<string> =>
    wallet.signTypedData(domain, types as Record<string, TypedDataField[]>, message);
  return {
    signClaims: (claims) => sign(claimBatchTypes, { claims }),
    signRefund: (channelId, nonce, amount) => sign(refundTypes, { channelId, nonce, amount }),
  };
}
