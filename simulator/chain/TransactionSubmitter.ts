import type { Signer, TransactionReceipt, TransactionRequest } from "ethers";
import type { Logger } from "pino";

import type { Hex } from "../receipts/types.ts";
import { LOCAL_CHAIN_ID } from "./connectChain.ts";
import type { Chain } from "./connectChain.ts";
import { contractRevertOf } from "./ContractRevertError.ts";
import { delay } from "./delay.ts";
import { NonceLane } from "./NonceLane.ts";
import { PendingTransaction } from "./PendingTransaction.ts";
import type { Attempt } from "./PendingTransaction.ts";
import { classifyRpcError } from "./rpcErrors.ts";
import {
  InsufficientFundsError,
  SubmitterStoppedError,
  TransactionRejectedError,
  TransactionTimeoutError,
} from "./transactionErrors.ts";

export interface TransactionSubmitterOptions {
  chain: Chain;
  /** Signs, and nothing else: `new Wallet(privateKey)`. Only one submitter per account and process. */
  signer: Signer;
  logger: Logger;
  /** Blocks a receipt has to be deep, its own included. Default 1. */
  confirmations?: number;
  /** A transaction not mined for this long is sent again with a higher fee. Default 2 s on chain 31337, 15 s elsewhere. */
  stuckAfterMs?: number;
  /** By how much a replacement's fees rise, at least 10. Default 25. */
  feeBumpPercent?: number;
  /** Never pay more per gas, wei. Default: whatever the market asks. */
  maxFeePerGasLimit?: bigint;
  /** Added to what the node estimates. Default 25. */
  gasMarginPercent?: number;
  /** Transactions that may wait in the node at one time. Default 64. */
  maxInFlight?: number;
  /** Default bound of submit(). 120 s. */
  timeoutMs?: number;
}

export interface SubmitOptions {
  /** For logs. */
  label?: string;
  /** Skips the estimate, and with it the check that the call would succeed now. */
  gasLimit?: bigint;
  /** Bound until the receipt, from now. */
  timeoutMs?: number;
  /** Called with every signed form before it is sent (fee bumps, other nonces), so that an outbox can find it after a crash. Awaited. */
  onAttempt?: (attempt: Attempt) => unknown;
}

/** EIP-7825: no transaction may have more gas. */
export const TRANSACTION_GAS_CAP = 1n << 24n;

/**
 * Sends the transactions of one account. Callers may be concurrent; nonces are handed out in order, and only once the node has taken the transaction
 * before, so that none leaves a gap. Survives nodes that are away or start again, nonces used by another process, and fees that have become too
 * low. Each submitted call is mined at most once: it gets another nonce only when no signed form of it can be mined any more.
 */
export class TransactionSubmitter {
  readonly #options: Required<Omit<TransactionSubmitterOptions, "maxFeePerGasLimit">>;
  readonly #maxFeePerGasLimit: bigint | undefined;
  #address: Hex | undefined;
  #lane: NonceLane | undefined;
  #running: AbortController | undefined;
  #loop: Promise<void> = Promise.resolve();
  #wake = new AbortController();

  constructor({ maxFeePerGasLimit, ...options }: TransactionSubmitterOptions) {
    this.#options = {
      confirmations: 1,
      stuckAfterMs: options.chain.chainId === LOCAL_CHAIN_ID ? 2_000 : 15_000,
      feeBumpPercent: 25,
      gasMarginPercent: 25,
      maxInFlight: 64,
      timeoutMs: 120_000,
      ...options,
    };
    this.#maxFeePerGasLimit = maxFeePerGasLimit;
  }

  /** The account, lower case. @throws SubmitterStoppedError before start(). */
  get address(): Hex {
    if (!this.#address) throw new SubmitterStoppedError("Call start() before using the transaction submitter");
    return this.#address;
  }

  /** Transactions submitted and not yet mined. */
  get pending(): number {
    return this.#lane?.size ?? 0;
  }

  async start(): Promise<void> {
    if (this.#running) return;
    const running = new AbortController();
    this.#running = running;
    this.#address = (await this.#options.signer.getAddress()).toLowerCase() as Hex;
    this.#lane = new NonceLane({
      ...this.#options,
      maxFeePerGasLimit: this.#maxFeePerGasLimit,
      provider: this.#options.chain.provider,
      chainId: this.#options.chain.chainId,
      address: this.#address,
    });
    this.#loop = this.#run(this.#lane, running.signal);
  }

  /** What is under way fails with SubmitterStoppedError, although it may still be mined. */
  async stop(): Promise<void> {
    const lane = this.#lane;
    this.#running?.abort();
    this.#running = undefined;
    this.#lane = undefined;
    this.#wake.abort();
    lane?.abandon(new SubmitterStoppedError("The transaction submitter was stopped"));
    await this.#loop;
  }

  /**
   * Sends a call and waits until it is mined.
   * @param request as from a typechain contract's `populateTransaction`.
   * @throws ContractRevertError before anything is sent when the node's estimate reverts; with `transactionHash` when it was mined and failed.
   * @throws InsufficientFundsError, TransactionRejectedError, TransactionTimeoutError, SubmitterStoppedError
   */
  async submit(
    request: TransactionRequest | Promise<TransactionRequest>,
    options: SubmitOptions = {},
  ): Promise<TransactionReceipt> {
    const deadline = performance.now() + (options.timeoutMs ?? this.#options.timeoutMs);
    const { to, data, value } = await request;
    if (typeof to !== "string") throw new TypeError("Expected the address of a contract or account in `to`");
    const call = { to, data: data ?? "0x", value: BigInt(value ?? 0) };
    const label = options.label ?? `${call.data.slice(0, 10)} at ${to}`;
    const gasLimit = options.gasLimit ?? (await this.#estimateGas(call, label, deadline));
    const lane = this.#lane;
    if (!lane || !this.#running) throw new SubmitterStoppedError("The transaction submitter is not running");
    const transaction = new PendingTransaction({ label, call, gasLimit, deadline, onAttempt: options.onAttempt });
    lane.add(transaction);
    this.#wake.abort();
    return transaction.receipt;
  }

  async #estimateGas(call: PendingTransaction["call"], label: string, deadline: number): Promise<bigint> {
    const { chain, gasMarginPercent } = this.#options;
    for (;;) {
      try {
        const estimate = await chain.provider.estimateGas({ ...call, from: this.address });
        const padded = (estimate * BigInt(100 + gasMarginPercent)) / 100n;
        return estimate < TRANSACTION_GAS_CAP && padded > TRANSACTION_GAS_CAP ? TRANSACTION_GAS_CAP : padded;
      } catch (error) {
        const kind = classifyRpcError(error);
        if (kind === "insufficient_funds") {
          throw new InsufficientFundsError(`${this.address} cannot pay for ${label}`, { cause: error });
        }
        if (kind !== "unreachable" && kind !== "unavailable") {
          const revert = contractRevertOf(error, { to: call.to });
          throw revert ?? new TransactionRejectedError(`The node cannot estimate ${label}`, { cause: error });
        }
        if (!this.#running) throw new SubmitterStoppedError("The transaction submitter was stopped");
        if (performance.now() > deadline) {
          throw new TransactionTimeoutError(`No gas estimate for ${label} in time`, [], { cause: error });
        }
        await delay(chain.pollingIntervalMs, this.#running.signal);
      }
    }
  }

  async #run(lane: NonceLane, signal: AbortSignal): Promise<void> {
    const { chain, logger } = this.#options;
    while (!signal.aborted) {
      this.#wake = new AbortController();
      if (lane.size > 0) {
        try {
          await lane.advance();
        } catch (error) {
          const unreachable = classifyRpcError(error) === "unreachable";
          logger[unreachable ? "debug" : "warn"]({ err: error }, "transactions wait for the chain");
        }
        lane.expire();
      }
      // Idle until something is submitted; otherwise look again soon
      await (lane.size > 0
        ? delay(chain.pollingIntervalMs, this.#wake.signal)
        : new Promise<void>((resolve) => {
            if (signal.aborted || this.#wake.signal.aborted) resolve();
            else this.#wake.signal.addEventListener("abort", () => resolve(), { once: true });
          }));
    }
  }
}
