import { isError } from "ethers";

/** JSON-RPC: the method does not exist. */
const METHOD_NOT_FOUND = -32601;
/** Hardhat's code for it is that of an invalid request; geth says it in words. */
const IN_WORDS = /method.*(not found|not supported|not exist|not available|is not supported)/i;

/** Whether a node refused a request because it has no such method. */
export function isMissingMethod(error: unknown): boolean {
  if (isError(error, "UNSUPPORTED_OPERATION")) return true;
  if (typeof error !== "object" || error === null) return false;
  const { error: inner } = error as { error?: { code?: number; message?: string } };
  return (
    inner?.code === METHOD_NOT_FOUND || IN_WORDS.test(inner?.message ?? (error as { message?: string }).message ?? "")
  );
}
