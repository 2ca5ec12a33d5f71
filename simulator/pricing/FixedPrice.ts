import { picoUsdOf, type PriceQuote, type PriceSource } from "./PriceSource.ts";

/** A price that the operator sets: for tokens without a market, and for development. */
export class FixedPrice implements PriceSource {
  readonly name = "fixed";
  readonly #picoUsd: bigint;

  /** @param usd dollars for one OPG as a decimal number, e.g. "0.05". */
  constructor(usd: string) {
    this.#picoUsd = picoUsdOf(usd);
  }

  read(): Promise<PriceQuote> {
    return Promise.resolve({ picoUsd: this.#picoUsd, observedAtMs: Date.now() });
  }
}
