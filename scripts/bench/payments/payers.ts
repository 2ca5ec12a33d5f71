import { createHash } from "node:crypto";
import { addressOfKey, signDigest } from "../../../simulator/receipts/secp256k1.ts";
import type { Hex } from "../../../simulator/receipts/types.ts";

/** Somebody who pays, known by a name so that every process of the benchmark derives the same. */
export interface BenchPayer {
  address: Hex;
  privateKey: Hex;
  /** @returns 65 bytes `r ‖ s ‖ v`, as x402 wants them. */
  sign(digest: Hex): Hex;
}

/** One payer for every connection of the generator: that of concurrency 1, and those of concurrency 16. */
export const CONNECTIONS = 17;

/** After them the payers who use clients. */
export const LIVE_PAYERS = { "openai + @x402/fetch": CONNECTIONS, "openai + ours": CONNECTIONS + 1 } as const;
export const PAYERS_PER_CONTENDER = CONNECTIONS + 2;

/** @param contender so that what one contender is owed does not limit another. */
export function benchPayer(contender: string, index: number): BenchPayer {
  const privateKey: Hex = `0x${createHash("sha256").update(`bench ${contender} ${index}`).digest("hex")}`;
  return { address: addressOfKey(privateKey), privateKey, sign: (digest) => uncompact(signDigest(digest, privateKey)) };
}

/** EIP-2098's 64 bytes as 65: the top bit of `vs` becomes v. */
function uncompact(compact: Hex): Hex {
  const bytes = Buffer.from(compact.slice(2), "hex");
  const recovery = bytes[WORD]! >> 7;
  bytes[WORD]! &= 0x7f;
  return `0x${bytes.toString("hex")}${(27 + recovery).toString(16)}`;
}

const WORD = 32;
