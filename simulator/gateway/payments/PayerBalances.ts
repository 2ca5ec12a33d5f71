import { PERMIT2_ADDRESS } from "@x402/evm";
import { OPG__factory, type OPG } from "../../../typechain-types/index.ts";
import type { Provider } from "ethers";
import type { Hex } from "../../receipts/types.ts";

/** Token balances of payers and what they allow Permit2 to take, asked for at most once in `ttlMs` each. */
export class PayerBalances {
  readonly #token: OPG;
  readonly #ttlMs: number;
  readonly #known = new Map<string, { wei: Promise<bigint>; untilMs: number }>();

  constructor(provider: Provider, asset: Hex, ttlMs: number) {
    this.#token = OPG__factory.connect(asset, { provider });
    this.#ttlMs = ttlMs;
  }

  /** Wei. */
  of(payer: Hex): Promise<bigint> {
    return this.#ask(payer, () => this.#token.balanceOf(payer));
  }

  /** What Permit2 may take, wei. */
  permit2AllowanceOf(payer: Hex): Promise<bigint> {
    return this.#ask(allowanceKey(payer), () => this.#token.allowance(payer, PERMIT2_ADDRESS));
  }

  forget(payer: Hex): void {
    this.#known.delete(payer);
    this.#known.delete(allowanceKey(payer));
  }

  #ask(key: string, read: () => Promise<bigint>): Promise<bigint> {
    const now = Date.now();
    const known = this.#known.get(key);
    if (known !== undefined && now < known.untilMs) return known.wei;
    const wei = read();
    wei.catch(() => this.#known.delete(key));
    // oldest first: the map holds who paid in the last moments, not who ever did
    for (const [other, { untilMs }] of this.#known) {
      if (now < untilMs) break;
      this.#known.delete(other);
    }
    this.#known.delete(key);
    this.#known.set(key, { wei, untilMs: now + this.#ttlMs });
    return wei;
  }
}

const allowanceKey = (payer: Hex): string => `${payer} permit2`;
