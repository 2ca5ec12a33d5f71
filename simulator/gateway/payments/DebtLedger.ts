import type { Hex } from "../../receipts/types.ts";

/** What each payer is being, or has been, served for and has not paid, wei. Kept in memory, from what the stores hold. */
export class DebtLedger {
  readonly #owed = new Map<Hex, bigint>();
  #totalWei = 0n;

  /** All payers together. */
  get totalWei(): bigint {
    return this.#totalWei;
  }

  of(payer: Hex): bigint {
    return this.#owed.get(payer) ?? 0n;
  }

  /** @param wei negative when it is less from now on. */
  add(payer: Hex, wei: bigint): void {
    const owed = this.of(payer) + wei;
    if (owed < 0n) throw new RangeError(`${payer} cannot owe ${owed} wei`);
    this.#totalWei += wei;
    if (owed === 0n) this.#owed.delete(payer);
    else this.#owed.set(payer, owed);
  }
}
