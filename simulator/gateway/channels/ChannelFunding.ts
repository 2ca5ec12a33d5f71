import type { FacilitatorClient } from "@x402/core/server";
import type { PaymentPayload, PaymentRequirements, SettleResponse } from "@x402/core/types";
import type { Hex } from "../../receipts/types.ts";
import type { Channel } from "./Channel.ts";
import type { ChannelBook } from "./ChannelBook.ts";
import type { Delivered, Deposited } from "./ChannelCheckout.ts";
import type { ChannelPayment } from "./ChannelPayment.ts";
import { channelUncheckable, ChannelRefusal } from "./ChannelRefusal.ts";
import { REASONS } from "./channelReasons.ts";
import type { ChannelStore } from "./ChannelStore.ts";
import type { ChannelTerms } from "./ChannelTerms.ts";

export interface ChannelFundingOptions {
  rail: Pick<FacilitatorClient, "verify" | "settle">;
  book: ChannelBook<Delivered>;
  store: ChannelStore;
  terms: ChannelTerms;
}

/** What the chain is asked to do with channels' money: x402's payloads, through the facilitator. */
export class ChannelFunding {
  readonly #options: ChannelFundingOptions;
  /** Deposits under way, by channel. */
  readonly #depositing = new Map<Hex, Promise<Deposited | undefined>>();

  constructor(options: ChannelFundingOptions) {
    this.#options = options;
  }

  /** Whether the chain takes a voucher, of a payer that is a contract. @returns x402's reason, or undefined. */
  async verify({ payload }: ChannelPayment, capWei: bigint, payTo: Hex): Promise<string | undefined> {
    const { rail, terms } = this.#options;
    const { isValid, invalidReason } = await rail.verify(payload, terms.requirements(payTo, capWei));
    return isValid ? undefined : (invalidReason ?? "payment_invalid");
  }

  /**
   * Puts a deposit on the chain. It is there before the request is served: a channel pays with what it holds.
   * @returns undefined when it was there already.
   * @throws ChannelRefusal 402; GatewayError 503 when the chain could not be asked, or has not yet answered.
   */
  async deposit(payment: ChannelPayment, capWei: bigint, payTo: Hex): Promise<Deposited | undefined> {
    const { channelId } = payment;
    const waiting = this.#depositing.get(channelId);
    // a copy of the same deposit finds it done; another one is for another time
    if (waiting !== undefined) return waiting.then(() => undefined);
    const depositing = this.#deposit(payment, this.#options.terms.requirements(payTo, capWei)).finally(() =>
      this.#depositing.delete(channelId),
    );
    this.#depositing.set(channelId, depositing);
    return depositing;
  }

  async #deposit(payment: ChannelPayment, requirements: PaymentRequirements): Promise<Deposited | undefined> {
    const { rail, book } = this.#options;
    const { payload, channelId, config } = payment;
    if (book.get(channelId)?.busy !== undefined) throw new ChannelRefusal(REASONS.busy);
    let failure: string | undefined;
    let transaction = "";
    try {
      const verified = await rail.verify(payload, requirements);
      if (!verified.isValid) failure = verified.invalidReason ?? "payment_invalid";
      else {
        const settled = await rail.settle(payload, requirements);
        if (settled.success) transaction = settled.transaction;
        else failure = settled.errorReason ?? REASONS.deposit;
      }
    } catch (error) {
      throw channelUncheckable(error);
    }
    const known = book.get(channelId);
    const channel = known === undefined ? await book.adopt(channelId, config).catch(absent) : await book.refresh(known);
    if (failure === undefined && channel !== undefined) return { channel, transaction };
    // an earlier try may have gone through
    if (channel !== undefined && channel.chain.balanceWei >= payment.maxClaimableAmount) return undefined;
    throw new ChannelRefusal(failure ?? REASONS.deposit);
  }

  /**
   * Gives what is left in a channel, or a part, back to its payer, and claims what was charged before.
   * @param amountWei undefined: all that is left.
   * @throws ChannelRefusal 402
   */
  async refund(
    channel: Channel<Delivered>,
    payment: ChannelPayment,
    amountWei: bigint | undefined,
  ): Promise<SettleResponse> {
    const { rail, book, store, terms } = this.#options;
    const { ledger, config, chain } = channel;
    const leftWei = chain.balanceWei - ledger.chargedWei;
    if (leftWei <= 0n) throw new ChannelRefusal(REASONS.refundNothing);
    if (amountWei === 0n) throw new ChannelRefusal(REASONS.refundAmount);
    const requirements = terms.requirements(config.receiver, 0n);
    const payload: PaymentPayload = {
      ...payment.payload,
      payload: {
        type: "refund",
        channelConfig: config,
        voucher: {
          channelId: channel.id,
          maxClaimableAmount: payment.maxClaimableAmount.toString(),
          signature: payment.signature,
        },
        amount: (amountWei ?? leftWei).toString(),
        refundNonce: chain.refundNonce.toString(),
        claims: channel.claimableWei > 0n ? [claimOf(channel)] : [],
      },
    };
    let settled: SettleResponse;
    try {
      settled = await rail.settle(payload, requirements);
      await book.refresh(channel);
    } catch (error) {
      throw channelUncheckable(error);
    }
    if (!settled.success) throw new ChannelRefusal(settled.errorReason ?? REASONS.refund);
    if (channel.chain.balanceWei <= channel.ledger.chargedWei) {
      await store.sync(channel);
    }
    return settled;
  }
}

/** A claim of all that was charged, in x402's form. */
export const claimOf = ({ config, ledger }: Channel) => ({
  voucher: { channel: config, maxClaimableAmount: ledger.maxClaimableWei.toString() },
  signature: ledger.signature,
  totalClaimed: ledger.chargedWei.toString(),
});

function absent(error: unknown): undefined {
  if (error instanceof ChannelRefusal) return undefined;
  throw error;
}
