import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { x402Client } from "@x402/core/client";
import type { PaymentRequired, PaymentRequirements, SettleResponse } from "@x402/core/types";
import { ExactEvmScheme } from "@x402/evm/exact/client";
import { UptoEvmScheme } from "@x402/evm/upto/client";
import type { Provider, Signer } from "ethers";
import type { Tariff } from "../receipts/tariff.ts";
import type { Channel, ChannelStore } from "./ChannelStore.ts";
import { PaymentDeclinedError, VerificationError } from "./ClientError.ts";
import { isBusy, isSuccess, requiredBy, withoutState } from "./gatewayReplies.ts";
import { toRequest, type OutgoingRequest } from "./OutgoingRequest.ts";
import { OutstandingPayments } from "./OutstandingPayments.ts";
import { PaymentChannels } from "./PaymentChannels.ts";
import { choose, type PaymentLimits } from "./PaymentLimits.ts";
import { targetOf } from "./requestTarget.ts";
import { IDEMPOTENCY_HEADER, signedPayment, tariffOf, type SignedPayment } from "./SignedPayment.ts";
import { UptoSessions } from "./UptoSessions.ts";
import { WalletGuard } from "./WalletGuard.ts";

export interface PayerOptions {
  /** Signs payments; needs no ETH. */
  wallet: Signer;
  limits: PaymentLimits;
  /** Reads allowances and channels. */
  provider?: Provider | undefined;
  /** Whether an `upto` authorization pays for several requests. */
  sessions: boolean;
  channels: { store: ChannelStore; depositWei: bigint; perGateway: number };
}

/** A payment under way. One of `accept`, `reject` and `release` of its payer ends it. */
export interface OpenPayment extends SignedPayment {
  /** Its authorization was signed for an earlier request. */
  reused?: true;
  /** Lets the next request have the channel. */
  free?: () => void;
}

export interface Paid {
  response: Response;
  payment?: OpenPayment;
}

type OnPaid = (payment: OpenPayment) => void;

/** A session or a voucher that is refused is followed by a new one; a new one that is refused too, by another if the channel's sum was wrong. */
const MAX_PAYMENTS = 3;

/** How often, and at first after which time, a voucher is sent again whose channel is busy. */
const MAX_WAITS = 6;
const BUSY_PAUSE_MS = 50;

/**
 * Pays what a gateway asks for, within the limits it is given: with x402's unmodified client schemes, behind a guard that signs nothing else.
 * Payments are reused where their scheme lets them: an `upto` authorization until it is used up, a channel while it is open.
 */
export class Payer {
  readonly #options: PayerOptions;
  readonly #sessions = new UptoSessions();
  readonly #outstanding: OutstandingPayments;
  #started: Promise<{ client: x402Client; channels: PaymentChannels }> | undefined;

  constructor(options: PayerOptions) {
    this.#options = options;
    this.#outstanding = new OutstandingPayments(options.limits.maxOutstandingWei);
  }

  /**
   * Sends a request; asked to pay, pays and sends it again.
   * @param earlier what it was paid by before, without an answer: it is sent again, unless it turns out to be of no use any more.
   * @param onPaid sees a payment before it leaves.
   * @throws PaymentDeclinedError, VerificationError channel_state_mismatch
   */
  async send(send: typeof fetch, request: OutgoingRequest, onPaid: OnPaid, earlier?: SignedPayment): Promise<Paid> {
    let payment = earlier === undefined ? this.#session(request) : await this.#again(earlier, request.signal);
    let response = await this.#transmit(send, request, payment, onPaid);
    // every payment for a request has the same key
    const key = (): string => payment?.idempotencyKey ?? keyOf(request);
    for (let paid = 0; response.status === 402 && paid < MAX_PAYMENTS; paid++) {
      const required = requiredBy(response);
      if (payment !== undefined && !(await this.#mayBeFollowed(payment, required))) break;
      // others may use the next session up too: the one after is this request's own
      payment = await this.#pay(required, request, key(), paid > 0, payment);
      response = await this.#transmit(send, request, payment, onPaid);
    }
    return { response, ...(payment !== undefined && { payment }) };
  }

  /** A receipt proves that the request cost `feeWei`. */
  async accept(payment: OpenPayment, feeWei: bigint): Promise<void> {
    const session = this.#sessions.find(payment);
    if (session !== undefined) session.spentWei += feeWei;
    this.#outstanding.explain(payment, feeWei);
    if (payment.voucher !== undefined) (await this.#start()).channels.ledger.charge(payment, feeWei);
    payment.free?.();
  }

  /** The answer was false: nothing more is paid by the same authorization. */
  reject(payment: OpenPayment): void {
    this.#sessions.end(payment);
    payment.free?.();
  }

  /** No answer came, so far. */
  release(payment: OpenPayment): void {
    payment.free?.();
  }

  /** The request failed, and costs nothing. @param stated PAYMENT-RESPONSE: a deposit that came with it may have been made all the same. */
  async fail(payment: OpenPayment, stated: string | null): Promise<void> {
    if (payment.voucher?.depositWei !== undefined && isSuccess(stated)) {
      (await this.#start()).channels.ledger.deposited(payment.voucher);
    }
    payment.free?.();
  }

  /** What the receipts of an `upto` authorization have left of it, wei. */
  leftWei(payment: SignedPayment): bigint {
    return payment.authorization.valueWei - (this.#sessions.find(payment)?.spentWei ?? 0n);
  }

  /**
   * Compares what PAYMENT-RESPONSE says of a channel with the receipt.
   * @throws VerificationError channel_state_mismatch
   */
  async checkStatement(payment: SignedPayment, extra: unknown, feeWei: bigint): Promise<void> {
    if (payment.voucher !== undefined) (await this.#start()).channels.ledger.checkStatement(payment, extra, feeWei);
  }

  /** The channels with a gateway, or all. */
  async channels(gateway?: string): Promise<Channel[]> {
    return (await this.#start()).channels.list(gateway);
  }

  /** Has a gateway pay back what its channels hold unspent. @param url one of its paid routes. */
  async refund(send: typeof fetch, url: string): Promise<SettleResponse[]> {
    return (await this.#start()).channels.refund(new URL(url).origin, url, send);
  }

  async #transmit(
    send: typeof fetch,
    request: OutgoingRequest,
    payment: OpenPayment | undefined,
    onPaid: OnPaid,
  ): Promise<Response> {
    if (payment !== undefined) onPaid(payment);
    try {
      for (let waits = 0; ; waits++) {
        const response = await send(toRequest(request, payment));
        // what was asked before, and given up here, may still have the channel there
        if (payment?.voucher === undefined || waits === MAX_WAITS || !isBusy(response)) return response;
        await pause(BUSY_PAUSE_MS * 2 ** waits, undefined, { signal: request.signal });
      }
    } catch (error) {
      payment?.free?.();
      throw error;
    }
  }

  #session(request: OutgoingRequest): OpenPayment | undefined {
    if (!this.#options.sessions) return undefined;
    const found = this.#sessions.forTarget(targetOf(request), systemSeconds());
    return found && forRequest(found.session.payment, found.tariff, keyOf(request), true);
  }

  async #again(earlier: SignedPayment, signal: AbortSignal): Promise<OpenPayment> {
    if (earlier.voucher === undefined) return { ...earlier, reused: true };
    const { channels } = await this.#start();
    return { ...earlier, free: await channels.again(earlier.voucher, signal) };
  }

  /** Whether another payment may be made for a request whose payment was refused. */
  async #mayBeFollowed(payment: OpenPayment, required: PaymentRequired | undefined): Promise<boolean> {
    if (required === undefined) return false;
    if (payment.voucher !== undefined) return this.#correct(payment, required);
    this.#sessions.end(payment);
    // a new authorization was refused for what it is, a fixed price for good
    return payment.authorization.scheme === "upto" && payment.reused === true;
  }

  async #correct(payment: OpenPayment, required: PaymentRequired): Promise<boolean> {
    try {
      return await (await this.#start()).channels.correct(payment, required);
    } catch (error) {
      payment.free?.();
      throw error;
    }
  }

  /** @param refused the payment that this one follows; its channel is held. */
  async #pay(
    required: PaymentRequired | undefined,
    request: OutgoingRequest,
    key: string,
    alone: boolean,
    refused?: OpenPayment,
  ): Promise<OpenPayment> {
    if (required === undefined) {
      throw new PaymentDeclinedError("The gateway answers 402 and does not say, as x402 v2, what it wants");
    }
    const { offer, objections } = choose(required.accepts.map(withoutState), this.#options.limits);
    if (offer?.scheme !== "batch-settlement") refused?.free?.();
    if (offer === undefined) {
      const why = objections.length === 0 ? "the gateway names no way to pay" : objections.join("; ");
      throw new PaymentDeclinedError(`The payment asked for was not made: ${why}`);
    }
    try {
      return await this.#sign({ ...required, accepts: [offer] }, offer, request, key, alone, refused);
    } catch (error) {
      if (error instanceof PaymentDeclinedError || error instanceof VerificationError) throw error;
      if (request.signal.aborted) throw error;
      const why = error instanceof Error ? error.message : String(error);
      throw new PaymentDeclinedError(`The payment asked for was not made: ${why}`, { cause: error });
    }
  }

  async #sign(
    required: PaymentRequired,
    offer: PaymentRequirements,
    request: OutgoingRequest,
    key: string,
    alone: boolean,
    refused?: OpenPayment,
  ): Promise<OpenPayment> {
    const { client, channels } = await this.#start();
    const gateway = new URL(request.url).origin;
    if (offer.scheme === "batch-settlement") {
      const before = refused?.voucher && refused.free && { id: refused.voucher.channelId, release: refused.free };
      const held = await channels.hold(offer, gateway, request.signal, before);
      try {
        return { ...(await held.pay(required)), free: held.release };
      } catch (error) {
        held.release();
        throw error;
      }
    }
    const sign = async (): Promise<SignedPayment> => {
      this.#outstanding.requireRoom(BigInt(offer.amount), systemSeconds());
      const payment = signedPayment(await client.createPaymentPayload(required));
      this.#outstanding.add(payment);
      return payment;
    };
    if (offer.scheme === "exact") return sign();
    const tariff = tariffOf(offer);
    if (!this.#options.sessions || alone) return forRequest(await sign(), tariff, key, false);
    const terms = { gateway, offer, target: targetOf(request) };
    const { session, isNew } = await this.#sessions.forTerms(terms, systemSeconds(), sign);
    return forRequest(session.payment, tariff, key, !isNew);
  }

  #start(): Promise<{ client: x402Client; channels: PaymentChannels }> {
    this.#started ??= this.#build();
    return this.#started;
  }

  async #build(): Promise<{ client: x402Client; channels: PaymentChannels }> {
    const { wallet, limits, provider, channels: options } = this.#options;
    const { chainId, asset, maxPaymentWei, maxSessionWei } = limits;
    const guard: WalletGuard = await WalletGuard.over({
      wallet,
      limits,
      provider,
      voucherCeilingWei: (id) => channels.ledger.ceilingWei(id),
    });
    const channels = new PaymentChannels({
      store: options.store,
      limits,
      guard,
      depositWei: options.depositWei,
      channelsPerGateway: options.perGateway,
    });
    const network = `eip155:${chainId}` as const;
    const most = maxPaymentWei > maxSessionWei ? maxPaymentWei : maxSessionWei;
    const client = new x402Client()
      .register(network, new ExactEvmScheme(guard.payments))
      .register(network, new UptoEvmScheme(guard.payments))
      // by default the client pays in assets it knows only
      .setSpendControls({ allowedAssets: [{ network, asset, maxAmountPerPayment: most.toString() }] });
    return { client, channels };
  }
}

/** An `upto` authorization, used for one request. */
const forRequest = (
  { header, authorization }: SignedPayment,
  tariff: Tariff | undefined,
  idempotencyKey: string,
  wasUsed: boolean,
): OpenPayment => ({
  header,
  authorization: { ...authorization, ...(tariff !== undefined && { tariff }) },
  idempotencyKey,
  ...(wasUsed && { reused: true }),
});

/** The application's own, if it has one. */
const keyOf = ({ headers }: OutgoingRequest): string => headers.get(IDEMPOTENCY_HEADER) ?? randomUUID();

const systemSeconds = (): number => Math.floor(Date.now() / 1000);
