import { setTimeout as pause } from "node:timers/promises";
import type { Provider, TransactionReceipt } from "ethers";
import type { Hex } from "../receipts/types.ts";

const FIRST_PAUSE_MS = 5;
const LONGEST_PAUSE_MS = 500;

/**
 * Asks for a receipt until it is there. ethers' own `waitForTransaction` waits for a *next* block when the transaction is mined just
 * after it asked, and a chain that mines on demand may never have one.
 * @param confirmations blocks the transaction has to be under, its own included.
 * @returns undefined when it is not mined within `timeoutMs`.
 */
export async function waitForReceipt(
  provider: Provider,
  hash: Hex,
  confirmations: number,
  timeoutMs: number,
): Promise<TransactionReceipt | undefined> {
  const deadline = Date.now() + timeoutMs;
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 1.5, LONGEST_PAUSE_MS)) {
    const receipt = await provider.getTransactionReceipt(hash);
    if (receipt !== null && (confirmations <= 1 || (await receipt.confirmations()) >= confirmations)) return receipt;
    if (Date.now() + pauseMs > deadline) return undefined;
    await pause(pauseMs);
  }
}
