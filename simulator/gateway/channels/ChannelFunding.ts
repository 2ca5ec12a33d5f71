import type { FacilitatorClient } from "@x402/core/server";
import type { PaymentRequirements, SettleResponse } from "@x402/core/types";
import type { Hex } from "../../receipts/types.ts";
import type { Channel } from "./Channel.ts";
import type { ChannelBook } from "./ChannelBook.ts";
import type { Delivered, Deposited } from "./ChannelCheckout.ts";
import type { ChannelPayment } from "./ChannelPayment.ts";
import { channelUncheckable, ChannelRefusal } from "./ChannelRefusal.ts";
import { REASONS } from "./channelReasons.ts";
import { type ClaimEntry, type ReceiverAuthorizer } from "./ReceiverAuthorizer.ts";
import type { ChannelTerms } from "./ChannelTerms.ts";

export interface ChannelFundingOptions {
  rail: Pick<FacilitatorClient, "verify" | "settle">;
  book: ChannelBook<Delivered>;
  terms: ChannelTerms;
  /** Default: the facilitator signs. */
  authorizer: ReceiverAuthorizer | undefined;
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
   * Gives what is left in a channel, or a part, back to its payer, and claims what was charged before. The voucher that asks for it is for
   * exactly what was charged.
   * @throws ChannelRefusal 402; GatewayError 503
   */
  async refund(payment: ChannelPayment, payTo: Hex): Promise<{ channel: Channel<Delivered>; settled: SettleResponse }> {
    const { book, terms } = this.#options;
    const refusal = terms.refusalOf(payment.config, payTo);
    if (refusal !== undefined) throw new ChannelRefusal(refusal);
    book.requireId(payment.channelId, payment.config);
    const channel = book.get(payment.channelId) ?? (await book.adopt(payment.channelId, payment.config));
    await book.refresh(channel);
    if (channel.busy !== undefined) throw new ChannelRefusal(REASONS.busy);
    if (payment.maxClaimableAmount !== channel.ledger.chargedWei) {
      throw new ChannelRefusal(REASONS.cumulative, { channel });
    }
    const amountWei = refundAmount(payment, channel);
    // no request begins meanwhile
    const done = Promise.withResolvers<never>();
    done.promise.catch(() => undefined);
    channel.busy = { requestId: REFUND, outcome: done.promise };
    try {
      const settled = await this.#refund(payment, channel, amountWei, payTo);
      return { channel, settled };
    } finally {
      channel.busy = undefined;
    }
  }

  async #refund(
    payment: ChannelPayment,
    channel: Channel<Delivered>,
    amountWei: bigint,
    payTo: Hex,
  ): Promise<SettleResponse> {
    const { rail, book, terms, authorizer } = this.#options;
    const requirements = terms.requirements(payTo, 0n);
    const { refundNonce } = channel.chain;
    const claimed = channel.claimableWei > 0n ? [channel] : [];
    const { maxClaimableAmount, signature, channelId, config } = payment;
    const voucher = { channelId, maxClaimableAmount: maxClaimableAmount.toString(), signature };
    let settled: SettleResponse;
    try {
      // the payer's signature under the voucher is what shows that it is the payer who asks
      const asked = { type: "refund", channelConfig: config, voucher };
      const verified = await rail.verify({ ...payment.payload, payload: asked }, requirements);
      if (!verified.isValid) throw new ChannelRefusal(verified.invalidReason ?? REASONS.refund);
      settled = await rail.settle(
        {
          ...payment.payload,
          payload: {
            ...asked,
            amount: amountWei.toString(),
            refundNonce: refundNonce.toString(),
            claims: claimed.map((each) => claimOf(each)),
            refundAuthorizerSignature: await authorizer?.signRefund(channelId, refundNonce, amountWei),
            ...(claimed.length > 0 && {
              claimAuthorizerSignature: await authorizer?.signClaims(claimed.map((each) => claimEntry(each))),
            }),
          },
        },
        requirements,
      );
      await book.refresh(channel);
    } catch (error) {
      throw channelUncheckable(error);
    }
    if (!settled.success) throw new ChannelRefusal(settled.errorReason ?? REASONS.refund);
    return settled;
  }
}

/** Not a request's id: those are hashes. */
const REFUND: Hex = `0x${"00".repeat(32)}`;

/** Wei to give back. @throws ChannelRefusal */
function refundAmount({ payload }: ChannelPayment, { chain, ledger }: Channel): bigint {
  const leftWei = chain.balanceWei - ledger.chargedWei;
  if (leftWei <= 0n) throw new ChannelRefusal(REASONS.refundNothing);
  const { amount } = payload.payload;
  if (amount === undefined) return leftWei;
  if (typeof amount !== "string" || !/^[1-9][0-9]{0,38}$/.test(amount)) throw new ChannelRefusal(REASONS.refundAmount);
  return BigInt(amount) < leftWei ? BigInt(amount) : leftWei;
}

/** A claim of what was charged in all, in x402's form. */
export const claimOf = ({ config, ledger }: Channel, totalWei = ledger.chargedWei) => ({
  voucher: { channel: config, maxClaimableAmount: ledger.maxClaimableWei.toString() },
  signature: ledger.signature,
  totalClaimed: totalWei.toString(),
});

/** The same as its authorizer signs it. */
export const claimEntry = ({ id, ledger }: Channel, totalWei = ledger.chargedWei): ClaimEntry => ({
  channelId: id,
  maxClaimableAmount: ledger.maxClaimableWei,
  totalClaimed: totalWei,
});

function absent(error: unknown): undefined {
  if (error instanceof ChannelRefusal) return undefined;
  throw error;
}
