import { OPG__factory, type OPG } from "../../typechain-types/index.ts";
import type { Provider } from "ethers";
import type { Hex } from "../receipts/types.ts";

/** Token balances of payers, asked for at most once in `ttlMs` each. */
export class PayerBalances {
  readonly #token: OPG;
  readonly #ttlMs: number;
  readonly #known = new Map<Hex, { balance: Promise<bigint>; untilMs: number }>();

  constructor(provider: Provider, asset: Hex, ttlMs: number) {
    this.#token = OPG__factory.connect(asset, { provider });
    this.#ttlMs = ttlMs;
  }

  /** Wei. */
  of(payer: Hex): Promise<bigint> {
    const now = Date.now();
    const known = this.#known.get(payer);
    if (known !== undefined && now < known.untilMs) return known.balance;
    const balance = this.#token.balanceOf(payer);
    balance.catch(() => this.forget(payer));
    // the map holds who paid in the last moments, not who ever did
    for (const [other, { untilMs }] of this.#known) if (now >= untilMs) this.#known.delete(other);
    this.#known.set(payer, { balance, untilMs: now + this.#ttlMs });
    return balance;
  }

  forget(payer: Hex): void {
    this.#known.delete(payer);
  }
}
