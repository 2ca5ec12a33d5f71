import type { TransactionReceipt } from "ethers";
import type { Hex } from "../../receipts/types.ts";
import type { AnyPayment } from "../parsePayment.ts";
import { authorizationUse } from "./authorizationOutcome.ts";
import { permittedPayment } from "./paymentOutcome.ts";
import { permitUse } from "./permit2Outcome.ts";
import type { SettlementOutcome } from "./SettlementOutcome.ts";

/** What a mined transaction of ours did with a payment. */
export function receiptOutcome(payment: AnyPayment, data: Hex, receipt: TransactionReceipt): SettlementOutcome {
  if (receipt.status !== 1) return { kind: "unknown" };
  switch (payment.kind) {
    case "exact/eip3009":
      return authorizationUse(receipt, payment.authorization) ?? { kind: "unknown" };
    case "exact/permit2":
    case "upto/permit2":
      return permitUse({ data }, receipt, permittedPayment(payment)) ?? { kind: "unknown" };
    default:
      // the contract does all of it or reverts
      return { kind: "paid", transaction: receipt.hash as Hex };
  }
}
