import type { Provider } from "ethers";
import type { Hex } from "../receipts/types.ts";
import { decodeResults, MULTICALL3, multicallInterface } from "./multicall.ts";
import type { PaymentJob } from "./PaymentStore.ts";
import type { PaymentSender, SendOptions } from "./PaymentSender.ts";
import { receiptOutcome } from "./outcome/receiptOutcome.ts";
import type { SettlementOutcome } from "./outcome/SettlementOutcome.ts";
import type { Charge } from "./payment.ts";
import { settlementCall } from "./settlementCall.ts";

/** A payment by ERC-3009, with its job. */
export interface Transfer {
  job: PaymentJob;
  payment: Charge;
}

export interface BulkTransfersOptions {
  provider: Provider;
  sender: PaymentSender;
  /** Payments in one transaction, at most. */
  size: number;
  /** Transactions under way at a time. */
  lanes: number;
  /** Sends one payment by itself. */
  single: (transfer: Transfer) => Promise<void>;
  /** Told what a transaction did with a payment; undefined: nothing, it is to be tried alone. */
  done: (transfer: Transfer, outcome: SettlementOutcome | undefined) => Promise<void>;
  sendOptions: (jobs: readonly PaymentJob[]) => SendOptions;
}

interface Waiting {
  transfer: Transfer;
  resolve: () => void;
  reject: (error: unknown) => void;
}

/** On top of what the node estimates. Inner calls cannot be starved of gas by less. */
const GAS_MARGIN_PERCENT = 25n;

/**
 * Settles ERC-3009 payments many at a time: anybody may submit them, so Multicall3 can. The first goes alone and at once; what comes in
 * while the lanes are taken goes together. One that fails leaves the others alone.
 */
export class BulkTransfers {
  readonly #options: BulkTransfersOptions;
  readonly #waiting: Waiting[] = [];
  #lanes = 0;

  constructor(options: BulkTransfersOptions) {
    this.#options = options;
  }

  /** Settles a payment by itself or with others. @returns when it has been tried. */
  settle(transfer: Transfer): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ transfer, resolve, reject });
      // what is asked for in the same turn goes together
      if (this.#waiting.length === 1) queueMicrotask(() => this.#next());
    });
  }

  #next(): void {
    while (this.#waiting.length > 0 && this.#lanes < this.#options.lanes) {
      const batch = this.#takeBatch();
      this.#lanes++;
      void this.#send(batch).finally(() => {
        this.#lanes--;
        this.#next();
      });
    }
  }

  /** One token's only: a hostile one can spoil what is sent with it. */
  #takeBatch(): Waiting[] {
    const { asset } = this.#waiting[0]!.transfer.payment;
    const batch = this.#waiting.filter(({ transfer }) => transfer.payment.asset === asset).slice(0, this.#options.size);
    for (const each of batch) this.#waiting.splice(this.#waiting.indexOf(each), 1);
    return batch;
  }

  async #send(batch: Waiting[]): Promise<void> {
    const good = batch.length > 1 ? await this.#sendTogether(batch).catch(() => []) : [];
    const alone = batch.filter((each) => !good.includes(each));
    await Promise.all(
      alone.map(({ transfer, resolve, reject }) => this.#options.single(transfer).then(resolve, reject)),
    );
  }

  /** @returns those that were sent, whatever came of them. */
  async #sendTogether(batch: Waiting[]): Promise<Waiting[]> {
    const good = await this.#wouldSucceed(batch);
    if (good.length < 2) return [];
    const { sender, provider, sendOptions, done } = this.#options;
    const from = sender.address;
    // strict here: an estimate that lets calls fail may be too low for them to succeed
    const estimate = await provider.estimateGas({ to: MULTICALL3, data: aggregateData(good, false), from });
    const gasLimit = (estimate * (100n + GAS_MARGIN_PERCENT)) / 100n;
    const data = aggregateData(good, true);
    const jobs = good.map(({ transfer }) => transfer.job);
    try {
      const receipt = await sender.submit({ to: MULTICALL3, data }, { ...sendOptions(jobs), gasLimit });
      for (const { transfer, resolve, reject } of good) {
        const outcome = receiptOutcome(transfer.payment, data, receipt);
        done(transfer, outcome.kind === "unknown" ? undefined : outcome).then(resolve, reject);
      }
    } catch (error) {
      for (const { reject } of good) reject(error);
    }
    return good;
  }

  async #wouldSucceed(batch: Waiting[]): Promise<Waiting[]> {
    const { provider, sender } = this.#options;
    const from = sender.address;
    const results = decodeResults(await provider.call({ to: MULTICALL3, data: aggregateData(batch, true), from }));
    return batch.filter((_, index) => results[index]?.success === true);
  }
}

function aggregateData(batch: readonly Waiting[], allowFailure: boolean): Hex {
  const calls = batch.map(({ transfer }) => {
    const { to, data } = settlementCall(transfer.payment);
    return { target: to, allowFailure, callData: data };
  });
  return multicallInterface.encodeFunctionData("aggregate3", [calls]) as Hex;
}
