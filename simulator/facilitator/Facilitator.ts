import type { FacilitatorClient } from "@x402/core/server";
import type {
  Network,
  PaymentPayload,
  PaymentRequirements,
  SettleResponse,
  SupportedResponse,
  VerifyResponse,
} from "@x402/core/types";
import type { Signer } from "ethers";
import type { Logger } from "pino";
import type { Chain } from "../chain/connectChain.ts";
import { TransactionSubmitter } from "../chain/TransactionSubmitter.ts";
import type { Hex } from "../receipts/types.ts";
import { ChannelRail, type ClaimChannels } from "./ChannelRail.ts";
import type { ChannelState } from "./channelState.ts";
import { paymentOutcome } from "./outcome/paymentOutcome.ts";
import { parsePayment, type AnyPayment } from "./parsePayment.ts";
import { invalid, PaymentChecks } from "./PaymentChecks.ts";
import { PaymentError } from "./PaymentError.ts";
import type { DeadLetterPage, PaymentJob, PaymentStore } from "./PaymentStore.ts";
import { PaymentSettler } from "./PaymentSettler.ts";
import type { ChannelPayments, DeferredPayments, EnqueueOptions, SettleOptions } from "./SellerServices.ts";
import { DEFAULT_SETTLER_OPTIONS, type PaymentSettlerOptions } from "./settlerOptions.ts";
import { SqlitePaymentStore } from "./SqlitePaymentStore.ts";

export interface FacilitatorOptions {
  chain: Chain;
  /** Pays the gas, e.g. `new Wallet(privateKey)`. Its account must not be used elsewhere at the same time. */
  signer: Signer;
  /** Where payments are kept: a store, closed with the facilitator, or the file of a SQLite one. */
  outboxFile: string | PaymentStore;
  logger: Logger;
  /** Blocks a payment has to be under, its own included. Default 1. */
  confirmations?: number;
  settler?: Partial<PaymentSettlerOptions>;
  /**
   * Signs claims and refunds for receivers whose channels name it as their authorizer. Whoever can reach `settle` can then refund any
   * of those channels: set it only where `settle` is authenticated. Default: receivers sign themselves.
   */
  receiverAuthorizer?: Signer;
  /**
   * Tokens whose transfers fail for want of balance, allowance or a good authorization and for nothing else, as OPG's: payments in them
   * are verified without simulating the transfer. Default none.
   */
  plainTokens?: readonly Hex[];
}

/**
 * x402 v2 facilitator on one EVM chain: `exact` (ERC-3009 and Permit2), `upto` and `batch-settlement`, with any token. Verification is
 * `@x402/evm`'s; settlement goes through a durable outbox, at once (`settle`) or later (`enqueue`).
 */
export class Facilitator implements FacilitatorClient, DeferredPayments, ChannelPayments {
  readonly network: Network;
  /** Says what became of each payment: events "settled" and "dead". */
  readonly settler: PaymentSettler;
  readonly store: PaymentStore;
  readonly #options: FacilitatorOptions;
  readonly #channels: ChannelRail;
  readonly #checks: PaymentChecks;
  readonly #confirmationTimeoutMs: number;
  /** Keys of the calls of `settle` under way. */
  readonly #settling = new Set<string>();
  /** Keys whose sellers were told to ask again. */
  readonly #unanswered = new Set<string>();

  constructor(options: FacilitatorOptions) {
    const { chain, signer, outboxFile, logger, confirmations = 1, settler = {}, receiverAuthorizer } = options;
    this.network = `eip155:${chain.chainId}`;
    this.#options = options;
    this.store = typeof outboxFile === "string" ? new SqlitePaymentStore(outboxFile) : outboxFile;
    const submitter = new TransactionSubmitter({ chain, signer, logger, confirmations });
    const explain = async (payment: AnyPayment): Promise<string | undefined> =>
      (await this.#checks.checkSettlement(payment)).invalidReason;
    this.settler = new PaymentSettler({ store: this.store, chain, submitter, logger, explain }, settler);
    this.#confirmationTimeoutMs = { ...DEFAULT_SETTLER_OPTIONS, ...settler }.confirmationTimeoutMs;
    const { network } = this;
    const channels = (this.#channels = new ChannelRail({
      network,
      provider: chain.provider,
      authorizer: receiverAuthorizer,
    }));
    this.#checks = new PaymentChecks({ ...options, network, channels });
  }

  async start(): Promise<void> {
    await this.#checks.start();
    await this.settler.start();
  }

  /** Lets payments under way end; the rest stays in the outbox. */
  async stop(): Promise<void> {
    await this.settler.stop();
    await this.store.close();
  }

  /** Kinds, extensions and signers, as stock resource servers ask for them. */
  getSupported(): Promise<SupportedResponse> {
    return Promise.resolve(this.#checks.supported());
  }

  /**
   * Signature, terms, time window, and a simulation of the settlement on the chain as it is now; of an `upto` permit also that it is not
   * owed, or settled at zero. Nothing is kept. Anything but a valid payment, malformed ones included, is `isValid: false` with a reason (see
   * `INVALID_REASONS`); chain errors are thrown.
   */
  async verify(payload: PaymentPayload, requirements: PaymentRequirements): Promise<VerifyResponse> {
    const voucher = await this.#checks.checkVoucher(payload, requirements);
    if (voucher !== undefined) return voucher;
    const payment = this.#checks.parse(payload, requirements);
    if (payment instanceof PaymentError) return invalid(payment);
    const verdict = await this.#checks.check(payment);
    if (!verdict.isValid) return verdict;
    if (!(await this.#isSpokenFor(payment))) return verdict;
    return { isValid: false, invalidReason: usedReason(payment), payer: payment.payer };
  }

  /**
   * Settles now and waits for the chain. Fails without charging later, unless the transaction is out and its outcome unknown:
   * then `errorReason` is "settlement_pending", and asking again returns the outcome.
   */
  async settle(
    payload: PaymentPayload,
    requirements: PaymentRequirements,
    { repeated = "answer" }: SettleOptions = {},
  ): Promise<SettleResponse> {
    const payment = await this.#checks.prepare(payload, requirements);
    if (payment instanceof PaymentError) return this.#failure(payment.code, payment.message);
    const busy = this.#settling.has(payment.key);
    this.#settling.add(payment.key);
    try {
      const known = await this.store.find(payment.key);
      const asksAgain = this.#unanswered.delete(payment.key);
      if (repeated === "refuse" && (busy || (known?.status === "settled" && !asksAgain))) {
        return this.#failure(usedReason(payment), "It is settled, or being settled, by another call", payment);
      }
      if (known === undefined || known.status === "dead") {
        const refused = await this.#refusal(payment);
        if (refused !== undefined) return refused;
      }
      return await this.#settleNow(payment);
    } catch (error) {
      if (error instanceof PaymentError) return this.#failure(error.code, error.message, payment);
      throw error;
    } finally {
      if (!busy) this.#settling.delete(payment.key);
    }
  }

  /** Like `verify`, for a payment about to be settled: the requirements say what is charged, which with `upto` may be less than was signed. */
  async verifySettlement(payload: PaymentPayload, requirements: PaymentRequirements): Promise<VerifyResponse> {
    const payment = await this.#checks.prepare(payload, requirements);
    if (payment instanceof PaymentError) return invalid(payment);
    const refused = await this.#refusal(payment);
    if (refused === undefined) return { isValid: true, payer: payment.payer };
    return { isValid: false, ...(refused.errorReason && { invalidReason: refused.errorReason }), payer: payment.payer };
  }

  async enqueue(
    payload: PaymentPayload,
    requirements: PaymentRequirements,
    { amountWei }: EnqueueOptions = {},
  ): Promise<PaymentJob> {
    const payment = this.#checks.parse(payload, requirements, amountWei);
    if (payment instanceof PaymentError) throw payment;
    const signedWei = "authorization" in payment ? payment.authorization.valueWei : payment.amountWei;
    if (payment.amountWei > signedWei || (payment.kind !== "upto/permit2" && payment.amountWei !== signedWei)) {
      throw new PaymentError(
        "amount_not_authorized",
        `Expected to charge at most the ${signedWei} wei that were signed, found ${payment.amountWei}`,
      );
    }
    return this.settler.enqueue(payment);
  }

  async claimChannels(claim: ClaimChannels): Promise<PaymentJob> {
    return this.settler.enqueue(await this.#channels.claim(claim));
  }

  channelStates(channelIds: readonly Hex[]): Promise<ChannelState[]> {
    return this.#channels.states(channelIds);
  }

  async job(payload: PaymentPayload, requirements: PaymentRequirements): Promise<PaymentJob | undefined> {
    return this.store.find(parsePayment(payload, requirements).key);
  }

  onOutcome(listener: (job: PaymentJob) => void): () => void {
    this.settler.on("settled", listener).on("dead", listener);
    return () => this.settler.off("settled", listener).off("dead", listener);
  }

  outstandingWei(payer: Hex): Promise<bigint> {
    return this.store.outstandingWei(payer);
  }

  defaultedWei(payer: Hex): Promise<bigint> {
    return this.store.defaultedWei(payer);
  }

  /** Payments that were owed and could not be charged. */
  deadLetters(page: DeadLetterPage = { limit: 100 }): Promise<PaymentJob[]> {
    return this.store.deadLetters(page);
  }

  /** Tries a dead payment again. @returns false when it is not dead. */
  reopen(key: string): Promise<boolean> {
    return this.settler.reopen(key);
  }

  async #settleNow(payment: AnyPayment): Promise<SettleResponse> {
    const { key } = await this.settler.enqueue(payment, "once");
    await this.settler.outcome(key, this.#confirmationTimeoutMs);
    await this.settler.abandon(key, "settlement_timeout");
    const job = (await this.store.find(key))!;
    const transaction = job.transaction?.hash ?? "";
    if (job.status !== "settled") {
      if (job.status !== "dead") this.#unanswered.add(key);
      const errorReason = job.status === "dead" ? (job.reason ?? "settlement_failed") : "settlement_pending";
      return { success: false, errorReason, transaction, network: this.network, payer: payment.payer };
    }
    const success = { success: true, transaction, network: this.network, payer: payment.payer };
    if ("action" in payment) return { ...success, ...(await this.#channels.result(payment, job)) };
    return { ...success, amount: job.amountWei.toString() };
  }

  /** Why a payment cannot be settled; undefined when it can, or when it is settled on chain already. */
  async #refusal(payment: AnyPayment): Promise<SettleResponse | undefined> {
    const verdict = await this.#checks.checkSettlement(payment);
    if (verdict.isValid) {
      if (!("authorization" in payment) || payment.amountWei <= payment.authorization.valueWei) return undefined;
      return this.#failure("invalid_upto_evm_payload_settlement_exceeds_amount", undefined, payment);
    }
    const { provider } = this.#options.chain;
    const { kind } = await paymentOutcome(provider, payment, await this.settler.recentBlock());
    if (kind === "paid") return undefined;
    return this.#failure(verdict.invalidReason ?? "invalid_payload", verdict.invalidMessage, payment);
  }

  /**
   * Whether what the chain still takes for unused has bought its answers: an `upto` permit that is owed, or was settled at zero. Who
   * keeps a record of its own, as the gateway does, may ask again about an `exact` payment that is owed.
   */
  async #isSpokenFor({ key, kind }: AnyPayment): Promise<boolean> {
    if (kind !== "upto/permit2") return false;
    const job = await this.store.find(key);
    if (job === undefined || job.status === "dead") return false;
    return job.status === "settled" || job.patience === "until-expiry";
  }

  #failure(errorReason: string, errorMessage?: string, payment?: AnyPayment): SettleResponse {
    return {
      success: false,
      errorReason,
      ...(errorMessage !== undefined && { errorMessage }),
      transaction: "",
      network: this.network,
      ...(payment !== undefined && { payer: payment.payer }),
    };
  }
}

/** The packages' words for a nonce that was used, where they have one. */
function usedReason({ kind }: AnyPayment): string {
  if (kind === "exact/eip3009") return "invalid_exact_evm_nonce_already_used";
  return kind === "exact/permit2" || kind === "upto/permit2" ? "permit2_invalid_nonce" : "already_settled";
}
