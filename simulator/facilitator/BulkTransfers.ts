import type { Provider } from "ethers";
import type { Hex } from "../receipts/types.ts";
import { decodeResults, MULTICALL3, multicallInterface } from "./multicall.ts";
import type { PaymentJob } from "./PaymentStore.ts";
import type { PaymentSender, SendOptions } from "./PaymentSender.ts";
import { authorizationUses } from "./outcome/authorizationOutcome.ts";
import type { SettlementOutcome } from "./outcome/SettlementOutcome.ts";
import type { Charge } from "./payment.ts";
import { settlementCall, type SettlementCall } from "./settlementCall.ts";

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
  call: SettlementCall;
  resolve: () => void;
  reject: (error: unknown) => void;
}

/**
 * Gas for one transfer among others, twice what OPG's takes. An estimate would not do: a call that may fail need not have had gas enough.
 * What is too dear for it fails in the simulation already, and goes alone.
 */
const TRANSFER_GAS = 100_000n;
const BASE_GAS = 100_000n;

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
      this.#waiting.push({ transfer, call: settlementCall(transfer.payment), resolve, reject });
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
    const { sender, sendOptions, done } = this.#options;
    const jobs = good.map(({ transfer }) => transfer.job);
    try {
      const receipt = await sender.submit(bulkCall(good), { ...sendOptions(jobs), gasLimit: gasFor(good) });
      const uses = authorizationUses(receipt, good[0]!.transfer.payment.asset);
      for (const { transfer, resolve, reject } of good) {
        done(transfer, uses(transfer.payment.authorization)).then(resolve, reject);
      }
    } catch (error) {
      for (const { reject } of good) reject(error);
    }
    return good;
  }

  async #wouldSucceed(batch: Waiting[]): Promise<Waiting[]> {
    const { provider, sender } = this.#options;
    const call = { ...bulkCall(batch), from: sender.address, gasLimit: gasFor(batch) };
    const results = decodeResults(await provider.call(call));
    return batch.filter((_, index) => results[index]?.success === true);
  }
}

const gasFor = (batch: readonly Waiting[]): bigint => BASE_GAS + TRANSFER_GAS * BigInt(batch.length);

function bulkCall(batch: readonly Waiting[]): { to: Hex; data: Hex } {
  const calls = batch.map(({ call: { to, data } }) => ({ target: to, allowFailure: true, callData: data }));
  return { to: MULTICALL3, data: multicallInterface.encodeFunctionData("aggregate3", [calls]) as Hex };
}
