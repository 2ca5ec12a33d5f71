import type { Provider } from "ethers";
import type { Hex } from "../../receipts/types.ts";
import type { AnyPayment } from "../parsePayment.ts";
import type { Charge } from "../payment.ts";
import { exactProxy, uptoProxy } from "../settlementCall.ts";
import { authorizationOutcome } from "./authorizationOutcome.ts";
import { channelOutcome } from "./channelOutcome.ts";
import { permit2Outcome, proxyReader, type PermittedPayment } from "./permit2Outcome.ts";
import type { SettlementOutcome } from "./SettlementOutcome.ts";

/** How a payment by Permit2 is recognised on chain. */
export function permittedPayment({ authorization, amountWei, kind }: Charge): PermittedPayment {
  const reader = readers[kind === "exact/permit2" ? kind : "upto/permit2"];
  return { authorization, amountWei, receiver: authorization.payTo, reader };
}

const readers = { "exact/permit2": proxyReader(exactProxy), "upto/permit2": proxyReader(uptoProxy) };

/**
 * What has become of a payment on chain, whoever sent the transaction.
 * @param fromBlock a block at whose end it was not settled.
 * @param recorded a transaction of ours that may have settled it.
 */
export function paymentOutcome(
  provider: Provider,
  payment: AnyPayment,
  fromBlock: number,
  recorded?: Hex,
): Promise<SettlementOutcome> {
  switch (payment.kind) {
    case "exact/eip3009":
      return authorizationOutcome(provider, payment.authorization, fromBlock);
    case "exact/permit2":
    case "upto/permit2":
      return permit2Outcome(provider, permittedPayment(payment), fromBlock, recorded);
    default:
      return channelOutcome(provider, payment, fromBlock, recorded);
  }
}
