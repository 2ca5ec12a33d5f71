import { x402ExactPermit2ProxyAddress, x402UptoPermit2ProxyAddress } from "@x402/evm";
import type { PaymentRequirements } from "@x402/core/types";
import type { Hex } from "../receipts/types.ts";
import { permitDigest } from "./paymentDigest.ts";
import type { PayerState } from "./PayerStates.ts";
import type { Charge } from "./payment.ts";
import { judged, MIN_VALIDITY, type QuickContext, type QuickVerdict } from "./quickContext.ts";
import { recoverPayer } from "./recoverPayer.ts";

const refused = (reason: string): QuickVerdict => ({ reason });
const EXACT_PROXY = x402ExactPermit2ProxyAddress.toLowerCase() as Hex;
const UPTO_PROXY = x402UptoPermit2ProxyAddress.toLowerCase() as Hex;

/** `exact` by Permit2 and `upto`, in the order in which `@x402/evm` checks. */
export async function checkPermit(
  charge: Charge,
  requirements: PaymentRequirements,
  { states, permit2Domain, facilitator, nowSeconds }: QuickContext,
): Promise<QuickVerdict> {
  const { kind, authorization, payload } = charge;
  const upTo = kind === "upto/permit2";
  const scheme = upTo ? "upto" : "exact";
  if (payload.accepted.scheme !== scheme || requirements.scheme !== scheme) {
    return refused(upTo ? "invalid_upto_evm_scheme" : "unsupported_payload_type");
  }
  if (payload.accepted.network !== requirements.network) return refused(`invalid_${scheme}_evm_network_mismatch`);
  const { payer, payTo, spender, valueWei, validAfter, validBefore } = authorization;
  if (spender !== (upTo ? UPTO_PROXY : EXACT_PROXY)) return refused("invalid_permit2_spender");
  if (payTo !== requirements.payTo.toLowerCase()) return refused("invalid_permit2_recipient_mismatch");
  if (upTo && authorization.facilitator !== facilitator) return refused("upto_facilitator_mismatch");
  if (validBefore < nowSeconds + MIN_VALIDITY) return refused("permit2_deadline_expired");
  if (validAfter > nowSeconds) return refused("permit2_not_yet_valid");
  if (valueWei !== BigInt(requirements.amount)) return refused("permit2_amount_mismatch");
  const { signature } = payload.payload as { signature: Hex };
  const signer = recoverPayer(permitDigest(permit2Domain, { ...authorization, spender }), signature);
  const judge = (state: PayerState): QuickVerdict => {
    if (state.isContract) return "unsure";
    if (signer?.address !== payer) return refused("invalid_permit2_signature");
    if (state.balanceWei < valueWei) return refused("permit2_insufficient_balance");
    if (state.allowanceWei < valueWei) return refused("permit2_allowance_required");
    const valid = state.timestamp >= validAfter && state.timestamp <= validBefore;
    return valid && !state.nonceUsed && !signer.bareV ? { reason: undefined } : refused("permit2_simulation_failed");
  };
  return judged(charge, states, judge);
}
