import { x402Client } from "@x402/core/client";
import { decodePaymentSignatureHeader } from "@x402/core/http";
import type { PaymentRequired, PaymentRequirements, SettleResponse } from "@x402/core/types";
import {
  BatchSettlementEvmScheme,
  computeChannelId,
  readChannelBalanceAndTotalClaimed,
  type BatchSettlementDepositStrategyContext,
} from "@x402/evm/batch-settlement/client";
import { toBeHex } from "ethers";
import { uint96Schema, type Hex } from "../receipts/types.ts";
import { ChannelLedger } from "./ChannelLedger.ts";
import type { Channel, ChannelStore } from "./ChannelStore.ts";
import { parseStatement } from "./channelStatement.ts";
import { PaymentDeclinedError } from "./ClientError.ts";
import { probeAnsweredBy } from "./probeAnsweredBy.ts";
import type { PaymentLimits } from "./PaymentLimits.ts";
import { signedPayment, type SignedPayment } from "./SignedPayment.ts";
import { Turnstile } from "./Turnstile.ts";
import type { WalletGuard } from "./WalletGuard.ts";

export interface PaymentChannelsOptions {
  store: ChannelStore;
  limits: PaymentLimits;
  guard: WalletGuard;
  /** What a deposit is for, wei, unless the gateway wants more. */
  depositWei: bigint;
  /** How many channels are opened with one gateway. */
  channelsPerGateway: number;
}

/** A channel, held for one request. */
export interface HeldChannel {
  id: Hex;
  /** Signs the voucher for it. */
  pay(required: PaymentRequired): Promise<SignedPayment>;
  release: () => void;
}

const WRONG_TOTAL = /cumulative_amount_(mismatch|below_claimed)$/;

/**
 * The payer's channels. x402's own client signs deposits and vouchers, for what the ledger says has been charged.
 *
 * One request at a time has a channel, since its voucher is for the sum so far and the next price. More at once take more channels.
 */
export class PaymentChannels {
  /** What was charged. */
  readonly ledger: ChannelLedger;
  readonly #options: PaymentChannelsOptions;
  readonly #turnstiles = new Map<Hex, Turnstile>();
  readonly #lanes = new Map<Hex, { scheme: BatchSettlementEvmScheme; client: x402Client }>();

  constructor(options: PaymentChannelsOptions) {
    this.#options = options;
    this.ledger = new ChannelLedger(options.store, options.limits.maxPaymentWei);
  }

  /** The channels of one gateway, or all. */
  list(gateway?: string): Channel[] {
    return this.#options.store.list(gateway);
  }

  /** Waits for a channel of `offer` that is free, or keeps the one that `held` is of. */
  async hold(
    offer: PaymentRequirements,
    gateway: string,
    signal: AbortSignal,
    held?: { id: Hex; release: () => void },
  ): Promise<HeldChannel> {
    const lanes = Array.from({ length: this.#options.channelsPerGateway }, (_, i) => toBeHex(i, 32) as Hex);
    const choices = lanes.map((salt) => ({ salt, id: this.#idOf(offer, salt) }));
    const queue = ({ id }: { id: Hex }): number => this.#turnstile(id).length;
    const kept = held && choices.find(({ id }) => id === held.id);
    if (kept === undefined) held?.release();
    const { salt, id } = kept ?? choices.reduce((best, each) => (queue(each) < queue(best) ? each : best));
    const release = kept !== undefined && held ? held.release : await this.#turnstile(id).pass(signal);
    try {
      await this.#find(id, { gateway, salt, offer });
    } catch (error) {
      release();
      throw error;
    }
    return { id, release, pay: (required) => this.#pay(id, salt, { ...required, accepts: [offer] }) };
  }

  /** Waits for the channel of a payment that is made again. */
  again({ channelId }: { channelId: Hex }, signal: AbortSignal): Promise<() => void> {
    return this.#turnstile(channelId).pass(signal);
  }

  /**
   * Takes a refusal of a voucher as news about the channel.
   * @returns whether a new voucher may be accepted.
   * @throws VerificationError channel_state_mismatch when it claims more than was signed, or less than receipts prove.
   */
  async correct({ voucher }: SignedPayment, required: PaymentRequired): Promise<boolean> {
    if (voucher === undefined || !WRONG_TOTAL.test(required.error ?? "")) return false;
    const offer = required.accepts.find(({ extra, ...rest }) => this.#isOf(voucher.channelId, { ...rest, extra }));
    if (offer === undefined) return false;
    const { complete, chargedWei, signedWei, salt } = this.ledger.known(voucher.channelId);
    const toldWei = parseStatement(offer.extra).channelState?.chargedCumulativeAmount;
    if (!complete && (toldWei === undefined || toldWei > signedWei)) {
      // a voucher that this store has not seen: our own signature proves it, or the chain, which the package asks
      const proven = await this.#lane(salt).scheme.processCorrectivePaymentRequired({ ...required, accepts: [offer] });
      if (!proven && toldWei !== undefined) this.ledger.believe(voucher.channelId, toldWei);
    } else if (toldWei !== undefined) {
      this.ledger.believe(voucher.channelId, toldWei);
    }
    return this.ledger.known(voucher.channelId).chargedWei !== chargedWei;
  }

  /** Asks a gateway to pay back what its channels hold unspent. Needs no transaction of ours. */
  async refund(gateway: string, url: string, send: typeof fetch): Promise<SettleResponse[]> {
    const settled: SettleResponse[] = [];
    for (const { id, salt, offer } of this.list(gateway)) {
      const { balanceWei, chargedWei } = this.ledger.known(id);
      if (balanceWei <= chargedWei) continue;
      const release = await this.#turnstile(id).pass(AbortSignal.timeout(60_000));
      try {
        settled.push(await this.#lane(salt).scheme.refund(url, { fetch: probeAnsweredBy(offer, send) }));
      } finally {
        release();
      }
    }
    return settled;
  }

  async #pay(id: Hex, salt: Hex, required: PaymentRequired): Promise<SignedPayment> {
    const channel = this.ledger.known(id);
    const [offer] = required.accepts;
    const maxClaimableWei = channel.chargedWei + BigInt(offer!.amount);
    const now = BigInt(Math.floor(Date.now() / 1000));
    const { deposit } = channel;
    if (deposit !== undefined && deposit.validBefore > now && deposit.maxClaimableWei === maxClaimableWei) {
      // it may still be made: another one would be a second
      return signedPayment(decodePaymentSignatureHeader(deposit.header));
    }
    const payment = signedPayment(await this.#lane(salt).client.createPaymentPayload(required));
    const { voucher, header } = payment;
    const depositWei = voucher?.depositWei;
    this.#options.store.put({
      ...this.ledger.known(id),
      signedWei: maxClaimableWei > channel.signedWei ? maxClaimableWei : channel.signedWei,
      ...(depositWei !== undefined && {
        deposit: { wei: depositWei, maxClaimableWei, header, validBefore: now + BigInt(offer!.maxTimeoutSeconds) },
      }),
    });
    return payment;
  }

  /** How much to deposit. @throws PaymentDeclinedError */
  #deposit({ channelId, minimumDepositAmount, paymentRequirements }: BatchSettlementDepositStrategyContext): bigint {
    const { depositWei, limits } = this.#options;
    const { balanceWei, chargedWei, deposit } = this.ledger.known(channelId.toLowerCase() as Hex);
    const neededWei = BigInt(minimumDepositAmount);
    const wanted = uint96Schema.safeParse(paymentRequirements.extra.minDeposit);
    const pendingWei = deposit === undefined || deposit.validBefore * 1000n < Date.now() ? 0n : deposit.wei;
    const unspentWei = balanceWei > chargedWei ? balanceWei - chargedWei : 0n;
    const roomWei = limits.maxDepositWei - unspentWei - pendingWei;
    if (neededWei > roomWei) {
      const pending = pendingWei > 0n ? `, and a deposit of ${pendingWei} wei that may still be made` : "";
      throw new PaymentDeclinedError(
        `The channel would hold more than ${limits.maxDepositWei} wei: it has ${unspentWei} unspent${pending}, and needs ${neededWei}`,
      );
    }
    const targets = [neededWei, depositWei, wanted.success ? wanted.data : 0n];
    const targetWei = targets.reduce((most, each) => (each > most ? each : most));
    return targetWei < roomWei ? targetWei : roomWei;
  }

  /** A channel this store does not know may be one that another store has forgotten. */
  async #find(id: Hex, { gateway, salt, offer }: Pick<Channel, "gateway" | "salt" | "offer">): Promise<void> {
    const { store, guard } = this.#options;
    const known = store.get(id);
    if (known !== undefined) {
      store.put({ ...(await this.#withoutOldDeposit(known)), gateway, offer });
      return;
    }
    const signer = guard.channels;
    const [balanceWei, claimedWei] =
      signer.readContract === undefined ? [0n, 0n] : await readChannelBalanceAndTotalClaimed(signer, id);
    store.put({
      id,
      gateway,
      salt,
      offer,
      balanceWei,
      chargedWei: claimedWei,
      unprovenWei: 0n,
      signedWei: claimedWei,
      complete: balanceWei === 0n && claimedWei === 0n && signer.readContract !== undefined,
    });
  }

  /** What became of a deposit, where it is known by now. */
  async #withoutOldDeposit(channel: Channel): Promise<Channel> {
    const { deposit, ...rest } = channel;
    if (deposit === undefined) return channel;
    const signer = this.#options.guard.channels;
    if (signer.readContract !== undefined) {
      const [balanceWei] = await readChannelBalanceAndTotalClaimed(signer, channel.id);
      if (balanceWei >= channel.balanceWei + deposit.wei) return { ...rest, balanceWei };
    }
    return deposit.validBefore * 1000n < BigInt(Date.now()) ? rest : channel;
  }

  #lane(salt: Hex): { scheme: BatchSettlementEvmScheme; client: x402Client } {
    const known = this.#lanes.get(salt);
    if (known !== undefined) return known;
    const { guard, limits } = this.#options;
    const { chainId, asset, maxPaymentWei, maxDepositWei } = limits;
    // the package caps deposits by a multiple of a payment
    const depositMultiplier = maxPaymentWei === 0n ? 3 : Math.max(3, Number(maxDepositWei / maxPaymentWei) + 1);
    const scheme = new BatchSettlementEvmScheme(guard.channels, {
      salt,
      storage: this.ledger.storage,
      depositPolicy: { depositMultiplier },
      depositStrategy: (context) => this.#deposit(context),
    });
    const network = `eip155:${chainId}` as const;
    const client = new x402Client().register(network, scheme).setSpendControls({
      allowedAssets: [{ network, asset, maxAmountPerPayment: maxPaymentWei.toString() }],
    });
    const lane = { scheme, client };
    this.#lanes.set(salt, lane);
    return lane;
  }

  #turnstile(id: Hex): Turnstile {
    const known = this.#turnstiles.get(id) ?? new Turnstile();
    this.#turnstiles.set(id, known);
    return known;
  }

  #isOf(id: Hex, offer: PaymentRequirements): boolean {
    return offer.scheme === "batch-settlement" && this.#idOf(offer, this.ledger.known(id).salt) === id;
  }

  #idOf(offer: PaymentRequirements, salt: Hex): Hex {
    const config = this.#lane(salt).scheme.buildChannelConfig(offer);
    return computeChannelId(config, offer.network).toLowerCase() as Hex;
  }
}
