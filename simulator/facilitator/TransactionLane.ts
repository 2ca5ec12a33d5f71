import { Transaction, type BaseWallet, type Provider, type TransactionLike } from "ethers";
import type { Hex } from "../receipts/types.ts";
import type { SignedTransaction } from "./PaymentOutbox.ts";

/** Called with a signed transaction before anybody else sees it. */
export type OnSigned = (transaction: SignedTransaction) => void;

export interface Call {
  to: Hex;
  data: Hex;
  /** Gas limit; estimated when absent, which also refuses a call that would revert. */
  gas?: bigint;
}

interface Fees {
  maxFeePerGas: bigint;
  maxPriorityFeePerGas: bigint;
}

/** Fees are asked for at most this often: they follow the base fee, which moves by an eighth a block. */
const FEES_TTL_MS = 1_000;

/** A replacement has to raise both fees by a tenth (geth's rule); a quarter saves rounds. */
const raised = (wei: bigint): bigint => (wei * 5n) / 4n + 1n;

const larger = (a: bigint, b: bigint): bigint => (a > b ? a : b);

const isKnown = (error: unknown): boolean =>
  error instanceof Error && /already known|known transaction|already exists/i.test(error.message);

/**
 * Sends the transactions of one account: numbers them itself, so that many can be in flight, and hands each out signed before it
 * is broadcast. The account must not be used elsewhere at the same time; if it was, the lane reads its number anew.
 */
export class TransactionLane {
  readonly address: Hex;
  readonly provider: Provider;
  readonly #wallet: BaseWallet;
  readonly #chainId: bigint;
  #nonce: number | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #fees: { value: Promise<Fees>; untilMs: number } | undefined;

  /** @param wallet connected to a provider. */
  constructor(wallet: BaseWallet, chainId: bigint) {
    if (wallet.provider === null) throw new Error("Expected a wallet connected to a provider");
    this.#wallet = wallet;
    this.provider = wallet.provider;
    this.address = wallet.address as Hex;
    this.#chainId = chainId;
  }

  /** Signs, shows and broadcasts a call. @returns its transaction hash. */
  async send(call: Call, onSigned: OnSigned): Promise<Hex> {
    const { to, data } = call;
    const [gasLimit, fees] = await Promise.all([
      call.gas ?? this.provider.estimateGas({ from: this.address, to, data }).then((gas) => (gas * 6n) / 5n),
      this.#currentFees(),
    ]);
    return this.#inTurn(async () => {
      const nonce = this.#nonce ?? (await this.provider.getTransactionCount(this.address, "pending"));
      this.#nonce = undefined;
      const hash = await this.#signAndBroadcast({ to, data, gasLimit, nonce, ...fees }, onSigned);
      this.#nonce = nonce + 1;
      return hash;
    });
  }

  /** Broadcasts a recorded transaction (again); a node that knows it already is no error. */
  async rebroadcast(raw: Hex): Promise<void> {
    await this.#inTurn(() => this.#broadcast(raw));
  }

  /** Signs a recorded transaction again, same account nonce and higher fees, and broadcasts it in its place. */
  async replace(raw: Hex, onSigned: OnSigned): Promise<Hex> {
    const old = Transaction.from(raw);
    const fees = await this.#currentFees();
    return this.#inTurn(() =>
      this.#signAndBroadcast(
        {
          to: old.to,
          data: old.data,
          gasLimit: old.gasLimit,
          nonce: old.nonce,
          maxFeePerGas: larger(raised(old.maxFeePerGas ?? 0n), fees.maxFeePerGas),
          maxPriorityFeePerGas: larger(raised(old.maxPriorityFeePerGas ?? 0n), fees.maxPriorityFeePerGas),
        },
        onSigned,
      ),
    );
  }

  /** Number of the account's transactions on chain: a recorded one below it is mined or can never be. */
  minedCount(): Promise<number> {
    return this.provider.getTransactionCount(this.address, "latest");
  }

  async #signAndBroadcast(transaction: TransactionLike<string>, onSigned: OnSigned): Promise<Hex> {
    const raw = (await this.#wallet.signTransaction({ ...transaction, type: 2, chainId: this.#chainId })) as Hex;
    const hash = Transaction.from(raw).hash as Hex;
    onSigned({ hash, raw, nonce: Number(transaction.nonce) });
    await this.#broadcast(raw);
    return hash;
  }

  async #broadcast(raw: Hex): Promise<void> {
    try {
      await this.provider.broadcastTransaction(raw);
    } catch (error) {
      if (!isKnown(error)) throw error;
    }
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined);
    return result;
  }

  #currentFees(): Promise<Fees> {
    const now = Date.now();
    if (this.#fees === undefined || now > this.#fees.untilMs) {
      const value = this.provider.getFeeData().then(({ maxFeePerGas, maxPriorityFeePerGas }) => ({
        maxFeePerGas: maxFeePerGas ?? 0n,
        maxPriorityFeePerGas: maxPriorityFeePerGas ?? 0n,
      }));
      value.catch(() => (this.#fees = undefined));
      this.#fees = { value, untilMs: now + FEES_TTL_MS };
    }
    return this.#fees.value;
  }
}
