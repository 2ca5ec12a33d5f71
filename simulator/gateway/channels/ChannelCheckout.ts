import type { PaidAnswer, TeeSignature } from "../../nodes/PaidAnswers.ts";
import { NodeError } from "../../nodes/NodeError.ts";
import type { NodePayment } from "../../nodes/paymentHeader.ts";
import type { SettlementType } from "../../receipts/settlementType.ts";
import type { RequestBody } from "../../nodes/RequestBody.ts";
import { requestHash } from "../../receipts/requestHash.ts";
import { channelScope, requestIdForPayment } from "../../receipts/requestId.ts";
import { feeOf } from "../../receipts/tariff.ts";
import type { Hex, SettlementDomain, SignedReceipt } from "../../receipts/types.ts";
import type { GatewayError } from "../GatewayError.ts";
import type { Channel } from "./Channel.ts";
import type { ChannelBook } from "./ChannelBook.ts";
import { NOBODY, type ChannelHasher } from "./channelConfig.ts";
import type { ChannelPayment } from "./ChannelPayment.ts";
import { channelUncheckable, ChannelRefusal } from "./ChannelRefusal.ts";
import { REASONS } from "./channelReasons.ts";
import type { ChannelSeller, Quote, QuoteRequest, SoldRequest } from "./ChannelSeller.ts";
import type { ChannelStore } from "./ChannelStore.ts";
import type { ChannelTerms } from "./ChannelTerms.ts";
import { voucherSigner } from "./voucherSigner.ts";

/** An answer that is paid for and stored. */
export interface Delivered {
  text: string;
  receipt: SignedReceipt;
  /** Wei charged through the channel, ever, this request included. */
  chargedWei: bigint;
}

/** What a voucher bought. */
export interface Purchase {
  channel: Channel<Delivered>;
  answer: PaidAnswer;
  /** Resolves when the answer and its charge are durable; rejects with what it failed with, and then nothing was charged. */
  outcome: Promise<Delivered>;
  /** Told of each piece of a stream that goes out, so that it is charged if it is cut. */
  onPiece?: () => void;
  /** Of an answer that was given before, where its receipt is settled. */
  place?: ReturnType<ChannelSeller["placeOf"]>;
}

/** A request, who serves it, and at most for what. */
interface Sale {
  seller: ChannelSeller;
  request: SoldRequest;
  quote: Quote;
  capWei: bigint;
  teeSignature?: TeeSignature | undefined;
}

export interface ChannelCheckoutOptions {
  sellers: readonly ChannelSeller[];
  domain: SettlementDomain;
  terms: ChannelTerms;
  book: ChannelBook<Delivered>;
  store: ChannelStore;
  hasher: ChannelHasher;
  quote: QuoteRequest;
  /** Asks the chain whether a contract has signed a voucher. @returns x402's reason, or undefined. */
  verifyContract: (payment: ChannelPayment, capWei: bigint, payTo: Hex) => Promise<string | undefined>;
  /** Puts a deposit on the chain, and its channel into the books. @returns undefined when it was there already. */
  deposit: (payment: ChannelPayment, capWei: bigint, payTo: Hex) => Promise<Deposited | undefined>;
}

/** A deposit that came with a request. */
export interface Deposited {
  channel: Channel<Delivered>;
  transaction: string;
}

export interface BuyOptions {
  /** Of the request's header, if any. */
  idempotencyKey: string | undefined;
  /** How the client wants its receipt settled. */
  settlement?: SettlementType | undefined;
  /** Told who pays, before anything is done for it; throws to refuse. */
  admit: ((payer: Hex) => Promise<void> | void) | undefined;
  /** Gets the money that went into the channel, whatever becomes of the request. */
  made: { deposited?: Deposited };
  /** How an enclave is to sign the answer. */
  teeSignature?: TeeSignature | undefined;
}

/** Pieces of a stream between notes of how far it got. */
const CHECKPOINT_PIECES = 64;

/** Exchanges vouchers for answers: the same voucher with the same request again gets the same answer, and nothing else gets it. */
export class ChannelCheckout {
  readonly #options: ChannelCheckoutOptions;

  constructor(options: ChannelCheckoutOptions) {
    this.#options = options;
  }

  /**
   * @throws ChannelRefusal 402, GatewayError, NodeError
   */
  async buy(
    payment: ChannelPayment,
    body: RequestBody,
    { idempotencyKey, settlement, admit, made, teeSignature }: BuyOptions,
  ): Promise<Purchase> {
    const { book, terms } = this.#options;
    const sale = { ...this.#sale(payment, body), teeSignature };
    const { payout } = sale.seller;
    const refusal = terms.refusalOf(payment.config, payout);
    if (refusal !== undefined) throw new ChannelRefusal(refusal);
    book.requireId(payment.channelId, payment.config);
    const paid = this.#paymentFor(payment, sale, body, { idempotencyKey, settlement });
    const known = book.get(payment.channelId);
    if (payment.type === "deposit" && !this.#isSpent(known, payment, sale.capWei)) {
      const deposited = await this.#options.deposit(payment, sale.capWei, payout);
      if (deposited !== undefined) made.deposited = deposited;
    }
    let channel = book.get(payment.channelId) ?? (await book.adopt(payment.channelId, payment.config));
    if (book.isStale(channel)) channel = await book.refresh(channel);
    return this.#exchange(channel, payment, sale, paid, admit);
  }

  /** The first node that serves the request by the terms that were accepted. */
  #sale({ accepted }: ChannelPayment, body: RequestBody): Sale {
    const { sellers, terms, quote } = this.#options;
    let failure: Error | undefined;
    for (const seller of sellers) {
      let request: SoldRequest;
      try {
        request = seller.read(body);
      } catch (error) {
        if (!(error instanceof NodeError)) throw error;
        failure ??= error;
        continue;
      }
      const price = quote(request.prepared.offer, { bytes: body.bytes, maxOutputTokens: body.maxOutputTokens });
      const capWei = terms.capOf(accepted, seller.payout, price.leastWei ?? price.capWei);
      if (capWei !== undefined) return { seller, request, quote: price, capWei };
      failure = new ChannelRefusal(REASONS.terms);
    }
    throw failure ?? new ChannelRefusal(REASONS.terms);
  }

  #paymentFor(
    { config, channelId, maxClaimableAmount }: ChannelPayment,
    { seller, quote, capWei }: Sale,
    { kind, bytes, bodyHash }: RequestBody,
    { idempotencyKey, settlement }: Pick<BuyOptions, "idempotencyKey" | "settlement">,
  ): NodePayment {
    const hash: Hex = idempotencyKey === undefined ? `0x${bodyHash}` : requestHash(kind, bytes, idempotencyKey);
    return {
      asset: seller.asset,
      payer: config.payer,
      nonce: channelId,
      scope: channelScope(maxClaimableAmount, hash),
      feeWei: capWei,
      tariff: quote.tariff,
      settlement,
    };
  }

  /** Whether a deposit's voucher is one of those that are charged already: its deposit is on the chain too. */
  #isSpent(known: Channel | undefined, { maxClaimableAmount }: ChannelPayment, capWei: bigint): boolean {
    return known !== undefined && maxClaimableAmount !== known.ledger.chargedWei + capWei;
  }

  async #exchange(
    channel: Channel<Delivered>,
    payment: ChannelPayment,
    sale: Sale,
    paid: NodePayment,
    admit: BuyOptions["admit"],
  ): Promise<Purchase> {
    const { domain } = this.#options;
    const requestId = requestIdForPayment(domain, sale.seller.operator, paid);
    const refusal = channel.refusal(payment.maxClaimableAmount, sale.capWei);
    if (refusal !== undefined && refusal !== REASONS.cumulative) throw new ChannelRefusal(refusal);
    const signed = await this.#isSigned(channel, payment, sale);
    if (signed) await admit?.(channel.config.payer);
    // from here to the reservation nothing else runs
    const { busy } = channel;
    if (busy !== undefined) {
      if (!signed) throw new ChannelRefusal(REASONS.signature);
      if (busy.requestId !== requestId) throw new ChannelRefusal(REASONS.busy);
      return this.#known(channel, payment, sale, paid) ?? fail(new ChannelRefusal(REASONS.busy));
    }
    const again = channel.refusal(payment.maxClaimableAmount, sale.capWei);
    if (again === REASONS.cumulative) {
      const bought = signed ? this.#known(channel, payment, sale, paid) : undefined;
      return bought ?? fail(new ChannelRefusal(REASONS.cumulative, { channel }));
    }
    if (again !== undefined) throw new ChannelRefusal(again);
    if (!signed) throw new ChannelRefusal(REASONS.signature);
    return sale.request.prepared.streamed
      ? this.#stream(channel, payment, sale, paid, requestId)
      : this.#begin(channel, payment, sale, paid, requestId);
  }

  #isSigned(channel: Channel, payment: ChannelPayment, sale: Sale): boolean | Promise<boolean> {
    const { payerAuthorizer } = channel.config;
    const { hasher, verifyContract } = this.#options;
    if (payerAuthorizer !== NOBODY) {
      const digest = hasher.voucher(channel.id, payment.maxClaimableAmount);
      return voucherSigner(digest, payment.signature) === payerAuthorizer;
    }
    return verifyContract(payment, sale.capWei, sale.seller.payout).then(
      (reason) => reason === undefined,
      (error: unknown) => {
        throw channelUncheckable(error);
      },
    );
  }

  /** The answer that this voucher has bought with this request, stored or under way. */
  #known(
    channel: Channel<Delivered>,
    { maxClaimableAmount }: ChannelPayment,
    { seller, request, capWei }: Sale,
    paid: NodePayment,
  ): Purchase | undefined {
    const answer = seller.bought(request.body, paid);
    if (answer === undefined) return undefined;
    const { busy } = channel;
    if (busy?.requestId === answer.requestId) return { channel, answer, outcome: busy.outcome };
    const outcome = answer.whole().then((text) => {
      const receipt = answer.receipt!;
      const chargedWei = maxClaimableAmount - capWei + receipt.receipt.fee;
      return {
        text,
        receipt,
        chargedWei: chargedWei < channel.ledger.chargedWei ? chargedWei : channel.ledger.chargedWei,
      };
    });
    return { channel, answer, outcome, place: seller.placeOf(answer.requestId) };
  }

  #begin(
    channel: Channel<Delivered>,
    { maxClaimableAmount, signature }: ChannelPayment,
    { seller, request, teeSignature = "plain" }: Sale,
    paid: NodePayment,
    requestId: Hex,
  ): Purchase {
    const { store } = this.#options;
    const before = channel.ledger.chargedWei;
    let charged = false;
    const answer = seller.serve(
      request,
      paid,
      ({ receipt }) => {
        charged = true;
        store.charge(channel, before + receipt.fee, maxClaimableAmount, signature);
      },
      // no voucher for as much has bought anything yet
      { isNew: maxClaimableAmount > channel.highestWei, teeSignature, requestId },
    );
    const outcome = answer.whole().then(
      (text): Delivered => {
        const receipt = answer.receipt!;
        const chargedWei = before + (charged ? receipt.receipt.fee : 0n);
        // a stored answer was charged when it was made
        if (charged) channel.ledger = { chargedWei, maxClaimableWei: maxClaimableAmount, signature };
        if (maxClaimableAmount > channel.highestWei) channel.highestWei = maxClaimableAmount;
        channel.usedAtMs = Date.now();
        channel.busy = undefined;
        return { text, receipt, chargedWei };
      },
      (error: unknown) => {
        channel.busy = undefined;
        throw error;
      },
    );
    outcome.catch(() => undefined);
    channel.busy = { requestId, outcome };
    return { channel, answer, outcome };
  }

  /** A stream gives before its end: its voucher is durable before its first byte, and how far it got is noted on the way. */
  async #stream(
    channel: Channel<Delivered>,
    payment: ChannelPayment,
    sale: Sale,
    paid: NodePayment,
    requestId: Hex,
  ): Promise<Purchase> {
    const { store } = this.#options;
    const { maxClaimableAmount: maxWei, signature } = payment;
    const before = channel.ledger.chargedWei;
    const starting = Promise.withResolvers<Delivered>();
    starting.promise.catch(() => undefined);
    channel.busy = { requestId, outcome: starting.promise };
    let purchase: Purchase;
    try {
      await store.pend(channel.id, { maxWei, signature, chargedWei: before });
      purchase = this.#begin(channel, payment, sale, paid, requestId);
    } catch (error) {
      channel.busy = undefined;
      starting.reject(error);
      void store.release(channel.id).catch(() => undefined);
      throw error;
    }
    purchase.outcome.then(starting.resolve, (error: unknown) => {
      starting.reject(error);
      void store.release(channel.id).catch(() => undefined);
    });
    let pieces = 0;
    const onPiece = (): void => {
      if (++pieces % CHECKPOINT_PIECES !== 0 || sale.quote.tariff === undefined) return;
      if (channel.busy?.requestId !== requestId) return;
      const fee = feeOf(sale.quote.tariff, { inputTokens: 0, outputTokens: pieces }, sale.capWei);
      // when this fails, so does the charge
      void store.note(channel.id, { maxWei, signature, chargedWei: before + fee }).catch(() => undefined);
    };
    return { ...purchase, onPiece };
  }
}

function fail(error: GatewayError): never {
  throw error;
}
