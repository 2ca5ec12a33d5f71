import type { Hex } from "../../../simulator/receipts/types.ts";

/** What contenders know of the chain they are paid on. */
export interface BenchChain {
  url: string;
  /** OPG. */
  asset: Hex;
  /** ProofSettlement: receipts are for it. */
  settlement: Hex;
}

/** What a payer signs for at most, in wei: 0.01 OPG. */
export const PRICE_WEI = 10n ** 16n;

/** Where tokens are charged: 17 of them come to 1.7e-5 OPG. */
export const WEI_PER_TOKEN = 10n ** 12n;

/** Enough for a million requests. */
export const DEPOSIT_WEI = 100n * 10n ** 18n;
