import { toHex } from "../receipts/bytes.ts";
import { recoverAddress } from "../receipts/secp256k1.ts";
import type { Hex } from "../receipts/types.ts";

const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const HALF_ORDER = ORDER >> 1n;

export interface RecoveredPayer {
  address: Hex;
  /** s is in the upper half of the order: contracts by OpenZeppelin refuse that, Permit2 does not. */
  highS: boolean;
  /** The recovery id is written as 0 or 1: wallets' libraries take that, contracts do not. */
  bareV: boolean;
}

/** Who signed a digest, by a signature of 65 bytes `r ‖ s ‖ v`; undefined when nobody did. */
export function recoverPayer(digest: Hex, signature: Hex): RecoveredPayer | undefined {
  if (signature.length !== 132) return undefined;
  const v = Number.parseInt(signature.slice(130), 16);
  const bareV = v === 0 || v === 1;
  if (!bareV && v !== 27 && v !== 28) return undefined;
  const s = BigInt(`0x${signature.slice(66, 130)}`);
  const highS = s > HALF_ORDER;
  if (s >= ORDER) return undefined;
  const yParity = (bareV ? v : v - 27) ^ (highS ? 1 : 0);
  const compact = Buffer.alloc(64);
  compact.write(signature.slice(2, 66), "hex");
  compact.write((highS ? ORDER - s : s).toString(16).padStart(64, "0"), 32, "hex");
  compact[32]! |= yParity << 7;
  const address = recoverAddress(digest, toHex(compact));
  return address && { address, highS, bareV };
}
