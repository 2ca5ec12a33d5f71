import type { RequestKind } from "../receipts/hashes.ts";
import type { Hex } from "../receipts/types.ts";
import type { CheckedReceipt } from "./checkReceipt.ts";
import type { PaymentTerms } from "./SignedPayment.ts";

/** A receipt that was checked, with what it was paid by. */
export interface VerifiedReceipt extends CheckedReceipt {
  requestId: Hex;
  kind: RequestKind;
  payment: PaymentTerms;
  /** Of a sealed request: what blinds the receipt's hashes (see `blindedHash`). */
  salt?: Hex;
  verifiedAtMs: number;
}

/** The receipts of a client, oldest first. Bounded: the oldest are forgotten. */
export class ReceiptBook {
  readonly #limit: number;
  readonly #receipts = new Map<Hex, VerifiedReceipt>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  add(receipt: VerifiedReceipt): void {
    this.#receipts.set(receipt.requestId, receipt);
    const [oldest] = this.#receipts.keys();
    if (this.#receipts.size > this.#limit && oldest !== undefined) this.#receipts.delete(oldest);
  }

  get(requestId: Hex): VerifiedReceipt | undefined {
    return this.#receipts.get(requestId);
  }

  all(): VerifiedReceipt[] {
    return [...this.#receipts.values()];
  }
}
