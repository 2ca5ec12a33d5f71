import { HDNodeWallet, Mnemonic } from "ethers";

import type { Hex } from "../receipts/types.ts";

/** An account that Hardhat and Anvil fund with 10,000 ETH on every fresh development chain. */
export interface DevAccount {
  /** Lower case. */
  readonly address: Hex;
  readonly privateKey: Hex;
}

/** Public knowledge: never send anything of worth to its accounts. */
const DEV_MNEMONIC = "test test test test test test test test test test test junk";

/** How many accounts Hardhat funds. */
export const DEV_ACCOUNT_COUNT = 20;

/** The development accounts, in Hardhat's order. @param count at most DEV_ACCOUNT_COUNT of them have funds. */
export function devAccounts(count = DEV_ACCOUNT_COUNT): DevAccount[] {
  const branch = HDNodeWallet.fromMnemonic(Mnemonic.fromPhrase(DEV_MNEMONIC), "m/44'/60'/0'/0");
  return Array.from({ length: count }, (_, index) => {
    const { address, privateKey } = branch.deriveChild(index);
    return { address: address.toLowerCase() as Hex, privateKey: privateKey as Hex };
  });
}
