import { PERMIT2_ADDRESS } from "@x402/evm";
import { Interface } from "ethers";
import type { Hex } from "../receipts/types.ts";

export const PERMIT2 = PERMIT2_ADDRESS.toLowerCase() as Hex;

/** Fetches a channel's deposit by Permit2; `@x402/evm` keeps the constant to itself. */
export const PERMIT2_DEPOSIT_COLLECTOR = "0x4020425faf3b746c082c2f942b4e5159887b0005";

/** What is used of Permit2 beside the x402 proxies. */
export const permit2Interface = new Interface([
  "function nonceBitmap(address owner,uint256 word) view returns (uint256)",
  "function invalidateUnorderedNonces(uint256 word,uint256 mask)",
  "event UnorderedNonceInvalidation(address indexed owner,uint256 word,uint256 mask)",
]);

/** Permit2 keeps a payer's nonces as bits, 256 in a word. */
export function nonceBit(nonce: Hex): { word: bigint; mask: bigint } {
  const value = BigInt(nonce);
  return { word: value >> 8n, mask: 1n << (value & 0xffn) };
}
