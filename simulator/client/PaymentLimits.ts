import type { PaymentRequirements } from "@x402/core/types";
import { getAddress, isAddress, ZeroAddress } from "ethers";
import { DOMAIN_NAME, DOMAIN_VERSION } from "../receipts/eip712.ts";
import type { Hex } from "../receipts/types.ts";

/** x402's schemes: a fixed price, a price by use, and a channel with cumulative vouchers. */
export type Scheme = "exact" | "upto" | "batch-settlement";

/**
 * How a payer without ETH lets Permit2 have its tokens: by an EIP-2612 permit of what the payment needs, or, where a token has none, by a
 * signed `approve` transaction, which is for all it has.
 */
export type GasSponsoring = "none" | "permit" | "approval";

/** What a client may sign. */
export interface PaymentLimits {
  chainId: bigint;
  /** OPG. */
  asset: Hex;
  /** Schemes that will do. */
  schemes: readonly Scheme[];
  /** Whether the first of them is preferred, and so on; otherwise the gateway's order holds. */
  ranked: boolean;
  /** Who may be paid. Default: anyone. */
  payTo?: Hex;
  /** Who may charge an `upto` payment. Default: whom the gateway names; it can charge what was signed at most, and only to `payTo`. */
  facilitators?: readonly Hex[];
  /** Most that one request may cost, wei. */
  maxPaymentWei: bigint;
  /** Most that one `upto` authorization may be for, wei; it can pay several requests. */
  maxSessionWei: bigint;
  /** Most that may be signed away and not be accounted for by receipts yet, wei; deposits apart. */
  maxOutstandingWei: bigint;
  /** Most that a channel may hold unspent, wei. */
  maxDepositWei: bigint;
  /** A payment may stay chargeable for at most this long. */
  maxValiditySeconds: number;
  /** How long a channel's money may be withheld from a payer who wants it back against the gateway's will. */
  maxWithdrawDelaySeconds: number;
  gasSponsoring: GasSponsoring;
}

/** What an offer says about how it is paid, read from what the gateway sent. */
export const methodOf = ({ extra }: PaymentRequirements): unknown => extra.assetTransferMethod ?? "eip3009";

/** Why an offer is not within the limits; undefined if it is. */
export function objectionTo(offer: PaymentRequirements, limits: PaymentLimits): string | undefined {
  const { network, asset, amount, payTo, maxTimeoutSeconds, extra } = offer;
  const { chainId, payTo: payee, maxValiditySeconds } = limits;
  if (!limits.schemes.some((scheme) => scheme === offer.scheme)) return `the scheme "${offer.scheme}" is not wanted`;
  if (network !== `eip155:${chainId}`) return `it is on ${network}, not on eip155:${chainId}`;
  if (asset.toLowerCase() !== limits.asset.toLowerCase()) return `it is in ${asset}, not in ${limits.asset}`;
  if (!isAddress(payTo)) return "it names no payee";
  if (payee !== undefined && payTo.toLowerCase() !== payee.toLowerCase()) return `it pays ${payTo}, not ${payee}`;
  if (!/^[0-9]{1,78}$/.test(amount)) return "its amount is none";
  if (!Number.isSafeInteger(maxTimeoutSeconds) || maxTimeoutSeconds <= 0) return "its time is none";
  if (maxTimeoutSeconds > maxValiditySeconds) {
    return `it stays chargeable for ${maxTimeoutSeconds} s, more than ${maxValiditySeconds} s`;
  }
  // they are signed as the token's, and would be worth nothing
  if (extra.name !== DOMAIN_NAME || extra.version !== DOMAIN_VERSION) return "it names another token's domain";
  return objectionByScheme(offer, limits);
}

function objectionByScheme(offer: PaymentRequirements, limits: PaymentLimits): string | undefined {
  const { scheme, amount, extra } = offer;
  const { maxPaymentWei, maxSessionWei, facilitators, maxWithdrawDelaySeconds } = limits;
  const method = methodOf(offer);
  const tooMuch = (maxWei: bigint): string | undefined =>
    BigInt(amount) > maxWei ? `it is for ${amount} wei, more than ${maxWei}` : undefined;
  switch (scheme) {
    case "exact":
      if (method !== "eip3009" && method !== "permit2") return `it is paid by "${String(method)}"`;
      return tooMuch(maxPaymentWei);
    case "upto": {
      const facilitator = extra.facilitatorAddress;
      if (typeof facilitator !== "string" || !isAddress(facilitator)) return "it names nobody who may charge it";
      if (facilitators !== undefined && !facilitators.some((each) => getAddress(each) === getAddress(facilitator))) {
        return `${facilitator} is not one who may charge`;
      }
      return tooMuch(maxSessionWei);
    }
    default: {
      if (method !== "eip3009") return `a channel is filled by ERC-3009 here, not by "${String(method)}"`;
      const { receiverAuthorizer, withdrawDelay } = extra;
      if (
        typeof receiverAuthorizer !== "string" ||
        !isAddress(receiverAuthorizer) ||
        receiverAuthorizer === ZeroAddress
      ) {
        return "it names nobody who may claim from the channel";
      }
      if (typeof withdrawDelay !== "number" || !Number.isSafeInteger(withdrawDelay))
        return "it names no withdraw delay";
      if (withdrawDelay > maxWithdrawDelaySeconds) {
        return `it can be withheld for ${withdrawDelay} s, more than ${maxWithdrawDelaySeconds} s`;
      }
      return tooMuch(maxPaymentWei);
    }
  }
}

/**
 * The offer to take: of the scheme that comes first, by ERC-3009 rather than Permit2, which needs an allowance, and the cheapest.
 * @returns undefined when none is within the limits, with why.
 */
export function choose(
  offers: readonly PaymentRequirements[],
  limits: PaymentLimits,
): { offer?: PaymentRequirements; objections: string[] } {
  const objections: string[] = [];
  const acceptable = offers.filter((offer) => {
    const objection = objectionTo(offer, limits);
    if (objection !== undefined) objections.push(`${offer.scheme}: ${objection}`);
    return objection === undefined;
  });
  const order: readonly string[] = limits.ranked ? limits.schemes : acceptable.map(({ scheme }) => scheme);
  const rank = (offer: PaymentRequirements): number =>
    2 * order.indexOf(offer.scheme) + (methodOf(offer) === "permit2" ? 1 : 0);
  const compare = (a: PaymentRequirements, b: PaymentRequirements): number => {
    const byRank = rank(a) - rank(b);
    if (byRank !== 0) return byRank;
    return BigInt(a.amount) < BigInt(b.amount) ? -1 : 1;
  };
  const [offer] = acceptable.toSorted(compare);
  return { ...(offer !== undefined && { offer }), objections };
}
