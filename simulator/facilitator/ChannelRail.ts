import type { Network, PaymentPayload, PaymentRequirements, SettleResponse, VerifyResponse } from "@x402/core/types";
import { BATCH_SETTLEMENT_ADDRESS, refundTypes } from "@x402/evm";
import type { Provider, Signer } from "ethers";
import { ContractRevertError, contractRevertOf } from "../chain/ContractRevertError.ts";
import type { Hex } from "../receipts/types.ts";
import {
  CLAIM_BATCH_TYPES,
  channelDomain,
  channelIdOf,
  claimBatchMessage,
  parseChannelPayment,
  type ChannelAction,
  type ChannelPayment,
  type VoucherClaim,
} from "./channelPayment.ts";
import { channelStates, type ChannelState } from "./channelState.ts";
import { receiverTotals } from "./outcome/channelOutcome.ts";
import { PaymentError } from "./PaymentError.ts";
import type { PaymentJob } from "./PaymentStore.ts";
import { channelInterface, settlementCall, tokenInterface } from "./settlementCall.ts";

/** Vouchers to be claimed for one receiver. */
export interface ClaimChannels {
  claims: readonly VoucherClaim[];
  receiver: Hex;
  token: Hex;
  /** By the channels' `receiverAuthorizer` over the claims; the facilitator signs when it is that itself. */
  claimAuthorizerSignature?: Hex;
}

export interface ChannelRailOptions {
  network: Network;
  provider: Provider;
  /** Signs for receivers whose channels name it. */
  authorizer: Signer | undefined;
}

const FAILED = "invalid_batch_settlement_evm";

/** What a facilitator does with channels beyond verifying deposits and vouchers: signs, checks and describes what moves their money. */
export class ChannelRail {
  readonly #options: ChannelRailOptions;

  constructor(options: ChannelRailOptions) {
    this.#options = options;
  }

  states(channelIds: readonly Hex[]): Promise<ChannelState[]> {
    const { provider, network } = this.#options;
    return channelStates(provider, network, channelIds);
  }

  /** @throws PaymentError invalid_payload, authorizer_missing */
  claim({ claims, receiver, token, claimAuthorizerSignature }: ClaimChannels): Promise<ChannelPayment> {
    const { network } = this.#options;
    const stranger = claims.find(
      ({ voucher: { channel } }) => channel.receiver !== receiver || channel.token !== token,
    );
    if (stranger !== undefined) {
      throw new PaymentError("invalid_payload", `Expected vouchers for ${receiver} in ${token} only`);
    }
    const requirements: PaymentRequirements = {
      scheme: "batch-settlement",
      network,
      asset: token,
      amount: "0",
      payTo: receiver,
      maxTimeoutSeconds: 300,
      extra: {},
    };
    const action = { type: "claim", claims, claimAuthorizerSignature, settle: { receiver, token } };
    return this.prepare(parseChannelPayment({ x402Version: 2, accepted: requirements, payload: action }, requirements));
  }

  /** Adds what the facilitator has to: its signatures, where it is the receiver's authorizer, and how far a settlement goes. */
  async prepare(payment: ChannelPayment): Promise<ChannelPayment> {
    const action = await this.#complete(payment.action);
    if (action === payment.action) return payment;
    const payload = { ...payment.payload, payload: action } as PaymentPayload;
    return parseChannelPayment(payload, payment.requirements);
  }

  async #complete(action: ChannelAction): Promise<ChannelAction> {
    const { network, provider } = this.#options;
    switch (action.type) {
      case "deposit":
        return action;
      case "claim": {
        if (action.claimAuthorizerSignature !== undefined) return action;
        return { ...action, claimAuthorizerSignature: await this.#signClaims(action.claims) };
      }
      case "settle": {
        const [claimed, settled] = await receiverTotals(provider, action.receiver, action.token);
        if (claimed <= settled) throw new PaymentError(`${FAILED}_nothing_to_settle`, "Nothing to settle");
        return { ...action, totalClaimed: claimed.toString() };
      }
      case "refund": {
        const { claims, channelConfig, amount, refundNonce } = action;
        const message = { channelId: channelIdOf(network, channelConfig), nonce: refundNonce, amount };
        const signature = async (): Promise<Hex> =>
          this.#sign([channelConfig.receiverAuthorizer], refundTypes as unknown as typeof CLAIM_BATCH_TYPES, message);
        const signClaims = action.claimAuthorizerSignature === undefined && claims.length > 0;
        return {
          ...action,
          refundAuthorizerSignature: action.refundAuthorizerSignature ?? (await signature()),
          ...(signClaims && { claimAuthorizerSignature: await this.#signClaims(claims) }),
        };
      }
    }
  }

  #signClaims(claims: readonly VoucherClaim[]): Promise<Hex> {
    const authorizers = claims.map(({ voucher }) => voucher.channel.receiverAuthorizer);
    return this.#sign(authorizers, CLAIM_BATCH_TYPES, claimBatchMessage(this.#options.network, claims));
  }

  async #sign(authorizers: Hex[], types: typeof CLAIM_BATCH_TYPES, message: Record<string, unknown>): Promise<Hex> {
    const { authorizer, network } = this.#options;
    if (authorizer === undefined) {
      throw new PaymentError(`${FAILED}_authorizer_not_configured`, "The receiver's authorizer has to sign this");
    }
    const self = (await authorizer.getAddress()).toLowerCase();
    if (authorizers.some((address) => address !== self)) {
      throw new PaymentError(`${FAILED}_authorizer_address_mismatch`, `The channel's authorizer is not ${self}`);
    }
    return (await authorizer.signTypedData(channelDomain(network), types, message)) as Hex;
  }

  /** Whether a claim, settlement or refund would succeed on the chain as it is now. */
  async check(payment: ChannelPayment): Promise<VerifyResponse> {
    const { provider } = this.#options;
    const { action, payer } = payment;
    if (action.type === "refund" && (await this.#refundableWei(action)) <= 0n) {
      return { isValid: false, invalidReason: `${FAILED}_refund_no_balance`, payer };
    }
    try {
      await provider.call(settlementCall(payment));
      return { isValid: true, payer };
    } catch (error) {
      const revert = contractRevertOf(error);
      if (!(revert instanceof ContractRevertError)) throw error;
      const invalidReason = `${FAILED}_${action.type}_simulation_failed`;
      return { isValid: false, invalidReason, invalidMessage: revert.message, payer };
    }
  }

  async #refundableWei({ channelConfig, claims }: Extract<ChannelAction, { type: "refund" }>): Promise<bigint> {
    const [state] = await this.states([channelIdOf(this.#options.network, channelConfig)]);
    const claimed = claims.reduce(
      (most, { totalClaimed }) => (BigInt(totalClaimed) > most ? BigInt(totalClaimed) : most),
      state!.claimedWei,
    );
    return state!.balanceWei - claimed;
  }

  /** What the x402 packages' facilitator would answer beside the transaction. */
  async result({ action, payer }: ChannelPayment, job: PaymentJob): Promise<Partial<SettleResponse>> {
    switch (action.type) {
      case "claim":
        return { payer: "" };
      case "settle":
        return { payer: "", amount: (await this.#settledWei(action, job)).toString() };
      case "deposit":
        return { payer, amount: action.deposit.amount, extra: await this.#extra(action.voucher.channelId) };
      case "refund": {
        const extra = await this.#extra(channelIdOf(this.#options.network, action.channelConfig));
        return { payer, amount: (await this.#refundedWei(action, job)).toString(), extra };
      }
    }
  }

  async #extra(channelId: Hex): Promise<Record<string, unknown>> {
    const [state] = await this.states([channelId]);
    return {
      channelState: {
        channelId,
        balance: state!.balanceWei.toString(),
        totalClaimed: state!.claimedWei.toString(),
        withdrawRequestedAt: state!.withdrawRequestedAt,
        refundNonce: state!.refundNonce.toString(),
      },
    };
  }

  async #settledWei({ receiver, token }: { receiver: Hex; token: Hex }, job: PaymentJob): Promise<bigint> {
    for (const log of await this.#logs(job)) {
      const event = log.address.toLowerCase() === CONTRACT ? channelInterface.parseLog(log) : null;
      if (event?.name !== "Settled") continue;
      const [to, asset, , amount] = event.args as unknown as [string, string, string, bigint];
      if (to.toLowerCase() === receiver && asset.toLowerCase() === token) return amount;
    }
    return 0n;
  }

  /** What went back to the payer: at most what was asked for. */
  async #refundedWei({ channelConfig }: Extract<ChannelAction, { type: "refund" }>, job: PaymentJob): Promise<bigint> {
    for (const log of await this.#logs(job)) {
      const event = log.address.toLowerCase() === channelConfig.token ? tokenInterface.parseLog(log) : null;
      if (event?.name !== "Transfer") continue;
      const [from, to, amount] = event.args as unknown as [string, string, bigint];
      if (from.toLowerCase() === CONTRACT && to.toLowerCase() === channelConfig.payer) return amount;
    }
    return 0n;
  }

  async #logs({
    transaction,
  }: PaymentJob): Promise<readonly { address: string; topics: readonly string[]; data: string }[]> {
    if (transaction === undefined) return [];
    return (await this.#options.provider.getTransactionReceipt(transaction.hash))?.logs ?? [];
  }
}

const CONTRACT = BATCH_SETTLEMENT_ADDRESS.toLowerCase();
