import type { RequestKind } from "../receipts/hashes.ts";

/** Which route's body this is: chats have messages, completions a prompt, tensor requests inputs. undefined when it is none's. */
export function requestKindOf(body: Uint8Array): RequestKind | undefined {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(body).toString("utf8"));
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  if ("messages" in value) return "chat";
  if ("prompt" in value) return "completion";
  if ("inputs" in value) return "inference";
  return undefined;
}
