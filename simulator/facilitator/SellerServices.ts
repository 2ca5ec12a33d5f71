import type { PaymentPayload, PaymentRequirements } from "@x402/core/types";
import type { Hex } from "../receipts/types.ts";
import type { ClaimChannels } from "./ChannelRail.ts";
import type { ChannelState } from "./channelState.ts";
import type { PaymentJob } from "./PaymentStore.ts";

/** A payment that is owed: it is charged when the chain gets to it, while its answer is already out. */
export interface DeferredPayments {
  /**
   * Makes the payment durable; from then on it is charged once, whatever crashes. It has to be verified before.
   * @throws PaymentError
   */
  enqueue(payload: PaymentPayload, requirements: PaymentRequirements, options?: EnqueueOptions): Promise<PaymentJob>;
  /** The job of a payment, if there is one. */
  job(payload: PaymentPayload, requirements: PaymentRequirements): Promise<PaymentJob | undefined>;
  /** Calls `listener` with each job that ends, settled or dead. @returns how to stop that. */
  onOutcome(listener: (job: PaymentJob) => void): () => void;
  /** Wei the payer has promised and not yet paid. */
  outstandingWei(payer: Hex): Promise<bigint>;
  /** Wei the payer was served for and can no longer be charged. */
  defaultedWei(payer: Hex): Promise<bigint>;
}

/** What a seller does with payment channels beside verifying and settling payments of theirs. */
export interface ChannelPayments {
  /**
   * Claims vouchers, at most 100 channels of one receiver, and moves what it has claimed to it, in one transaction. Durable; the same
   * claims again are the same job.
   * @throws PaymentError
   */
  claimChannels(claim: ClaimChannels): Promise<PaymentJob>;
  /** Channels as the chain has them now, in the order of their ids. */
  channelStates(channelIds: readonly Hex[]): Promise<ChannelState[]>;
}

export interface EnqueueOptions {
  /** Wei to charge, at most what was signed; only `upto` charges less. 0 charges nothing and uses the authorization up all the same. */
  amountWei?: bigint;
}

export interface SettleOptions {
  /**
   * What a payment gets that was settled by an earlier call, or is being settled by one. `answer`: the same outcome, for sellers that
   * ask again after a crash. `refuse`: a refusal, for sellers that keep no record of their own: one signature then buys one answer. Who
   * was told "settlement_pending" may ask again either way.
   * Default `answer`.
   */
  repeated?: "answer" | "refuse";
}
