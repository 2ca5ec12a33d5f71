import { x402Facilitator } from "@x402/core/facilitator";
import type { FacilitatorClient } from "@x402/core/server";
import type {
  Network,
  PaymentPayload,
  PaymentRequirements,
  SettleResponse,
  SupportedResponse,
  VerifyResponse,
} from "@x402/core/types";
import { ExactEvmScheme } from "@x402/evm/exact/facilitator";
import type { Signer } from "ethers";
import type { Logger } from "pino";
import { OPG__factory } from "../../typechain-types/index.ts";
import type { Chain } from "../chain/connectChain.ts";
import { TransactionSubmitter } from "../chain/TransactionSubmitter.ts";
import type { Hex } from "../receipts/types.ts";
import { facilitatorSigner } from "./facilitatorSigner.ts";
import { parseCharge, type Charge } from "./payment.ts";
import { PaymentError } from "./PaymentError.ts";
import type { PaymentJob, PaymentStore } from "./PaymentStore.ts";
import { SqlitePaymentStore } from "./SqlitePaymentStore.ts";
import { DEFAULT_SETTLER_OPTIONS, PaymentSettler, type PaymentSettlerOptions } from "./PaymentSettler.ts";

/** A payment that is owed: it is charged when the chain gets to it, while its answer is already out. */
export interface DeferredPayments {
  /** Makes the payment durable; from then on it is charged once, whatever crashes. It has to be verified before. */
  enqueue(payload: PaymentPayload, requirements: PaymentRequirements, options?: EnqueueOptions): Promise<PaymentJob>;
  /** The job of a payment, if there is one. */
  job(payload: PaymentPayload, requirements: PaymentRequirements): Promise<PaymentJob | undefined>;
  /** Calls `listener` with each job that ends, settled or dead. @returns how to stop that. */
  onOutcome(listener: (job: PaymentJob) => void): () => void;
  /** Wei the payer has promised and not yet paid. */
  outstandingWei(payer: Hex): Promise<bigint>;
  /** Wei the payer was served for and can no longer be charged. */
  defaultedWei(payer: Hex): Promise<bigint>;
}

export interface EnqueueOptions {
  /** Wei to charge, at most what was signed; only `upto` charges less. 0 charges nothing and uses the authorization up all the same. */
  amountWei?: bigint;
}

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
}

const SIMULATION_FAILED = "invalid_exact_evm_transaction_simulation_failed";
const NONCE_USED = "invalid_exact_evm_nonce_already_used";
const BALANCE_TOO_LOW = "invalid_exact_evm_insufficient_balance";

/**
 * x402 v2 facilitator for the scheme `exact` by ERC-3009 on one EVM chain, with any token that implements it. Verification is
 * `@x402/evm`'s; settlement goes through a durable outbox, at once (`settle`) or later (`enqueue`).
 */
export class Facilitator implements FacilitatorClient, DeferredPayments {
  readonly network: Network;
  /** Says what became of each payment: events "settled" and "dead". */
  readonly settler: PaymentSettler;
  readonly store: PaymentStore;
  readonly #chain: Chain;
  readonly #signer: Signer;
  #core: x402Facilitator;
  readonly #confirmationTimeoutMs: number;

  constructor({ chain, signer, outboxFile, logger, confirmations = 1, settler = {} }: FacilitatorOptions) {
    this.network = `eip155:${chain.chainId}`;
    this.#chain = chain;
    this.#signer = signer;
    this.store = typeof outboxFile === "string" ? new SqlitePaymentStore(outboxFile) : outboxFile;
    const submitter = new TransactionSubmitter({ chain, signer, logger, confirmations });
    this.settler = new PaymentSettler({ store: this.store, chain, submitter, logger }, settler);
    this.#confirmationTimeoutMs = { ...DEFAULT_SETTLER_OPTIONS, ...settler }.confirmationTimeoutMs;
    this.#core = new x402Facilitator();
  }

  async start(): Promise<void> {
    const verifier = facilitatorSigner({
      address: (await this.#signer.getAddress()) as Hex,
      provider: this.#chain.provider,
      send: () => Promise.reject(new Error("Verification sends no transactions")),
    });
    this.#core = new x402Facilitator().register(this.network, new ExactEvmScheme(verifier));
    await this.settler.start();
  }

  /** Lets payments under way end; the rest stays in the outbox. */
  async stop(): Promise<void> {
    await this.settler.stop();
    await this.store.close();
  }

  getSupported(): Promise<SupportedResponse> {
    return Promise.resolve(this.#core.getSupported() as SupportedResponse);
  }

  /**
   * Signature, terms, time window, and a simulation of the transfer on the chain as it is now. Nothing is kept.
   * Anything but a valid payment, malformed ones included, is `isValid: false` with a reason; chain errors are thrown.
   */
  async verify(payload: PaymentPayload, requirements: PaymentRequirements): Promise<VerifyResponse> {
    const payment = this.#tryParse(payload, requirements);
    if (payment instanceof PaymentError) {
      return { isValid: false, invalidReason: payment.code, invalidMessage: payment.message };
    }
    const result = await this.#core.verify(payment.payload, payment.requirements);
    if (result.isValid || result.invalidReason !== SIMULATION_FAILED) return result;
    return { ...result, invalidReason: await this.#explain(payment) };
  }

  /**
   * Settles now and waits for the chain. Fails without charging later, unless the transaction is out and its outcome unknown:
   * then `errorReason` is "settlement_pending", and asking again returns the outcome.
   */
  async settle(payload: PaymentPayload, requirements: PaymentRequirements): Promise<SettleResponse> {
    const payment = this.#tryParse(payload, requirements);
    if (payment instanceof PaymentError) {
      const { code: errorReason, message: errorMessage } = payment;
      return { success: false, errorReason, errorMessage, transaction: "", network: this.network };
    }
    const { key } = await this.settler.enqueue(payment, "once");
    await this.settler.outcome(key, this.#confirmationTimeoutMs);
    await this.settler.abandon(key, "settlement_timeout");
    const job = (await this.store.find(key))!;
    const { payer, valueWei } = payment.authorization;
    const transaction = job.transaction?.hash ?? "";
    if (job.status === "settled") {
      return { success: true, transaction, network: this.network, payer, amount: valueWei.toString() };
    }
    const errorReason = job.status === "dead" ? (job.reason ?? "settlement_failed") : "settlement_pending";
    return { success: false, errorReason, transaction, network: this.network, payer };
  }

  /** @throws PaymentError */
  async enqueue(
    payload: PaymentPayload,
    requirements: PaymentRequirements,
    { amountWei }: EnqueueOptions = {},
  ): Promise<PaymentJob> {
    const payment = this.#tryParse(payload, requirements, amountWei);
    if (payment instanceof PaymentError) throw payment;
    return this.settler.enqueue(payment);
  }

  job(payload: PaymentPayload, requirements: PaymentRequirements): Promise<PaymentJob | undefined> {
    return this.store.find(parseCharge(payload, requirements).key);
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

  #tryParse(payload: PaymentPayload, requirements: PaymentRequirements, amountWei?: bigint): Charge | PaymentError {
    try {
      const payment = parseCharge(payload, requirements, amountWei);
      const { network } = payment.authorization;
      if (network === this.network) return payment;
      return new PaymentError("unsupported_network", `Expected a payment on ${this.network}, found one on ${network}`);
    } catch (error) {
      if (error instanceof PaymentError) return error;
      throw error;
    }
  }

  /** The package finds the cause by Multicall3, which a local chain lacks; the codes are its own. */
  async #explain({ authorization, requirements }: Charge): Promise<string> {
    const token = OPG__factory.connect(authorization.asset, { provider: this.#chain.provider });
    const [used, balance] = await Promise.all([
      token.authorizationState(authorization.payer, authorization.nonce),
      token.balanceOf(authorization.payer),
    ]);
    if (used) return NONCE_USED;
    return balance < BigInt(requirements.amount) ? BALANCE_TOO_LOW : SIMULATION_FAILED;
  }
}
