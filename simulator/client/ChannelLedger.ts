import type { ClientChannelStorage } from "@x402/evm/batch-settlement/client";
import type { Hex } from "../receipts/types.ts";
import type { Channel, ChannelStore } from "./ChannelStore.ts";
import { falseState, parseStatement } from "./channelStatement.ts";
import type { SignedPayment, Voucher } from "./SignedPayment.ts";

/**
 * What channels were charged: counted from receipts, and a gateway's word for it is taken only as far as it can be, up to the voucher of a
 * request whose answer was lost.
 */
export class ChannelLedger {
  readonly #store: ChannelStore;
  readonly #maxPaymentWei: bigint;

  /** @param maxPaymentWei the most that one request may cost. */
  constructor(store: ChannelStore, maxPaymentWei: bigint) {
    this.#store = store;
    this.#maxPaymentWei = maxPaymentWei;
  }

  /** @throws VerificationError channel_state_mismatch for one that is not ours. */
  known(id: Hex): Channel {
    const channel = this.#store.get(id);
    if (channel === undefined) throw falseState(`Channel ${id} is not ours`);
    return channel;
  }

  /** The most that a voucher may be for: what is charged, and one request more. */
  ceilingWei(id: Hex): bigint | undefined {
    const channel = this.#store.get(id);
    return channel && channel.chargedWei + this.#maxPaymentWei;
  }

  /** Counts a fee that a receipt proves. */
  charge({ voucher }: SignedPayment, feeWei: bigint): void {
    if (voucher === undefined) return;
    const channel = this.known(voucher.channelId);
    const totalWei = voucher.baseWei + feeWei;
    // the gateway may have told of it before, when the answer was lost: then it is proven now
    const told = totalWei <= channel.chargedWei;
    this.#store.put({
      ...channel,
      chargedWei: told ? channel.chargedWei : totalWei,
      unprovenWei: told && channel.unprovenWei >= feeWei ? channel.unprovenWei - feeWei : channel.unprovenWei,
    });
    this.deposited(voucher);
  }

  /** The deposit that came with a voucher was made. */
  deposited({ channelId, depositWei }: Voucher): void {
    const { deposit, ...channel } = this.known(channelId);
    if (deposit === undefined || depositWei === undefined) return;
    this.#store.put({ ...channel, balanceWei: channel.balanceWei + deposit.wei });
  }

  /**
   * Compares what PAYMENT-RESPONSE says of the channel with the receipt.
   * @throws VerificationError channel_state_mismatch
   */
  checkStatement({ voucher }: SignedPayment, extra: unknown, feeWei: bigint): void {
    if (voucher === undefined || extra === undefined) return;
    const { chargedAmount, channelState } = parseStatement(extra);
    if (channelState?.channelId !== undefined && channelState.channelId !== voucher.channelId) {
      throw falseState(`The answer is for channel ${channelState.channelId}, not for ${voucher.channelId}`);
    }
    if (chargedAmount !== undefined && chargedAmount !== feeWei) {
      throw falseState(`The gateway says it charged ${chargedAmount} wei, and its receipt says ${feeWei}`);
    }
    const total = channelState?.chargedCumulativeAmount;
    if (total !== undefined && total !== voucher.baseWei + feeWei) {
      throw falseState(
        `The gateway says it charged ${total} wei in all, and the receipts say ${voucher.baseWei + feeWei}`,
      );
    }
  }

  /**
   * Takes a gateway's word on what it has charged altogether.
   * @throws VerificationError channel_state_mismatch when it claims more than was signed, or less than receipts prove.
   */
  believe(id: Hex, chargedWei: bigint): void {
    const channel = this.known(id);
    if (chargedWei > channel.signedWei) {
      throw falseState(
        `The gateway claims ${chargedWei} wei of channel ${id}, and no voucher is for more than ${channel.signedWei}`,
      );
    }
    if (chargedWei < channel.chargedWei - channel.unprovenWei) {
      throw falseState(
        `The gateway knows of ${chargedWei} wei of channel ${id} only, and its receipts are for ${channel.chargedWei}`,
      );
    }
    const unprovenWei = channel.unprovenWei + chargedWei - channel.chargedWei;
    this.#store.put({ ...channel, chargedWei, unprovenWei: unprovenWei > 0n ? unprovenWei : 0n });
  }

  /** The package's view of the store. What it writes is a gateway's word, or a refund we asked for. */
  readonly storage: ClientChannelStorage = {
    get: (key) => {
      const { balanceWei, chargedWei } = this.known(key as Hex);
      return Promise.resolve({ balance: balanceWei.toString(), chargedCumulativeAmount: chargedWei.toString() });
    },
    set: (key, { chargedCumulativeAmount, balance, signedMaxClaimable, totalClaimed }) => {
      const channel = this.known(key as Hex);
      // it has found our signature on this voucher, or the chain has
      const signedWei = max(BigInt(signedMaxClaimable ?? 0), BigInt(totalClaimed ?? 0));
      const balanceWei = BigInt(balance ?? channel.balanceWei);
      this.#store.put({ ...channel, balanceWei, signedWei: max(signedWei, channel.signedWei) });
      if (chargedCumulativeAmount !== undefined) this.believe(channel.id, BigInt(chargedCumulativeAmount));
      return Promise.resolve();
    },
    delete: (key) => {
      // refunded: nothing is left to spend, but what was charged stays so for the next deposit
      const channel = this.known(key as Hex);
      this.#store.put({ ...channel, balanceWei: channel.chargedWei });
      return Promise.resolve();
    },
  };
}

const max = (a: bigint, b: bigint): bigint => (a > b ? a : b);
