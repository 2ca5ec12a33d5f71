import type { JsonRpcProvider, Signer, TransactionReceipt } from "ethers";
import type { Logger } from "pino";

import { broadcastAttempt, findReceipt, replayRevert } from "./broadcastAttempt.ts";
import type { BroadcastOutcome } from "./broadcastAttempt.ts";
import { ContractRevertError, contractRevertOf, decodeRevert } from "./ContractRevertError.ts";
import { bumpFees, higherFees, limitFees, marketFees } from "./fees.ts";
import type { FeeMarket, Fees } from "./fees.ts";
import { PendingTransaction } from "./PendingTransaction.ts";
import { InsufficientFundsError, TransactionRejectedError, TransactionTimeoutError } from "./transactionErrors.ts";

export interface NonceLaneOptions {
  provider: JsonRpcProvider;
  chainId: bigint;
  address: string;
  signer: Signer;
  logger: Logger;
  confirmations: number;
  stuckAfterMs: number;
  feeBumpPercent: number;
  maxFeePerGasLimit: bigint | undefined;
  maxInFlight: number;
}

/** A used nonce without a receipt means that another process used it, unless the node's answers lag behind each other: look again first. */
const MISSES_BEFORE_NONCE_IS_LOST = 5;

/** A transaction of another process before ours gets this many times `stuckAfterMs` before we take its nonce. */
const PATIENCE_WITH_OTHERS = 3;

/** A longer gap is not a lost transaction but another chain. */
const LONGEST_FILLED_GAP = 16;

/**
 * The transactions of one account in the order of their nonces. Not safe under concurrency: TransactionSubmitter calls advance() in a loop, and the
 * state moves only there.
 */
export class NonceLane {
  readonly #options: NonceLaneOptions;
  /** Not signed yet, in order. */
  #queue: PendingTransaction[] = [];
  /** By nonce, ascending. */
  #inFlight = new Map<number, PendingTransaction>();
  /** Lowest nonce that may be free as far as we know; the node may know more. */
  #nextNonce = 0;
  #minedCount = 0;
  /** When something was last mined, or the lane last began to wait. */
  #waitingSince = performance.now();
  #lastProgress = performance.now();

  constructor(options: NonceLaneOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#queue.length + this.#inFlight.size;
  }

  add(transaction: PendingTransaction): void {
    this.#queue.push(transaction);
  }

  /** One step: sends what waits, collects receipts, helps what is stuck. @throws when the node does not answer; call it again. */
  async advance(): Promise<void> {
    await this.#sendQueue();
    await this.#collectReceipts();
    if (performance.now() - this.#lastProgress >= this.#options.stuckAfterMs) await this.#rescue();
  }

  /** Tells the callers whose time is over. A transaction that was sent is still watched, for its nonce's sake. */
  expire(): void {
    const now = performance.now();
    for (const transaction of [...this.#queue, ...this.#inFlight.values()]) {
      if (transaction.settled || transaction.deadline > now) continue;
      const hashes = transaction.attempts.map(({ hash }) => hash);
      transaction.reject(
        new TransactionTimeoutError(`Not mined in time: ${transaction.label}, sent as [${hashes.join(", ")}]`, hashes),
      );
    }
    this.#queue = this.#queue.filter((transaction) => !transaction.settled);
  }

  /** Rejects everything. */
  abandon(error: Error): void {
    for (const transaction of [...this.#queue, ...this.#inFlight.values()]) transaction.reject(error);
    this.#queue = [];
    this.#inFlight.clear();
  }

  async #sendQueue(): Promise<void> {
    // Nothing follows a transaction that the node may not have: that would leave a gap
    for (const [nonce, transaction] of this.#inFlight) {
      if (!transaction.uncertain) continue;
      await this.#resend(transaction);
      if (!transaction.uncertain) continue;
      // Given up by its caller, and nothing comes after it: the next one takes its nonce, so only one of them can be mined
      if (transaction.settled && nonce === this.#lastNonce) this.#inFlight.delete(nonce);
      return;
    }
    let market: FeeMarket | undefined;
    while (this.#queue.length > 0 && this.#inFlight.size < this.#options.maxInFlight) {
      market ??= await marketFees(this.#options.provider);
      const nonce = await this.#freeNonce();
      const transaction = this.#queue.shift();
      if (!transaction || !(await this.#sendNew(nonce, transaction, market))) return;
    }
  }

  get #lastNonce(): number | undefined {
    return [...this.#inFlight.keys()].at(-1);
  }

  async #freeNonce(): Promise<number> {
    const last = this.#lastNonce;
    // Others may have used the account since our last transaction; nodes behind a balancer may lag behind what we know
    return Math.max(this.#nextNonce, last === undefined ? await this.#pendingCount() : last + 1);
  }

  /** @returns whether the next transaction may be sent. */
  async #sendNew(nonce: number, transaction: PendingTransaction, market: FeeMarket): Promise<boolean> {
    const { maxFeePerGasLimit, feeBumpPercent, logger } = this.#options;
    const fees = limitFees(higherFees(transaction.minimumFees ?? market, market), maxFeePerGasLimit);
    try {
      await this.#sign(nonce, transaction, fees, market);
    } catch (error) {
      transaction.reject(error instanceof Error ? error : new Error(String(error)));
      return true;
    }
    if (this.#inFlight.size === 0) this.#waitingSince = performance.now();
    // Before it leaves: whatever happens now, the nonce may be taken
    this.#inFlight.set(nonce, transaction);
    const outcome = await this.#broadcast(transaction);
    switch (outcome.kind) {
      case "accepted":
        this.#nextNonce = nonce + 1;
        return true;
      case "unreachable":
      case "unavailable":
        transaction.uncertain = true;
        return false;
      case "nonce_too_low":
        // Used elsewhere, or an earlier try did arrive: stays in flight until the receipts tell
        this.#nextNonce = Math.max(nonce + 1, await this.#pendingCount());
        return true;
    }
    this.#inFlight.delete(nonce);
    transaction.forgetAttempts();
    switch (outcome.kind) {
      case "replacement_underpriced":
        logger.warn({ nonce, label: transaction.label }, "another process uses the account and holds the nonce");
        this.#queue.unshift(transaction);
        this.#nextNonce = Math.max(nonce + 1, await this.#pendingCount());
        return false;
      case "nonce_too_high":
        this.#queue.unshift(transaction);
        await this.#startOver("the node expects a lower nonce");
        return false;
      case "fee_too_low":
        this.#queue.unshift(transaction);
        transaction.minimumFees = bumpFees(fees, market, BigInt(feeBumpPercent), undefined);
        return false;
      default:
        transaction.reject(this.#refusal(transaction, outcome));
        return true;
    }
  }

  #refusal({ label, call }: PendingTransaction, { kind, error: cause }: BroadcastOutcome): Error {
    if (kind === "insufficient_funds") {
      return new InsufficientFundsError(`${this.#options.address} cannot pay for ${label}`, { cause });
    }
    const revert = kind === "reverted" ? contractRevertOf(cause, { to: call.to }) : undefined;
    return revert ?? new TransactionRejectedError(`The node refused ${label}`, { cause });
  }

  #sign(nonce: number, transaction: PendingTransaction, fees: Fees, { blockNumber }: FeeMarket): Promise<void> {
    const { signer, chainId } = this.#options;
    return transaction.sign(signer, { chainId, nonce, fees, blockNumber });
  }

  async #broadcast(transaction: PendingTransaction): Promise<BroadcastOutcome> {
    if (!transaction.lastAttempt) return { kind: "other" };
    const outcome = await broadcastAttempt(this.#options.provider, transaction.lastAttempt);
    this.#lastProgress = performance.now();
    transaction.revertData = outcome.revertData ?? transaction.revertData;
    return outcome;
  }

  /** Sends the last attempt of a transaction in flight again: the node may have lost it, or never got it. */
  async #resend(transaction: PendingTransaction): Promise<void> {
    const { kind } = await this.#broadcast(transaction);
    transaction.uncertain = kind === "unreachable" || kind === "unavailable";
    transaction.outbid = kind === "replacement_underpriced";
    if (kind === "nonce_too_high") await this.#startOver("the node expects a lower nonce");
  }

  async #collectReceipts(): Promise<void> {
    if (this.#inFlight.size === 0) return;
    const { provider, address, confirmations, logger } = this.#options;
    const [minedCount, head] = await Promise.all([
      provider.getTransactionCount(address, "latest"),
      confirmations > 1 ? provider.getBlockNumber() : Infinity,
    ]);
    if (minedCount !== this.#minedCount) {
      this.#minedCount = minedCount;
      this.#lastProgress = this.#waitingSince = performance.now();
    }
    const mined = [...this.#inFlight].filter(([nonce]) => nonce < minedCount);
    const receipts = await Promise.all(mined.map(([, { attempts }]) => findReceipt(provider, attempts)));
    for (const [index, [nonce, transaction]] of mined.entries()) {
      const receipt = receipts[index];
      if (receipt) {
        transaction.misses = 0;
        if (receipt.blockNumber + confirmations - 1 > head) continue;
        this.#inFlight.delete(nonce);
        await this.#settle(transaction, receipt);
      } else if (++transaction.misses >= MISSES_BEFORE_NONCE_IS_LOST) {
        logger.warn({ nonce, label: transaction.label }, "another transaction took the nonce");
        this.#inFlight.delete(nonce);
        this.#requeue([transaction]);
      }
    }
  }

  async #settle(transaction: PendingTransaction, receipt: TransactionReceipt): Promise<void> {
    if (receipt.status === 1) return transaction.resolve(receipt);
    const data = transaction.revertData ?? (await replayRevert(this.#options.provider, transaction, receipt));
    const { to } = transaction.call;
    transaction.reject(new ContractRevertError(decodeRevert(data), { to, transactionHash: receipt.hash }));
  }

  /** Nothing was mined for a while: pays more, sends again what the node has lost, frees a nonce that others left blocked. */
  async #rescue(): Promise<void> {
    const waiting = [...this.#inFlight].filter(([nonce]) => nonce >= this.#minedCount);
    const first = waiting[0]?.[0];
    if (first === undefined) return;
    const { provider, stuckAfterMs } = this.#options;
    this.#lastProgress = performance.now();
    const market = await marketFees(provider);
    if (first > this.#minedCount && performance.now() - this.#waitingSince >= PATIENCE_WITH_OTHERS * stuckAfterMs) {
      if (first - this.#minedCount <= LONGEST_FILLED_GAP) await this.#fillGap(first, market);
      else if ((await this.#pendingCount()) < first) return this.#startOver("the node has forgotten the nonces before");
    }
    for (const [nonce, transaction] of waiting) {
      const last = transaction.lastAttempt;
      if (!last) continue;
      // Those behind others wait for them and not for a better fee, unless theirs is too low as well
      const tooLow = last.fees.maxFeePerGas < market.baseFeePerGas + market.maxPriorityFeePerGas;
      const passedOver = market.blockNumber > last.blockNumber && (nonce === this.#minedCount || tooLow);
      if (passedOver || transaction.outbid) await this.#replace(nonce, transaction, market);
      else await this.#resend(transaction);
    }
  }

  async #replace(nonce: number, transaction: PendingTransaction, market: FeeMarket): Promise<void> {
    const { feeBumpPercent, maxFeePerGasLimit, logger } = this.#options;
    const fees = bumpFees(transaction.lastAttempt?.fees ?? market, market, BigInt(feeBumpPercent), maxFeePerGasLimit);
    if (fees) {
      logger.info({ nonce, label: transaction.label, ...fees }, "replacing stuck transaction");
      await this.#sign(nonce, transaction, fees, market);
    } else {
      logger.warn({ nonce, label: transaction.label, maxFeePerGasLimit }, "stuck transaction is at the fee limit");
    }
    await this.#resend(transaction);
  }

  /** The nonces before ours hold transactions of another process that are not mined, or none: empty ones to ourselves take their place. */
  async #fillGap(first: number, market: FeeMarket): Promise<void> {
    const fillers: [number, PendingTransaction][] = [];
    for (let nonce = this.#minedCount; nonce < first; nonce++) {
      const label = `nothing, to free nonce ${nonce}`;
      const call = { to: this.#options.address, data: "0x", value: 0n };
      fillers.push([nonce, new PendingTransaction({ label, call, gasLimit: 21_000n, isFiller: true })]);
    }
    this.#inFlight = new Map([...fillers, ...this.#inFlight].sort(([a], [b]) => a - b));
    for (const [nonce, filler] of fillers) await this.#replace(nonce, filler, market);
  }

  /** The node has lost what we sent from some nonce on: that is queued again. What it still holds stays. */
  async #startOver(reason: string): Promise<void> {
    const pendingCount = await this.#pendingCount();
    const lost = [...this.#inFlight].filter(([nonce]) => nonce >= pendingCount);
    this.#options.logger.warn({ lost: lost.length, nonce: pendingCount }, `starting over: ${reason}`);
    for (const [nonce] of lost) this.#inFlight.delete(nonce);
    this.#nextNonce = pendingCount;
    this.#requeue(lost.map(([, transaction]) => transaction));
  }

  /** To the front, in order, for other nonces. */
  #requeue(transactions: PendingTransaction[]): void {
    for (const transaction of transactions) transaction.forgetAttempts();
    this.#queue.unshift(...transactions.filter(({ settled, isFiller }) => !settled && !isFiller));
  }

  #pendingCount(): Promise<number> {
    const { provider, address } = this.#options;
    return provider.getTransactionCount(address, "pending");
  }
}
