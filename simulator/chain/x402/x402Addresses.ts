import type { Hex } from "../../receipts/types.ts";

/**
 * Where the contracts that x402 v2's EVM schemes work with are, on every chain: `@x402/evm` has these addresses as constants, and no setting changes
 * them. Checksummed. A test compares them with the package's.
 */
export const x402Addresses = {
  /** Uniswap's, on all chains by CREATE2. */
  permit2: "0x000000000022D473030F116dDEE9F6B43aC78BA3",
  exactPermit2Proxy: "0x402085c248EeA27D92E8b30b2C58ed07f9E20001",
  uptoPermit2Proxy: "0x4020A4f3b7b90ccA423B9fabCc0CE57C6C240002",
  batchSettlement: "0x4020074e9dF2ce1deE5A9C1b5c3f541D02a10003",
  erc3009Collector: "0x4020806089470a89826cB9fB1f4059150b550004",
  permit2Collector: "0x4020425FAf3B746C082C2f942b4E5159887B0005",
  /** https://github.com/mds1/multicall3 */
  multicall3: "0xcA11bde05977b3631167028862bE2a173976CA11",
  /** Arachnid's deterministic deployment proxy, by which the others got their addresses. */
  create2Deployer: "0x4e59b44847b379578588920cA78FbF26c0B4956C",
} as const satisfies Record<string, Hex>;

export type X402ContractName = keyof typeof x402Addresses;
