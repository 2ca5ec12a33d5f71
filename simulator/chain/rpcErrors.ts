import { isHexString } from "ethers";

/** What an error of an RPC call means for the one who sent it. */
export type RpcErrorKind =
  /** No answer came: it is unknown whether the node got the request. */
  | "unreachable"
  /** The node answered that it cannot work now; the same request may succeed later. */
  | "unavailable"
  /** The node has this very transaction already. */
  | "already_known"
  | "nonce_too_low"
  | "nonce_too_high"
  /** Another transaction holds the nonce and pays nearly as much or more. */
  | "replacement_underpriced"
  /** The fee is below what the node takes at the moment. */
  | "fee_too_low"
  | "insufficient_funds"
  /** The EVM reverted. Nodes that mine at once report it although the transaction is mined. */
  | "reverted"
  | "other";

/**
 * The wordings of geth, op-geth, reth, Erigon, Nethermind and EDR: JSON-RPC has no codes for most of these. More specific ones first.
 */
const WORDINGS: readonly (readonly [RpcErrorKind, RegExp])[] = [
  ["already_known", /already known|known transaction|already imported|alreadyknown/i],
  [
    "replacement_underpriced",
    /replacement (transaction )?(fee too low|underpriced)|replacement not allowed|could not replace/i,
  ],
  ["nonce_too_low", /nonce (is )?too low|nonce has already been used|oldnonce|invalid transaction nonce/i],
  ["nonce_too_high", /nonce (is )?too high|nonce too far|nonce gap/i],
  ["insufficient_funds", /insufficient funds|doesn't have enough funds|insufficient balance|lack of funds/i],
  [
    "fee_too_low",
    /underpriced|max fee per gas less than block base fee|is too low for the next block|fee too low|feetoolow|base fee exceeds gas limit/i,
  ],
  ["reverted", /revert|invalid opcode|out of gas/i],
  [
    "unavailable",
    /rate limit|too many requests|limit exceeded|timed? ?out|header not found|temporarily|try again|overloaded|syncing|internal error|txpool is full/i,
  ],
];

const UNREACHABLE = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "ECONNABORTED",
  "EPIPE",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ETIMEDOUT",
  "TIMEOUT",
  "SERVER_ERROR",
  "NETWORK_ERROR",
  "BAD_DATA",
]);

/** Codes that ethers gives to an answer by its wording. CALL_EXCEPTION is not among them: it gets that for every failed call and estimate. */
const ETHERS_CODES: Readonly<Record<string, RpcErrorKind>> = {
  NONCE_EXPIRED: "nonce_too_low",
  REPLACEMENT_UNDERPRICED: "replacement_underpriced",
};

/** JSON-RPC code of "execution reverted" at all current nodes. Looked at first, because the text then holds what the contract says. */
const EXECUTION_REVERTED = 3;

/** Sorts what ethers, Node's HTTP client or a node threw. */
export function classifyRpcError(error: unknown): RpcErrorKind {
  const parts = [...walk(error)];
  if (parts.some(({ code, data }) => code === EXECUTION_REVERTED || (code === "CALL_EXCEPTION" && isHexString(data)))) {
    return "reverted";
  }
  for (const { code } of parts) {
    if (typeof code !== "string") continue;
    if (UNREACHABLE.has(code)) return "unreachable";
    const kind = ETHERS_CODES[code];
    if (kind) return kind;
  }
  const text = parts
    .filter(({ code, message }) => code !== "CALL_EXCEPTION" && typeof message === "string")
    .map(({ message }) => message as string)
    .join("\n");
  return WORDINGS.find(([, wording]) => wording.test(text))?.[0] ?? "other";
}

/** The data a call or transaction reverted with, wherever the node and ethers have put it; undefined when there is none. */
export function revertDataOf(error: unknown): string | undefined {
  for (const { data } of walk(error)) {
    if (typeof data === "string" && isHexString(data)) return data;
  }
  return undefined;
}

interface ErrorPart {
  code?: unknown;
  message?: unknown;
  data?: unknown;
}

/** The error and what is nested in it where ethers and nodes nest: `error`, `info.error`, `data`, `cause`, `errors`. */
function* walk(value: unknown, depth = 0): Generator<ErrorPart> {
  if (typeof value !== "object" || value === null || depth > 6) return;
  yield value;
  for (const key of ["error", "info", "data", "cause", "errors"] as const) {
    const inner = (value as Record<string, unknown>)[key];
    for (const part of Array.isArray(inner) ? (inner as unknown[]) : [inner]) yield* walk(part, depth + 1);
  }
}
