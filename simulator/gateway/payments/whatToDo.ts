import { PERMIT2_ADDRESS } from "@x402/evm";

const APPROVE =
  `let Permit2 (${PERMIT2_ADDRESS}) take the token, once, by approve(); or sign the extension eip2612GasSponsoring or ` +
  "erc20ApprovalGasSponsoring, for which neither ETH nor an allowance is needed (@x402/evm does so when its signer can read the chain)";
const SIGN_ANEW = "sign one of `accepts` as it is";

/** What helps, by what a refusal begins with. */
const REMEDIES: readonly (readonly [prefix: string, remedy: string])[] = [
  ["permit2_allowance_required", APPROVE],
  ["permit2_insufficient_balance", "add funds to the payer's account"],
  ["invalid_exact_evm_insufficient_balance", "add funds to the payer's account"],
  ["permit2_not_yet_valid", "sign with `validAfter` in the past"],
  ["invalid_exact_evm_payload_authorization_valid_after", "sign with `validAfter` in the past"],
  ["permit2_deadline_expired", "sign a new payment, with the time that `maxTimeoutSeconds` says"],
  [
    "invalid_exact_evm_payload_authorization_valid_before",
    "sign a new payment, with the time that `maxTimeoutSeconds` says",
  ],
  ["invalid_exact_evm_nonce_already_used", "sign a new payment; this one is spent"],
  ["upto_facilitator_mismatch", "sign for the `facilitatorAddress` in `accepts`"],
  ["upto_unauthorized_facilitator", "sign for the `facilitatorAddress` in `accepts`"],
  ["permit2_proxy_not_deployed", "pay by another of `accepts`"],
  ["erc20_approval_", "sign the approval anew: for this token, Permit2 and the most that fits"],
  ["permit2_", SIGN_ANEW],
  ["invalid_permit2_", SIGN_ANEW],
  ["invalid_exact_", SIGN_ANEW],
  ["invalid_upto_", SIGN_ANEW],
];

/** For a refusal by x402's reason: what the payer can do about it. */
export const whatToDo = (reason: string): string =>
  REMEDIES.find(([prefix]) => reason.startsWith(prefix))?.[1] ?? "sign a new payment for one of `accepts`";
