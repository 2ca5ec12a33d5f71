import type { ContractTransactionResponse } from "ethers";

/** A transaction that was sent and not awaited yet. */
export type Sent = Promise<ContractTransactionResponse>;

/** Collects the `gasUsed` of whole transactions: 21,000 and calldata included, every storage slot cold. */
export class GasMeter {
  /** `Contract.function`, with a case in brackets where one function has several → gas. */
  readonly functions: Record<string, number> = {};
  /** Key of the table in `table.ts` → gas. */
  readonly rows: Record<string, number> = {};

  /**
   * Runs a transaction and files its gas.
   * @param name `Contract.function` or `Contract.function (case)`.
   * @throws Error when the name is taken: a figure must not be overwritten unseen.
   */
  async measure(name: string, sent: Sent): Promise<number> {
    if (name in this.functions) throw new Error(`Expected a new name, found ${name} measured twice`);
    const receipt = await (await sent).wait();
    const gas = Number(receipt!.gasUsed);
    this.functions[name] = gas;
    return gas;
  }

  /** Files a row of the table; `gas` is rounded up to a tenth. */
  row(key: string, gas: number): void {
    this.rows[key] = Math.ceil(gas * 10) / 10;
  }
}
