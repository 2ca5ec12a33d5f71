import { recoverAddress } from "../../receipts/secp256k1.ts";
import type { Hex } from "../../receipts/types.ts";

const FORM = /^0x[0-9a-fA-F]{130}$/;

/**
 * Who signed a voucher, or undefined when it is nobody's canonical signature. As strict as the contract, which recovers too: with a high s, or
 * another v than 27 or 28, it would not pay. Comparing with a known key instead would not look at v at all.
 * @param signature 65 bytes `r ‖ s ‖ v`.
 */
export function voucherSigner(digest: Hex, signature: string): Hex | undefined {
  if (!FORM.test(signature)) return undefined;
  const v = signature.slice(130).toLowerCase();
  const first = Number.parseInt(signature[66]!, 16);
  // the highest bit of s is where the compact form has v
  if (first >= 8 || (v !== "1b" && v !== "1c")) return undefined;
  const top = v === "1c" ? first | 8 : first;
  return recoverAddress(digest, `0x${signature.slice(2, 66)}${top.toString(16)}${signature.slice(67, 130)}`);
}
