import { randomBytes } from "node:crypto";
import { decodePaymentResponseHeader } from "@x402/core/http";
import type { PaymentPayload } from "@x402/core/types";
import { BATCH_SETTLEMENT_ADDRESS, BATCH_SETTLEMENT_DOMAIN, voucherTypes } from "@x402/evm";
import {
  buildChannelConfig,
  computeChannelId,
  createBatchSettlementEIP3009DepositPayload,
  InMemoryClientChannelStorage,
} from "@x402/evm/batch-settlement/client";
import { privateKeyToAccount } from "viem/accounts";
import type { Hex } from "../../../simulator/receipts/types.ts";
import type { BenchPayer } from "./payers.ts";
import { chainIdOf, paidRequest, paymentHeader, type Terms } from "./terms.ts";
import { typedDigest } from "./typedDigest.ts";

/**
 * Requests paid by `batch-settlement`. The channel is opened by the stock client's deposit; the vouchers go on from what the server says it has charged,
 * which is the same for every request here.
 *
 * @param depositWei has to last for the whole run.
 */
export async function channelPayments(
  terms: Terms,
  payer: BenchPayer,
  depositWei: bigint,
): Promise<(count: number) => Buffer[]> {
  const { accepted } = terms;
  const signer = privateKeyToAccount(payer.privateKey);
  const salt: Hex = `0x${randomBytes(32).toString("hex")}`;
  const deps = { signer, storage: new InMemoryClientChannelStorage(), salt };
  const channelConfig = buildChannelConfig(deps, accepted);
  const channelId = computeChannelId(channelConfig, accepted.network);

  const domain = { ...BATCH_SETTLEMENT_DOMAIN, chainId: chainIdOf(terms), verifyingContract: BATCH_SETTLEMENT_ADDRESS };
  const digestOf = typedDigest(domain, voucherTypes, "Voucher");
  let chargedWei = 0n;
  const voucher = (): PaymentPayload["payload"] => {
    const maxClaimableAmount = String(chargedWei + BigInt(accepted.amount));
    const signature = payer.sign(digestOf({ channelId, maxClaimableAmount }));
    return { type: "voucher", channelConfig, voucher: { channelId, maxClaimableAmount, signature } };
  };

  const deposit = await createBatchSettlementEIP3009DepositPayload(
    signer,
    2,
    accepted,
    channelConfig,
    depositWei.toString(),
    accepted.amount,
  );
  chargedWei = await pay(terms, deposit.payload);
  const afterDeposit = chargedWei;
  chargedWei = await pay(terms, voucher());
  const stepWei = chargedWei - afterDeposit;
  return (count) =>
    Array.from({ length: count }, () => {
      const request = paidRequest(terms, voucher());
      chargedWei += stepWei;
      return request;
    });
}

/** Pays one request. @returns wei the channel was charged so far, as the server says. */
async function pay(terms: Terms, payload: PaymentPayload["payload"]): Promise<bigint> {
  const answer = await fetch(`${terms.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", "payment-signature": paymentHeader(terms, payload) },
    body: terms.body,
  });
  const text = await answer.text();
  const header = answer.headers.get("payment-response");
  if (answer.status !== 200 || header === null) {
    const required = answer.headers.get("payment-required");
    throw new Error(`Expected 200, found ${answer.status}: ${text} ${required === null ? "" : atob(required)}`);
  }
  const { channelState } = decodePaymentResponseHeader(header).extra as {
    channelState: { chargedCumulativeAmount: string };
  };
  return BigInt(channelState.chargedCumulativeAmount);
}
