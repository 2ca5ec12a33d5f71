import { GatewayError } from "../GatewayError.ts";
import type { Channel } from "./Channel.ts";
import { REASONS } from "./channelReasons.ts";

const ADVICE: Partial<Record<string, string>> = {
  [REASONS.cumulative]:
    "The voucher has to be for what was charged so far and the price of this request; see channelState",
  [REASONS.balance]: "The channel holds too little for this request: deposit more",
  [REASONS.signature]: "The channel's payer authorizer has not signed this voucher",
  [REASONS.busy]:
    "The channel is paying for another request: wait for its answer, or open a second channel with another salt",
  [REASONS.unknown]: "The chain has no such channel, or nothing is in it: deposit first",
  [REASONS.withdrawing]: "The payer is taking its money out of this channel: open another, with another salt",
  [REASONS.terms]: "The payment is for other terms than this model's now; see accepts",
};

/** A payment through a channel does not buy a request. */
export class ChannelRefusal extends GatewayError {
  /** Tells a client that has lost count what was charged. */
  readonly channel: Channel | undefined;

  /** @param reason one of `REASONS`, or the facilitator's. */
  constructor(reason: string, { message, channel }: { message?: string; channel?: Channel | undefined } = {}) {
    super(402, "payment_required", reason, message ?? ADVICE[reason] ?? `The payment is refused: ${reason}`);
    this.channel = channel;
  }
}

/** The facilitator or the chain is away: the payment may be good, so it is not refused. */
export const channelUncheckable = (cause: unknown): GatewayError =>
  cause instanceof GatewayError
    ? cause
    : new GatewayError(
        503,
        "server_error",
        "payment_check_unavailable",
        "The channel cannot be looked up now; try again",
        { cause, retryAfterSeconds: 2 },
      );
