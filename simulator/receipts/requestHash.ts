import { hash } from "node:crypto";
import type { PaidKind } from "./hashes.ts";
import type { Hex } from "./types.ts";

/**
 * What a request is known by among those that one permit or channel pays for: SHA-256 of its kind, its Idempotency-Key if it has one, and
 * its body as it was sent. The same request again is the same purchase; with another key it is another one.
 */
export function requestHash(kind: PaidKind, body: Uint8Array, idempotencyKey?: string): Hex {
  // a header holds no line feed, so the first line ends where it seems to
  const first = idempotencyKey === undefined ? kind : `${kind} ${idempotencyKey}`;
  return `0x${hash("sha256", Buffer.concat([Buffer.from(`${first}\n`), body]))}`;
}
