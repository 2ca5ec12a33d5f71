import type { PaymentRequirements } from "@x402/core/types";
import type { Hex } from "../receipts/types.ts";
import { tokenDomainSeparator, transferDigest } from "./paymentDigest.ts";
import type { PayerState } from "./PayerStates.ts";
import type { Charge } from "./payment.ts";
import { judged, MIN_VALIDITY, type QuickContext, type QuickVerdict } from "./quickContext.ts";
import { recoverPayer } from "./recoverPayer.ts";

const refused = (reason: string): QuickVerdict => ({ reason: `invalid_exact_evm_${reason}` });

/** `exact` by ERC-3009, in the order in which `@x402/evm` checks. */
export async function checkTransfer(
  charge: Charge,
  requirements: PaymentRequirements,
  { chainId, states, nowSeconds }: QuickContext,
): Promise<QuickVerdict> {
  const { authorization, payload } = charge;
  if (payload.accepted.scheme !== "exact" || requirements.scheme !== "exact") return refused("scheme");
  const { name, version } = requirements.extra as { name?: unknown; version?: unknown };
  if (!name || !version) return refused("missing_eip712_domain");
  if (typeof name !== "string" || typeof version !== "string") return "unsure";
  if (payload.accepted.network !== requirements.network) return refused("network_mismatch");
  const { asset, payer, payTo, valueWei, validAfter, validBefore } = authorization;
  const separator = tokenDomainSeparator({ name, version, chainId, verifyingContract: asset });
  if ((await states.separatorOf(asset)) !== separator) return "unsure";
  const { signature } = payload.payload as { signature: Hex };
  const signer = recoverPayer(transferDigest(separator, authorization), signature);
  const good = signer?.address === payer;
  // an account that has become a contract is asked for its signature; whether it is one costs a call, which comes last
  if (!good) return (await states.of(authorization)).isContract ? "unsure" : refused("signature");
  if (payTo !== requirements.payTo.toLowerCase()) return refused("recipient_mismatch");
  if (validBefore < nowSeconds + MIN_VALIDITY) return refused("payload_authorization_valid_before");
  if (validAfter > nowSeconds) return refused("payload_authorization_valid_after");
  if (valueWei !== BigInt(requirements.amount)) return refused("payload_authorization_value_mismatch");
  const canonical = !signer.highS && !signer.bareV;
  const judge = (state: PayerState): QuickVerdict => {
    if (state.isContract) return "unsure";
    if (state.nonceUsed) return refused("nonce_already_used");
    if (state.balanceWei < valueWei) return refused("insufficient_balance");
    const valid = state.timestamp > validAfter && state.timestamp < validBefore;
    return canonical && valid ? { reason: undefined } : refused("transaction_simulation_failed");
  };
  return judged(charge, states, judge);
}
