import type { TransactionReceipt } from "ethers";
import { ContractRevertError } from "../chain/ContractRevertError.ts";
import type { Attempt } from "../chain/PendingTransaction.ts";
import type { TransactionSubmitter } from "../chain/TransactionSubmitter.ts";
import type { Hex } from "../receipts/types.ts";
import type { ApprovalSponsor } from "./ApprovalSponsor.ts";
import { receiptOutcome } from "./outcome/receiptOutcome.ts";
import type { SettlementOutcome } from "./outcome/SettlementOutcome.ts";
import type { AnyPayment } from "./parsePayment.ts";
import { settlementCall } from "./settlementCall.ts";
import type { SignedTransaction } from "./PaymentStore.ts";

export interface PaymentSenderParts {
  /** Pays the gas. */
  submitter: TransactionSubmitter;
  approvals: ApprovalSponsor;
}

export interface SendOptions {
  label: string;
  /** How long it waits for the transaction to be mined. */
  timeoutMs: number;
  /** Makes the transaction durable before it leaves; throwing keeps it from leaving. */
  record: (transaction: SignedTransaction) => Promise<void>;
}

/** Sends the transactions that settle payments. */
export class PaymentSender {
  readonly #parts: PaymentSenderParts;

  constructor(parts: PaymentSenderParts) {
    this.#parts = parts;
  }

  /** The account that pays the gas. */
  get address(): Hex {
    return this.#parts.submitter.address;
  }

  /**
   * Sends a payment's transaction and waits for it. @returns what it did, by its receipt.
   * @throws ContractRevertError when it would fail, or did; what `TransactionSubmitter.submit` throws.
   */
  async send(payment: AnyPayment, options: SendOptions): Promise<SettlementOutcome> {
    const { to, data, approval } = settlementCall(payment);
    if (approval !== undefined) await this.#parts.approvals.give(payment, approval);
    const receipt = await this.submit({ to, data }, options);
    return receiptOutcome(payment, data, receipt);
  }

  submit(
    call: { to: Hex; data: Hex },
    { label, timeoutMs, record, gasLimit }: SendOptions & { gasLimit?: bigint },
  ): Promise<TransactionReceipt> {
    const from = this.address;
    const onAttempt = ({ hash, raw, nonce }: Attempt): Promise<void> =>
      record({ hash: hash as Hex, raw: raw as Hex, from, nonce });
    return this.#parts.submitter.submit(call, {
      label,
      timeoutMs,
      onAttempt,
      ...(gasLimit !== undefined && { gasLimit }),
    });
  }
}

/** How the text begins when a contract has refused the payment. */
export const REVERTED = "reverted";

/** One line about why sending failed. */
export function failureText(error: unknown): string {
  if (error instanceof ContractRevertError) {
    return `${REVERTED}: ${error.errorName === "unknown" ? error.data : error.errorName}`;
  }
  return error instanceof Error ? error.message : String(error);
}
