import type { FacilitatorClient } from "@x402/core/server";
import type { PaymentPayload, PaymentRequirements, SettleResponse } from "@x402/core/types";
import type { Logger } from "pino";
import type { Hex } from "../../receipts/types.ts";
import type { Channel } from "./Channel.ts";
import type { ChannelBook } from "./ChannelBook.ts";
import type { Delivered } from "./ChannelCheckout.ts";
import { claimEntry, claimOf } from "./ChannelFunding.ts";
import type { ReceiverAuthorizer } from "./ReceiverAuthorizer.ts";
import type { ChannelTerms } from "./ChannelTerms.ts";

export interface ChannelClaimerOptions {
  book: ChannelBook<Delivered>;
  terms: ChannelTerms;
  rail: Pick<FacilitatorClient, "settle">;
  /** Default: the facilitator signs. */
  authorizer?: ReceiverAuthorizer | undefined;
  logger: Logger;
  /** How often channels are looked at. Default: a third of the withdraw delay, so that a payer's withdrawal is seen before it is due. */
  intervalMs?: number;
  /** Channels with less to claim wait, unless their payer takes its money out. Default 1: none waits. */
  leastWei?: bigint;
}

/** What a round of claims came to. */
export interface ClaimReport {
  /** Channels that were claimed, and how much of them, wei. */
  channels: number;
  claimedWei: bigint;
  /** Channels of which more was charged than is left, and how much more, wei. */
  lostWei: bigint;
  /** Channels that the chain refused; they are tried again. */
  failed: number;
}

/** More in one transaction come near the gas of a block. */
const MAX_CLAIMS = 100;

/**
 * Takes what channels were charged, on chain and many at once: now and then, and at once where a payer has begun to take its money out. What
 * cannot be claimed any more, since the money is gone, is told.
 */
export class ChannelClaimer {
  readonly #options: ChannelClaimerOptions;
  readonly #intervalMs: number;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<ClaimReport> | undefined;

  constructor(options: ChannelClaimerOptions) {
    this.#options = options;
    this.#intervalMs = options.intervalMs ?? (options.terms.withdrawDelaySeconds * 1000) / 3;
  }

  start(): void {
    const again = (): void => {
      this.#timer = setTimeout(() => {
        this.run().then(again, (error: unknown) => {
          this.#options.logger.error({ err: error }, "channels could not be claimed; trying again");
          again();
        });
      }, this.#intervalMs);
      this.#timer.unref();
    };
    again();
  }

  /** Ends the round under way. @param claim whether to claim everything first. */
  async stop({ claim = false }: { claim?: boolean } = {}): Promise<void> {
    clearTimeout(this.#timer);
    await this.#running?.catch(() => undefined);
    clearTimeout(this.#timer);
    if (claim) await this.run({ leastWei: 1n });
  }

  /** Claims now. Rejects when the chain cannot be read. */
  run({ leastWei = this.#options.leastWei ?? 1n }: { leastWei?: bigint } = {}): Promise<ClaimReport> {
    this.#running ??= this.#round(leastWei).finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #round(leastWei: bigint): Promise<ClaimReport> {
    const { book } = this.#options;
    const report: ClaimReport = { channels: 0, claimedWei: 0n, lostWei: 0n, failed: 0 };
    const open = book.all().filter((channel) => channel.claimableWei > 0n);
    await book.refreshAll(open);
    for (const channel of open) this.#noteLoss(channel, report);
    const due = open.filter((channel) => {
      const claimable = collectableWei(channel);
      return claimable > 0n && (claimable >= leastWei || channel.chain.withdrawRequestedAt !== 0);
    });
    for (const channels of groupsOf(due)) {
      if (await this.#claim(channels, report)) await this.#settle(channels[0]!.config.receiver);
    }
    return report;
  }

  /** @returns whether anything was claimed. A refusal of many may be one's fault. */
  async #claim(channels: readonly Channel<Delivered>[], report: ClaimReport): Promise<boolean> {
    const { book, logger } = this.#options;
    const before = channels.reduce((sum, { chain }) => sum + chain.claimedWei, 0n);
    const totalWei = (channel: Channel): bigint => channel.chain.claimedWei + collectableWei(channel);
    const entries = channels.map((channel) => claimEntry(channel, totalWei(channel)));
    const settled = await this.#send(channels[0]!.config.receiver, {
      type: "claim",
      claims: channels.map((channel) => claimOf(channel, totalWei(channel))),
      claimAuthorizerSignature: await this.#options.authorizer?.signClaims(entries),
    });
    if (settled.success) {
      await book.refreshAll(channels);
      report.channels += channels.length;
      report.claimedWei += channels.reduce((sum, { chain }) => sum + chain.claimedWei, 0n) - before;
      return true;
    }
    if (channels.length === 1) {
      report.failed++;
      const { errorReason, errorMessage } = settled;
      logger.error({ channel: channels[0]!.id, errorReason, errorMessage }, "a channel could not be claimed");
      return false;
    }
    const half = Math.ceil(channels.length / 2);
    const first = await this.#claim(channels.slice(0, half), report);
    const second = await this.#claim(channels.slice(half), report);
    return first || second;
  }

  async #settle(receiver: Hex): Promise<void> {
    const { success, errorReason, errorMessage } = await this.#send(receiver, {
      type: "settle",
      receiver,
      token: this.#options.terms.asset,
    });
    // the next round moves it
    if (!success) this.#options.logger.warn({ errorReason, errorMessage }, "what was claimed is not yet paid out");
  }

  async #send(receiver: Hex, payload: PaymentPayload["payload"]): Promise<SettleResponse> {
    const { rail, terms } = this.#options;
    const requirements: PaymentRequirements = terms.requirements(receiver, 0n);
    try {
      return await rail.settle({ x402Version: 2, accepted: requirements, payload }, requirements);
    } catch (error) {
      const errorMessage = error instanceof Error ? error.message : String(error);
      return {
        success: false,
        errorReason: "facilitator_unreachable",
        errorMessage,
        transaction: "",
        network: terms.network,
      };
    }
  }

  #noteLoss(channel: Channel, report: ClaimReport): void {
    const lostWei = channel.claimableWei - collectableWei(channel);
    if (lostWei <= 0n) return;
    report.lostWei += lostWei;
    this.#options.logger.error(
      { channel: channel.id, lostWei },
      "a channel was drained: less is left than was charged",
    );
  }
}

/** Of what was charged and not claimed, what the channel still holds, wei. */
function collectableWei({ claimableWei, chain }: Channel): bigint {
  const left = chain.balanceWei - chain.claimedWei;
  return claimableWei < left ? claimableWei : left;
}

/** By receiver, no more than fit. */
function groupsOf(channels: readonly Channel<Delivered>[]): Channel<Delivered>[][] {
  const groups: Channel<Delivered>[][] = [];
  for (const ofReceiver of Map.groupBy(channels, ({ config }) => config.receiver).values()) {
    for (let i = 0; i < ofReceiver.length; i += MAX_CLAIMS) groups.push(ofReceiver.slice(i, i + MAX_CLAIMS));
  }
  return groups;
}
