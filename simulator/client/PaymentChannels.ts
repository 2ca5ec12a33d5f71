import { x402Client } from "@x402/core/client";
import { decodePaymentSignatureHeader } from "@x402/core/http";
import type { PaymentRequired, PaymentRequirements, SettleResponse } from "@x402/core/types";
import {
  BatchSettlementEvmScheme,
  computeChannelId,
  readChannelBalanceAndTotalClaimed,
  type BatchSettlementDepositStrategyContext,
  type ClientChannelStorage,
} from "@x402/evm/batch-settlement/client";
import { toBeHex } from "ethers";
import { uint96Schema, type Hex } from "../receipts/types.ts";
import type { Channel, ChannelStore } from "./ChannelStore.ts";
import { falseState, parseStatement } from "./channelStatement.ts";
import { PaymentDeclinedError } from "./ClientError.ts";
import { probeAnsweredBy } from "./probeAnsweredBy.ts";
import type { PaymentLimits } from "./PaymentLimits.ts";
import { signedPayment, type SignedPayment, type Voucher } from "./SignedPayment.ts";
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
 * The payer's channels. x402's own client signs deposits and vouchers; what has been charged is counted here, from receipts, and a gateway's word
 * for it is taken only as far as it can be: up to the voucher of a request whose answer was lost.
 *
 * One request at a time has a channel, since its voucher is for the sum so far and the next price. More at once take more channels.
 */
export class PaymentChannels {
  readonly #options: PaymentChannelsOptions;
  readonly #turnstiles = new Map<Hex, Turnstile>();
  readonly #lanes = new Map<Hex, { scheme: BatchSettlementEvmScheme; client: x402Client }>();

  constructor(options: PaymentChannelsOptions) {
    this.#options = options;
  }

  /** The most that a voucher may be for: what is charged, and one request more. */
  ceilingWei(id: Hex): bigint | undefined {
    const channel = this.#options.store.get(id);
    return channel && channel.chargedWei + this.#options.limits.maxPaymentWei;
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

  /** Counts a fee that a receipt proves. */
  charge({ voucher }: SignedPayment, feeWei: bigint): void {
    if (voucher === undefined) return;
    const channel = this.#known(voucher.channelId);
    const totalWei = voucher.baseWei + feeWei;
    // the gateway may have told of it before, when the answer was lost: then it is proven now
    const told = totalWei <= channel.chargedWei;
    this.#options.store.put({
      ...channel,
      chargedWei: told ? channel.chargedWei : totalWei,
      unprovenWei: told && channel.unprovenWei >= feeWei ? channel.unprovenWei - feeWei : channel.unprovenWei,
    });
    this.deposited(voucher);
  }

  /** The deposit that came with a voucher was made. */
  deposited({ channelId, depositWei }: Voucher): void {
    const { deposit, ...channel } = this.#known(channelId);
    if (deposit === undefined || depositWei === undefined) return;
    this.#options.store.put({ ...channel, balanceWei: channel.balanceWei + deposit.wei });
  }

  /**
   * Compares what PAYMENT-RESPONSE says of the channel with the receipt.
   * @throws VerificationError channel_state_mismatch
   */
  checkStatement({ voucher }: SignedPayment, extra: unknown, feeWei: bigint): void {
    if (voucher === undefined || extra === undefined) return;
    const { chargedAmount, channelState } = parseStatement(extra);
    if (channelState?.channelId !== undefined && channelState.channelId !== voucher.channelId) {
      throw falseState(`The answer is for channel ${channelState.channelId}, not for ${voucher.channelId}`);
    }
    if (chargedAmount !== undefined && chargedAmount !== feeWei) {
      throw falseState(`The gateway says it charged ${chargedAmount} wei, and its receipt says ${feeWei}`);
    }
    const total = channelState?.chargedCumulativeAmount;
    if (total !== undefined && total !== voucher.baseWei + feeWei) {
      throw falseState(
        `The gateway says it charged ${total} wei in all, and the receipts say ${voucher.baseWei + feeWei}`,
      );
    }
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
    const { complete, chargedWei, signedWei, salt } = this.#known(voucher.channelId);
    const toldWei = parseStatement(offer.extra).channelState?.chargedCumulativeAmount;
    if (!complete && (toldWei === undefined || toldWei > signedWei)) {
      // a voucher that this store has not seen: our own signature proves it, or the chain, which the package asks
      const proven = await this.#lane(salt).scheme.processCorrectivePaymentRequired({ ...required, accepts: [offer] });
      if (!proven && toldWei !== undefined) this.#believe(voucher.channelId, toldWei);
    } else if (toldWei !== undefined) {
      this.#believe(voucher.channelId, toldWei);
    }
    return this.#known(voucher.channelId).chargedWei !== chargedWei;
  }

  /** Asks a gateway to pay back what its channels hold unspent. Needs no transaction of ours. */
  async refund(gateway: string, url: string, send: typeof fetch): Promise<SettleResponse[]> {
    const settled: SettleResponse[] = [];
    for (const { id, salt, offer } of this.list(gateway)) {
      const { balanceWei, chargedWei } = this.#known(id);
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
    const channel = this.#known(id);
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
      ...this.#known(id),
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
    const { balanceWei, chargedWei, deposit } = this.#known(channelId.toLowerCase() as Hex);
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

  /** A gateway's word on what it has charged altogether. */
  #believe(id: Hex, chargedWei: bigint): void {
    const channel = this.#known(id);
    if (chargedWei > channel.signedWei) {
      throw falseState(
        `The gateway claims ${chargedWei} wei of channel ${id}, and no voucher is for more than ${channel.signedWei}`,
      );
    }
    if (chargedWei < channel.chargedWei - channel.unprovenWei) {
      throw falseState(
        `The gateway knows of ${chargedWei} wei of channel ${id} only, and its receipts are for ${channel.chargedWei}`,
      );
    }
    const unprovenWei = channel.unprovenWei + chargedWei - channel.chargedWei;
    this.#options.store.put({ ...channel, chargedWei, unprovenWei: unprovenWei > 0n ? unprovenWei : 0n });
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
      storage: this.#storage,
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

  /** The package's view of the store. What it writes is a gateway's word, or a refund we asked for. */
  readonly #storage: ClientChannelStorage = {
    get: (key) => {
      const { balanceWei, chargedWei } = this.#known(key as Hex);
      return Promise.resolve({ balance: balanceWei.toString(), chargedCumulativeAmount: chargedWei.toString() });
    },
    set: (key, { chargedCumulativeAmount, balance, signedMaxClaimable, totalClaimed }) => {
      const channel = this.#known(key as Hex);
      // it has found our signature on this voucher, or the chain has
      const signedWei = max(BigInt(signedMaxClaimable ?? 0), BigInt(totalClaimed ?? 0));
      const balanceWei = BigInt(balance ?? channel.balanceWei);
      this.#options.store.put({ ...channel, balanceWei, signedWei: max(signedWei, channel.signedWei) });
      if (chargedCumulativeAmount !== undefined) this.#believe(channel.id, BigInt(chargedCumulativeAmount));
      return Promise.resolve();
    },
    delete: (key) => {
      // refunded: nothing is left to spend, but what was charged stays so for the next deposit
      const channel = this.#known(key as Hex);
      this.#options.store.put({ ...channel, balanceWei: channel.chargedWei });
      return Promise.resolve();
    },
  };

  #known(id: Hex): Channel {
    const channel = this.#options.store.get(id);
    if (channel === undefined) throw falseState(`Channel ${id} is not ours`);
    return channel;
  }

  #turnstile(id: Hex): Turnstile {
    const known = this.#turnstiles.get(id) ?? new Turnstile();
    this.#turnstiles.set(id, known);
    return known;
  }

  #isOf(id: Hex, offer: PaymentRequirements): boolean {
    return offer.scheme === "batch-settlement" && this.#idOf(offer, this.#known(id).salt) === id;
  }

  #idOf(offer: PaymentRequirements, salt: Hex): Hex {
    const config = this.#lane(salt).scheme.buildChannelConfig(offer);
    return computeChannelId(config, offer.network).toLowerCase() as Hex;
  }
}

const max = (a: bigint, b: bigint): bigint => (a > b ? a : b);
