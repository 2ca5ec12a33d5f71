import { fromHex } from "../receipts/bytes.ts";
import { keccak256 } from "../receipts/keccak.ts";
import type { Hex } from "../receipts/types.ts";

/**
 * What the receipt of a sealed request says instead of its input or output hash: keccak256 of "OpenGradient sealed input" (or
 * "… output"), the salt and the hash. Receipts are published; a plain hash of a short question, or of an answer of "yes" or "no", is
 * soon guessed. The salt is a secret of client and enclave, exported from the request's HPKE context; who has the request, the answer
 * and the salt can show what was hashed.
 */
export const blindedHash = (salt: Hex, what: "input" | "output", hash: Hex): Hex =>
  keccak256(Buffer.concat([Buffer.from(`OpenGradient sealed ${what}`), fromHex(salt, 32), fromHex(hash, 32)]));
