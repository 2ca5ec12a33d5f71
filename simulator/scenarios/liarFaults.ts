import { randomKey, signDigest } from "../receipts/secp256k1.ts";
import type { SignedReceipt } from "../receipts/types.ts";
import type { SettlementFaults } from "../settlement/BatchSettler.ts";

/**
 * An operator that posts without asking verifiers. Its first batch is honest; in the second a signature is somebody else's; the third settles a
 * request of the first again. Later ones are honest.
 */
export function liarFaults(): SettlementFaults {
  let batches = 0;
  let settledBefore: SignedReceipt | undefined;
  return {
    collectVotes: false,
    tamper(receipts) {
      batches += 1;
      const [first, ...others] = receipts;
      if (!first) return receipts;
      if (batches === 1) settledBefore = first;
      if (batches === 2) return [{ ...first, signature: signDigest(first.receipt.requestId, randomKey()) }, ...others];
      if (batches === 3 && settledBefore) return [...receipts, settledBefore];
      return receipts;
    },
  };
}
