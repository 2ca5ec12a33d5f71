import { keccak256 } from "ethers";
import type { Signer, TransactionReceipt } from "ethers";

import type { Fees } from "./fees.ts";

/** One form in which a transaction was signed. */
export interface Attempt {
  readonly hash: string;
  readonly nonce: number;
  readonly raw: string;
  readonly fees: Fees;
  /** Newest block when it was signed. */
  readonly blockNumber: number;
}

/** What a transaction does; everything else about it may change until it is mined. */
export interface TransactionCall {
  readonly to: string;
  readonly data: string;
  readonly value: bigint;
}

export interface PendingTransactionOptions {
  label: string;
  call: TransactionCall;
  gasLimit: bigint;
  /** On the clock of performance.now(), ms. Default: never. */
  deadline?: number;
  onAttempt?: ((attempt: Attempt) => unknown) | undefined;
  /** Nobody wants it but for its nonce. */
  isFiller?: boolean;
}

/** A transaction between submit() and its receipt. */
export class PendingTransaction {
  readonly label: string;
  readonly call: TransactionCall;
  readonly gasLimit: bigint;
  readonly deadline: number;
  readonly isFiller: boolean;
  readonly receipt: Promise<TransactionReceipt>;

  /** Signed with the present nonce, oldest first. Any of them may be mined. */
  attempts: Attempt[] = [];
  /** True while it is unknown whether the node got the last attempt. */
  uncertain = false;
  /** True when the node keeps another transaction because ours pays too little to replace it. */
  outbid = false;
  /** How often in a row its nonce was used and no receipt was found. */
  misses = 0;
  /** What the node told when it mined a failing transaction at once. */
  revertData: string | undefined;
  /** The node refused lower fees. */
  minimumFees: Fees | undefined;

  readonly #onAttempt: ((attempt: Attempt) => unknown) | undefined;
  #resolve!: (receipt: TransactionReceipt) => void;
  #reject!: (error: Error) => void;
  #settled = false;

  constructor({ label, call, gasLimit, deadline = Infinity, onAttempt, isFiller = false }: PendingTransactionOptions) {
    this.label = label;
    this.call = call;
    this.gasLimit = gasLimit;
    this.deadline = deadline;
    this.isFiller = isFiller;
    this.#onAttempt = onAttempt;
    this.receipt = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // Nobody may be waiting any more when it fails
    this.receipt.catch(() => undefined);
  }

  /** Whether its caller knows the outcome (or has been told that it is late). */
  get settled(): boolean {
    return this.#settled;
  }

  get lastAttempt(): Attempt | undefined {
    return this.attempts.at(-1);
  }

  async sign(
    signer: Signer,
    { chainId, nonce, fees, blockNumber }: { chainId: bigint; nonce: number; fees: Fees; blockNumber: number },
  ): Promise<void> {
    const raw = await signer.signTransaction({
      ...this.call,
      type: 2,
      chainId,
      nonce,
      gasLimit: this.gasLimit,
      maxFeePerGas: fees.maxFeePerGas,
      maxPriorityFeePerGas: fees.maxPriorityFeePerGas,
    });
    const attempt = { hash: keccak256(raw), nonce, raw, fees, blockNumber };
    await this.#onAttempt?.(attempt);
    this.attempts.push(attempt);
    this.outbid = false;
  }

  resolve(receipt: TransactionReceipt): void {
    this.#settled = true;
    this.#resolve(receipt);
  }

  reject(error: Error): void {
    this.#settled = true;
    this.#reject(error);
  }

  /** Makes it ready to be signed with another nonce. */
  forgetAttempts(): void {
    this.attempts = [];
    this.uncertain = false;
    this.outbid = false;
    this.misses = 0;
    this.revertData = undefined;
  }
}
