import type { Logger } from "pino";
import type { Chain } from "../chain/connectChain.ts";
import type { TransactionSubmitter } from "../chain/TransactionSubmitter.ts";
import type { AnyPayment } from "./parsePayment.ts";
import type { PaymentStore } from "./PaymentStore.ts";

export interface PaymentSettlerOptions {
  /** Payments worked on at the same time. */
  concurrency: number;
  /** ERC-3009 payments settled by one transaction, at most; 1 to send each alone. */
  bulkSize: number;
  /** Such transactions under way at a time. */
  bulkLanes: number;
  /** Pause after a failed attempt: doubled with each, up to the maximum. */
  minRetryMs: number;
  maxRetryMs: number;
  /** After this many attempts something without a deadline, as a claim, is given up when the contract refuses it. */
  maxAttempts: number;
  /** How long one attempt waits for its transaction to be mined. */
  confirmationTimeoutMs: number;
  /** How long other facilitators keep off a job that this one works on; renewed while it does. */
  leaseMs: number;
  /** How often the store is looked into when nothing else tells that there is work, or an outcome. */
  pollMs: number;
  /** An authorization counts as expired this long after it is, by the later of the chain's and this machine's clock. */
  expiryMarginMs: number;
  /** Most gas of a payer's approval that is paid for. */
  approvalMaxGas: bigint;
}

export const DEFAULT_SETTLER_OPTIONS: PaymentSettlerOptions = {
  concurrency: 256,
  bulkSize: 100,
  bulkLanes: 2,
  minRetryMs: 250,
  maxRetryMs: 30_000,
  maxAttempts: 6,
  confirmationTimeoutMs: 60_000,
  leaseMs: 30_000,
  pollMs: 1_000,
  expiryMarginMs: 60_000,
  approvalMaxGas: 100_000n,
};

export interface PaymentSettlerParts {
  store: PaymentStore;
  chain: Chain;
  /** Pays the gas. */
  submitter: TransactionSubmitter;
  logger: Logger;
  /** Why a payment would be refused now, in the words of x402; asked when a seller waits for one that failed. */
  explain?: (payment: AnyPayment) => Promise<string | undefined>;
}
