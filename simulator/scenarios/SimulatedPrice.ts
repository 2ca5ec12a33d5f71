import { OpgPriceFeed__factory } from "../../typechain-types/index.ts";
import type { Chain } from "../chain/connectChain.ts";
import type { Hex } from "../receipts/types.ts";
import type { Participant } from "./Participant.ts";

export interface SimulatedPriceOptions {
  chain: Chain;
  /** OpgPriceFeed. */
  feed: Hex;
  /** The feed's. */
  reporters: readonly Participant[];
  /** US dollars for one OPG, 8 decimals. */
  price: bigint;
}

const REPORT_MS = 60_000;
/** By how much neighbours differ. */
const STEP = 1_000n;

/** The reporters that keep the price feed fresh. None of them sees a market: they report around a price that was chosen. */
export class SimulatedPrice {
  readonly #options: SimulatedPriceOptions;
  #timer: NodeJS.Timeout | undefined;
  #reporting: Promise<unknown> = Promise.resolve();

  constructor(options: SimulatedPriceOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    await this.#report();
    const [first] = this.#options.reporters;
    this.#timer = setInterval(() => {
      this.#reporting = this.#report().catch((error: unknown) =>
        first?.logger.error({ err: error }, "the price of OPG was not reported"),
      );
    }, REPORT_MS);
    this.#timer.unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#reporting;
  }

  async #report(): Promise<void> {
    const { reporters, price, chain, feed } = this.#options;
    const contract = OpgPriceFeed__factory.connect(feed, { provider: chain.provider });
    const block = await chain.provider.getBlock("latest");
    // one after the other: who completes the quorum begins a round, which takes more gas than was estimated before
    for (const [index, reporter] of reporters.entries()) {
      const seen = price + (price / STEP) * BigInt(index);
      await reporter.send(contract.report.populateTransaction(seen, block!.timestamp));
    }
  }
}
