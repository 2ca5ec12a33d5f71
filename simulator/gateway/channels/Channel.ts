import type { Hex } from "../../receipts/types.ts";
import { REASONS, type ChannelReason } from "./channelReasons.ts";
import type { ChannelConfig } from "./channelConfig.ts";

/** A channel as the chain has it. */
export interface ChainState {
  /** Wei deposited and not taken back, what was claimed included. */
  balanceWei: bigint;
  /** Wei the receiver has claimed, ever. */
  claimedWei: bigint;
  /** Unix seconds when the payer asked for its money back; 0: it has not. */
  withdrawRequestedAt: number;
  refundNonce: bigint;
}

/** What was promised and charged, ever. */
export interface ChannelLedger {
  chargedWei: bigint;
  /** Of the last voucher that was charged: at least `chargedWei`. */
  maxClaimableWei: bigint;
  /** 65 bytes; "0x" before the first voucher. */
  signature: string;
}

/** One request that a channel is paying for. */
export interface Reservation<T> {
  requestId: Hex;
  /** What it comes to: copies of the request wait for the same. */
  outcome: Promise<T>;
}

/**
 * A channel in the memory of its one owner. `ledger` is what the disk has: it moves on when a charge is durable, and no request begins
 * before the last one has ended.
 */
export class Channel<T = unknown> {
  readonly id: Hex;
  readonly config: ChannelConfig;
  chain: ChainState;
  /** When `chain` was read, ms. */
  syncedAtMs: number;
  ledger: ChannelLedger;
  busy: Reservation<T> | undefined;
  /** Of all vouchers that have bought something since the start, wei. */
  highestWei: bigint;
  usedAtMs: number;

  constructor(id: Hex, config: ChannelConfig, chain: ChainState, ledger: ChannelLedger, syncedAtMs: number) {
    this.id = id;
    this.config = config;
    this.chain = chain;
    this.ledger = ledger;
    this.syncedAtMs = syncedAtMs;
    this.highestWei = ledger.maxClaimableWei;
    this.usedAtMs = syncedAtMs;
  }

  /** Why it does not pay `capWei` more by a voucher for `maxWei`, or undefined when it does. */
  refusal(maxWei: bigint, capWei: bigint): ChannelReason | undefined {
    if (this.chain.withdrawRequestedAt !== 0) return REASONS.withdrawing;
    if (maxWei !== this.ledger.chargedWei + capWei) return REASONS.cumulative;
    if (maxWei > this.chain.balanceWei) return REASONS.balance;
    if (maxWei <= this.chain.claimedWei) return REASONS.belowClaimed;
    return undefined;
  }

  /** Wei that were charged and not claimed. */
  get claimableWei(): bigint {
    const open = this.ledger.chargedWei - this.chain.claimedWei;
    return open > 0n ? open : 0n;
  }
}

/** `channelState` as x402 has it. @param chargedWei after which request. */
export function channelStateJson({ id, chain, ledger }: Channel, chargedWei = ledger.chargedWei): object {
  return {
    channelId: id,
    balance: chain.balanceWei.toString(),
    totalClaimed: chain.claimedWei.toString(),
    withdrawRequestedAt: chain.withdrawRequestedAt,
    refundNonce: chain.refundNonce.toString(),
    chargedCumulativeAmount: chargedWei.toString(),
  };
}
