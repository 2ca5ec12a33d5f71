import type { PaymentPayload, PaymentRequirements } from "@x402/core/types";
import type { Hex } from "../receipts/types.ts";
import type { Payment, SettlementKind } from "./payment.ts";

/**
 * pending: to be sent. submitted: a transaction is signed and recorded, perhaps on its way. settled: done on chain, or nothing was due.
 * dead: it can or shall not be charged any more.
 */
export type PaymentStatus = "pending" | "submitted" | "settled" | "dead";

/** `until-expiry`: owed, so tried until the authorization runs out. `once`: the seller waits; a failed attempt ends it. */
export type Patience = "until-expiry" | "once";

/** A transaction as it was signed, before anybody has seen it. */
export interface SignedTransaction {
  hash: Hex;
  raw: Hex;
  /** Account that sends it, lower case, and its number there. */
  from: Hex;
  nonce: number;
}

/** One thing to settle on chain, once. Plain data: what it means is `parsePayment`'s to say. */
export interface PaymentJob {
  /** What it spends, in one text: two jobs never have the same. */
  key: string;
  kind: SettlementKind;
  /** Who pays; for a claim over many channels, who receives. Lower case. */
  payer: Hex;
  /** Wei that settling moves; at most what was authorized. */
  amountWei: bigint;
  /** The only account whose transaction can settle it; anybody's can when absent. Lower case. */
  facilitator?: Hex;
  /** Unix seconds after which the chain refuses it. */
  expiresAt: bigint;
  payload: PaymentPayload;
  requirements: PaymentRequirements;
  status: PaymentStatus;
  patience: Patience;
  /** The last transaction signed for it, or the one that settled it (only its hash is known when it was somebody else's). */
  transaction?: Pick<SignedTransaction, "hash"> & Partial<SignedTransaction>;
  attempts: number;
  dueAtMs: number;
  /** Not used up at the end of this block: its use need not be searched for below. */
  fromBlock: number;
  /** Why it died, or why the last attempt failed. */
  reason?: string;
}

export interface NewJob {
  payment: Payment;
  patience: Patience;
  fromBlock: number;
  nowMs: number;
}

/** What waits in a store, and what nothing can be done about. */
export interface Backlog {
  /** Jobs to be sent or on their way. */
  open: number;
  /** When the oldest of them came, milliseconds since 1970; undefined when there is none. */
  oldestAtMs: number | undefined;
  /** Payments that were owed and cannot be charged. */
  deadLetters: number;
}

/** One run of one facilitator. Several may share a store when each has its own account. */
export interface Worker {
  /** The account that signs its transactions, lower case. */
  account: Hex;
  /** Another one for every start. */
  id: string;
}

export interface DueClaim {
  worker: Worker;
  nowMs: number;
  limit: number;
  /** How long others keep off; renewed while the work goes on. */
  leaseMs: number;
}

export interface DeadLetterPage {
  limit: number;
  /** Key of the last one of the page before. */
  after?: string;
}

/**
 * Durable payment jobs. What a method resolves for is committed and survives a power cut; each method is one atomic step, whoever else
 * uses the store at the time, and none needs two of them to be.
 *
 * Jobs are worked on under leases. A lease is taken by `claimDue`, ends with the job, with `postpone`, with `releaseLeases`, or when its
 * time is up, and then anybody may take the job. The methods that name a worker do nothing, and say so, unless it holds the lease: a
 * facilitator that was away for too long cannot send what another one has taken over.
 */
export interface PaymentStore {
  /**
   * Adds a job, or returns the one that is there with this key. A dead one is opened again: its seller asks anew. Owed beats `once`. A
   * payment of which nothing is to be charged (`amountWei` 0) is settled from the start, and its key stays taken.
   * @throws PaymentError payment_conflict when the key is known with other terms or another amount.
   */
  add(job: NewJob): Promise<PaymentJob>;

  find(key: string): Promise<PaymentJob | undefined>;

  /** Those of `keys` that exist, in any order. */
  findMany(keys: readonly string[]): Promise<PaymentJob[]>;

  /**
   * Takes unfinished jobs that are due, that no live lease holds and that the worker's account can settle (or that have expired, so
   * that somebody buries them when their facilitator is gone), longest due first, and leases them to the worker. No two workers get
   * the same job.
   */
  claimDue(claim: DueClaim): Promise<PaymentJob[]>;

  /** Prolongs leases. @returns the keys whose lease the worker still holds; it has to drop the others. */
  renewLeases(worker: Worker, keys: readonly string[], untilMs: number): Promise<string[]>;

  /** Ends every lease of the account, those of its earlier runs included. */
  releaseLeases(account: Hex): Promise<void>;

  /** When `claimDue` may find something that it does not find now, milliseconds since 1970. */
  nextDueAtMs(account: Hex, nowMs: number): Promise<number | undefined>;

  /** Unfinished jobs with a recorded transaction of this account, in the order of their account numbers. */
  submittedBy(account: Hex): Promise<PaymentJob[]>;

  /**
   * Records the transaction that settles these jobs, before it is broadcast, so that a crash in between leaves something to reconcile.
   * All or nothing. @returns false when one of them is finished or leased to somebody else: then the transaction must not be sent.
   */
  markSubmitted(worker: Worker, keys: readonly string[], transaction: SignedTransaction): Promise<boolean>;

  /** Its recorded transaction can never be mined: to be sent anew. The lease stays. */
  markPending(worker: Worker, key: string, reason: string): Promise<boolean>;

  /** Ends the lease and tries again later, counting the attempt. */
  postpone(worker: Worker, key: string, dueAtMs: number, reason: string): Promise<boolean>;

  /**
   * The chain says so: no lease is needed, and even a dead job is settled by it.
   * @param hash undefined when it is not known which transaction did it; then none is kept.
   * @returns false when it was settled already.
   */
  markSettled(key: string, hash: Hex | undefined): Promise<boolean>;

  markDead(worker: Worker, key: string, reason: string): Promise<boolean>;

  /** Ends a job of patience `once` of which no transaction is recorded, whoever works on it. @returns whether it did. */
  abandon(key: string, reason: string): Promise<boolean>;

  /** Makes a dead job due again, owed from now on. @returns false when it is not dead. */
  reopen(key: string, nowMs: number): Promise<boolean>;

  /** Dead jobs that were owed, in the order of their keys. */
  deadLetters(page: DeadLetterPage): Promise<PaymentJob[]>;

  /** What a payer has promised and not yet paid, wei. Channels do not count: their money is already on chain. */
  outstandingWei(payer: Hex): Promise<bigint>;

  /** What a payer was served for and can no longer be charged, wei. */
  defaultedWei(payer: Hex): Promise<bigint>;

  /** Number of jobs by status. */
  counts(): Promise<Record<PaymentStatus, number>>;

  backlog(): Promise<Backlog>;

  /** Forgets settled jobs that the chain refuses since before `expiredBefore`, Unix seconds. @returns how many. */
  prune(expiredBefore: bigint): Promise<number>;

  /**
   * Calls `listener` when somebody else may have left something for `account` to claim. A store without it is looked into now and then.
   * @returns how to stop that.
   */
  onWork?(account: Hex, listener: () => void): Promise<() => Promise<void>>;

  close(): Promise<void>;
}

/** The kinds that charge a payer for something already served. */
export const CHARGING_KINDS: readonly SettlementKind[] = ["exact/eip3009", "exact/permit2", "upto/permit2"];
