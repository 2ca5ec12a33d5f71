import type { Network, PaymentRequirements } from "@x402/core/types";
import { UINT96_MAX, type Hex } from "../../receipts/types.ts";
import { SCHEME, type ChannelConfig } from "./channelConfig.ts";
import { REASONS, type ChannelReason } from "./channelReasons.ts";

export interface ChannelTermsOptions {
  network: Network;
  asset: Hex;
  /** EIP-712 domain of the asset. */
  assetName: string;
  assetVersion: string;
  /** "permit2" for tokens without ERC-3009. Default "eip3009". */
  assetTransferMethod?: "eip3009" | "permit2";
  /** Signs claims and refunds for the operator. */
  receiverAuthorizer: Hex;
  /** Default 900, the least the contract takes. */
  withdrawDelaySeconds?: number;
  /** How long a deposit's authorization is asked to be valid. Default 300. */
  maxTimeoutSeconds?: number;
  /** What clients are asked to deposit at least, in requests. Default 100. */
  minDepositRequests?: bigint;
}

/** What clients have to sign, and whether they did. */
export class ChannelTerms {
  readonly asset: Hex;
  readonly network: Network;
  readonly withdrawDelaySeconds: number;
  readonly #options: ChannelTermsOptions;
  readonly #receiverAuthorizer: Hex;
  readonly #maxTimeoutSeconds: number;

  constructor(options: ChannelTermsOptions) {
    this.#options = options;
    this.asset = options.asset.toLowerCase() as Hex;
    this.network = options.network;
    this.withdrawDelaySeconds = options.withdrawDelaySeconds ?? 900;
    this.#receiverAuthorizer = options.receiverAuthorizer.toLowerCase() as Hex;
    this.#maxTimeoutSeconds = options.maxTimeoutSeconds ?? 300;
  }

  /** @param amountWei the most that one request may cost. */
  requirements(payTo: Hex, amountWei: bigint): PaymentRequirements {
    const { network, asset, assetName, assetVersion, assetTransferMethod, receiverAuthorizer } = this.#options;
    const requests = this.#options.minDepositRequests ?? 100n;
    return {
      scheme: SCHEME,
      network,
      asset,
      amount: amountWei.toString(),
      payTo,
      maxTimeoutSeconds: this.#maxTimeoutSeconds,
      extra: {
        name: assetName,
        version: assetVersion,
        ...(assetTransferMethod && { assetTransferMethod }),
        receiverAuthorizer,
        withdrawDelay: this.withdrawDelaySeconds,
        minDeposit: (amountWei * requests).toString(),
      },
    };
  }

  /**
   * The most that a request may cost by the terms a client accepted: as advertised, or more.
   * @returns undefined when these are other terms, or were not enough.
   */
  capOf(accepted: Readonly<Record<string, unknown>>, payTo: Hex, leastWei: bigint): bigint | undefined {
    const { network, assetName, assetVersion, assetTransferMethod = "eip3009" } = this.#options;
    const { amount } = accepted;
    const extra = accepted["extra"] as Readonly<Record<string, unknown>> | null | undefined;
    if (typeof extra !== "object" || extra === null) return undefined;
    if (typeof amount !== "string" || !/^[1-9][0-9]{0,28}$/.test(amount)) return undefined;
    const same =
      accepted["scheme"] === SCHEME &&
      accepted["network"] === network &&
      isAddress(accepted["asset"], this.asset) &&
      isAddress(accepted["payTo"], payTo) &&
      accepted["maxTimeoutSeconds"] === this.#maxTimeoutSeconds &&
      extra["name"] === assetName &&
      extra["version"] === assetVersion &&
      (extra["assetTransferMethod"] ?? "eip3009") === assetTransferMethod &&
      isAddress(extra["receiverAuthorizer"], this.#receiverAuthorizer) &&
      extra["withdrawDelay"] === this.withdrawDelaySeconds;
    const cap = BigInt(amount);
    return same && cap >= leastWei && cap <= UINT96_MAX ? cap : undefined;
  }

  /** Why a channel cannot pay for requests here, whatever is in it. */
  refusalOf(config: ChannelConfig, payTo: Hex): ChannelReason | undefined {
    if (config.receiver !== payTo) return REASONS.receiver;
    if (config.receiverAuthorizer !== this.#receiverAuthorizer) return REASONS.authorizer;
    if (config.token !== this.asset) return REASONS.token;
    if (config.withdrawDelay !== this.withdrawDelaySeconds) return REASONS.delay;
    return undefined;
  }
}

const isAddress = (value: unknown, address: Hex): boolean =>
  value === address || (typeof value === "string" && value.toLowerCase() === address);
