import type { SettleResponse } from "@x402/core/types";
import type { Hex } from "../../receipts/types.ts";
import type { StoredRequest } from "../StoredRequest.ts";
import type { SessionBalance } from "./SessionKeeper.ts";

/**
 * What a PAYMENT-RESPONSE says of an answer. Without a transaction the payment is still on its way to the chain; `amount` is absent while
 * a stream that is charged by use has not ended.
 * @param feeWei what the answer cost, once that is known.
 */
export function paymentResponse(
  { payment, tariff, amountWei }: StoredRequest,
  feeWei: bigint | undefined,
  transaction: Hex | undefined,
  session: SessionBalance | undefined,
): Pick<SettleResponse, "payer" | "amount" | "extra"> & { transaction: Hex | undefined } {
  const charged = feeWei ?? (tariff === undefined ? amountWei : undefined);
  const settlement = transaction !== undefined ? "settled" : session === undefined ? "deferred" : "session";
  return {
    payer: payment.payer,
    transaction,
    ...(charged !== undefined && { amount: charged.toString() }),
    extra: {
      settlement,
      ...(session && {
        sessionChargedWei: session.chargedWei.toString(),
        sessionRemainingWei: session.remainingWei.toString(),
      }),
    },
  };
}
