import { Wallet, type Provider, type Signer } from "ethers";
import type { Hex } from "../receipts/types.ts";
import { ChannelStore } from "./ChannelStore.ts";
import type { PayerOptions } from "./Payer.ts";
import type { GasSponsoring, Scheme } from "./PaymentLimits.ts";

/** How a client pays, and what it never does. */
export interface PaymentOptions {
  /** Pays; an ethers signer or a private key. Needs OPG and no ETH. */
  wallet: Signer | Hex;
  /** OPG. */
  asset: Hex;
  /** Most that one request may cost, wei. */
  maxPaymentWei: bigint;
  /**
   * Schemes that will do, the preferred one first. Default: "upto" and "exact", whichever the gateway names first: what is sold by the token it
   * offers by use first, and what has a fixed price at that price. "batch-settlement" is used where it is named here.
   */
  schemes?: readonly Scheme[];
  /** Who may be paid. Default: whoever the gateway names. */
  payTo?: Hex;
  /** Who may charge an `upto` payment. Default: whoever the gateway names; what was signed is all it can charge, and `payTo` gets it. */
  facilitators?: readonly Hex[];
  /** A payment may stay chargeable for at most this long. Default 7,200. */
  maxPaymentValiditySeconds?: number;
  /** Reads the payer's allowance and channels. Without it, Permit2 needs an allowance beforehand, and a channel is found in `channelStore` only. */
  provider?: Provider;
  /** How a payer without ETH gives Permit2 an allowance. Default "permit": as much as the payment, where the gateway offers to sponsor it. */
  gasSponsoring?: GasSponsoring;
  /** Whether one `upto` authorization pays for several requests. Default true. */
  sessions?: boolean;
  /** Most that one `upto` authorization may be for, wei. Default `maxPaymentWei`. */
  maxSessionWei?: bigint;
  /** Most that may be signed away without a receipt, wei: what a gateway can take that gives nothing. Default 100 times the larger of the two. */
  maxOutstandingWei?: bigint;
  /** Most that a channel may hold unspent, wei. Default 10 times `maxPaymentWei`. */
  maxDepositWei?: bigint;
  /** What is deposited when a channel needs it, wei, unless the gateway wants more. Default `maxDepositWei`. */
  depositWei?: bigint;
  /** How long a gateway may have the payer wait that wants its channel's money back on its own. Default 86,400. */
  maxWithdrawDelaySeconds?: number;
  /** Keeps channels. Default: in memory, so that they are looked up on chain, or opened anew, after a restart. */
  channelStore?: ChannelStore;
  /** How many channels are opened with a gateway: one request at a time has one. Default 1. */
  channelsPerGateway?: number;
}

const DAY_SECONDS = 86_400;
const DEFAULT_DEPOSIT_REQUESTS = 10n;
const DEFAULT_OUTSTANDING_PAYMENTS = 100n;

export function payerOptions(options: PaymentOptions, chainId: bigint): PayerOptions {
  const { wallet, asset, maxPaymentWei, payTo, facilitators, provider, channelStore } = options;
  const { maxSessionWei = maxPaymentWei, maxDepositWei = DEFAULT_DEPOSIT_REQUESTS * maxPaymentWei } = options;
  const most = maxPaymentWei > maxSessionWei ? maxPaymentWei : maxSessionWei;
  return {
    wallet: typeof wallet === "string" ? new Wallet(wallet) : wallet,
    limits: {
      chainId,
      asset,
      schemes: options.schemes ?? ["upto", "exact"],
      ranked: options.schemes !== undefined,
      ...(payTo !== undefined && { payTo }),
      ...(facilitators !== undefined && { facilitators }),
      maxPaymentWei,
      maxSessionWei,
      maxOutstandingWei: options.maxOutstandingWei ?? DEFAULT_OUTSTANDING_PAYMENTS * most,
      maxDepositWei,
      maxValiditySeconds: options.maxPaymentValiditySeconds ?? 7_200,
      maxWithdrawDelaySeconds: options.maxWithdrawDelaySeconds ?? DAY_SECONDS,
      gasSponsoring: options.gasSponsoring ?? "permit",
    },
    provider,
    sessions: options.sessions ?? true,
    channels: {
      store: channelStore ?? new ChannelStore(":memory:"),
      depositWei: options.depositWei ?? maxDepositWei,
      perGateway: options.channelsPerGateway ?? 1,
    },
  };
}
