import type { JsonRpcProvider, TransactionReceipt } from "ethers";

import type { Attempt, PendingTransaction } from "./PendingTransaction.ts";
import { classifyRpcError, revertDataOf } from "./rpcErrors.ts";
import type { RpcErrorKind } from "./rpcErrors.ts";

export interface BroadcastOutcome {
  readonly kind: RpcErrorKind | "accepted";
  readonly error?: unknown;
  /** When the node has mined it at once, and it failed. */
  readonly revertData?: string | undefined;
}

/** Sends a signed transaction. Never throws: what went wrong decides what to do next. */
export async function broadcastAttempt(
  provider: JsonRpcProvider,
  { raw, hash }: Pick<Attempt, "raw" | "hash">,
): Promise<BroadcastOutcome> {
  try {
    await provider.send("eth_sendRawTransaction", [raw]);
    return { kind: "accepted" };
  } catch (error) {
    const kind = classifyRpcError(error);
    if (kind === "already_known") return { kind: "accepted" };
    // Nodes that mine at once report a mined transaction's revert as an error; others simulate first and refuse it
    if (kind !== "reverted") return { kind, error };
    try {
      const known = await provider.getTransaction(hash);
      return known ? { kind: "accepted", revertData: revertDataOf(error) } : { kind, error };
    } catch (unknown) {
      return { kind: "unreachable", error: unknown };
    }
  }
}

/** The receipt of whichever attempt was mined. */
export async function findReceipt(
  provider: JsonRpcProvider,
  attempts: readonly Attempt[],
): Promise<TransactionReceipt | undefined> {
  const receipts = await Promise.all(attempts.map(({ hash }) => provider.getTransactionReceipt(hash)));
  return receipts.find((receipt) => receipt !== null) ?? undefined;
}

/** The data a mined transaction reverted with: no receipt holds it, so the call is repeated on the state before and after its block. */
export async function replayRevert(
  provider: JsonRpcProvider,
  { call, gasLimit }: Pick<PendingTransaction, "call" | "gasLimit">,
  { from, blockNumber }: TransactionReceipt,
): Promise<string> {
  for (const blockTag of [blockNumber - 1, blockNumber]) {
    try {
      await provider.call({ ...call, gasLimit, from, blockTag });
    } catch (error) {
      const data = revertDataOf(error);
      if (data !== undefined) return data;
    }
  }
  return "0x";
}
