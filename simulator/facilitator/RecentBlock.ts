import type { Provider } from "ethers";

/** The lower bound of an authorization's use may be as old as this; asking for the block number each time would cost a call. */
const HEAD_TTL_MS = 10_000;
/** Deeper than any reorganisation that an L2 or a local chain sees. */
const REORG_BLOCKS = 64;

/** A block old enough for whatever is not settled now not to be settled at its end. */
export class RecentBlock {
  readonly #provider: Provider;
  #known: { block: number; untilMs: number } | undefined;

  constructor(provider: Provider) {
    this.#provider = provider;
  }

  async number(): Promise<number> {
    const now = Date.now();
    if (this.#known === undefined || now > this.#known.untilMs) {
      const block = await this.#provider.getBlockNumber();
      this.#known = { block: Math.max(0, block - REORG_BLOCKS), untilMs: now + HEAD_TTL_MS };
    }
    return this.#known.block;
  }
}
