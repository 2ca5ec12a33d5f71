import type { x402Facilitator } from "@x402/core/facilitator";
import type { Network, PaymentPayload, PaymentRequirements, SupportedResponse, VerifyResponse } from "@x402/core/types";
import type { Signer } from "ethers";
import type { Logger } from "pino";
import type { Chain } from "../chain/connectChain.ts";
import type { Hex } from "../receipts/types.ts";
import type { ChannelRail } from "./ChannelRail.ts";
import { isVoucher, parseVoucher } from "./channelPayment.ts";
import { parsePayment, type AnyPayment } from "./parsePayment.ts";
import { PaymentError } from "./PaymentError.ts";
import { QuickVerifier } from "./quickVerify.ts";
import { stockFacilitator } from "./stockFacilitator.ts";

export interface PaymentChecksOptions {
  network: Network;
  chain: Chain;
  /** The facilitator's. */
  signer: Signer;
  receiverAuthorizer?: Signer;
  /** Tokens whose payments need no simulation. */
  plainTokens?: readonly Hex[];
  channels: ChannelRail;
  logger: Logger;
}

/** What payments are, and what the x402 packages say of them, on the chain as it is now. */
export class PaymentChecks {
  readonly #options: PaymentChecksOptions;
  #core: x402Facilitator | undefined;
  #quick: QuickVerifier | undefined;

  constructor(options: PaymentChecksOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    const { network, chain, signer, receiverAuthorizer, plainTokens = [], logger } = this.#options;
    const authorizer = receiverAuthorizer && (await receiverAuthorizer.getAddress());
    const address = (await signer.getAddress()) as Hex;
    this.#quick = new QuickVerifier({
      provider: chain.provider,
      chainId: chain.chainId,
      facilitator: address.toLowerCase() as Hex,
      tokens: plainTokens.map((token) => token.toLowerCase() as Hex),
    });
    this.#core = await stockFacilitator({
      network,
      address,
      provider: chain.provider,
      receiverAuthorizer: authorizer as Hex | undefined,
      logger,
    });
  }

  supported(): SupportedResponse {
    return this.#started().getSupported() as SupportedResponse;
  }

  /** @returns why it is none of this network, instead. */
  parse(payload: PaymentPayload, requirements: PaymentRequirements, amountWei?: bigint): AnyPayment | PaymentError {
    const expected = this.#options.network;
    try {
      const payment = parsePayment(payload, requirements, amountWei);
      const { network } = payment;
      if (network === expected) return payment;
      return new PaymentError("unsupported_network", `Expected a payment on ${expected}, found one on ${network}`);
    } catch (error) {
      return paymentErrorOf(error);
    }
  }

  /** The same of one that is about to be settled: channels' payments are completed by what the chain says. */
  async prepare(payload: PaymentPayload, requirements: PaymentRequirements): Promise<AnyPayment | PaymentError> {
    const payment = this.parse(payload, requirements);
    if (payment instanceof PaymentError || !("action" in payment)) return payment;
    return this.#options.channels.prepare(payment).catch(paymentErrorOf);
  }

  /** What the x402 packages say of a payment, or would say; what it would be settled for does not matter to them. */
  async check(payment: AnyPayment, requirements: PaymentRequirements = payment.requirements): Promise<VerifyResponse> {
    if ("action" in payment && payment.action.type !== "deposit") return this.#options.channels.check(payment);
    const quick = "authorization" in payment ? await this.#quick?.verify(payment, requirements) : undefined;
    return quick ?? this.#started().verify(payment.payload, requirements);
  }

  /** The same for a payment about to be settled: `upto` permits more than it is settled for. */
  checkSettlement(payment: AnyPayment): Promise<VerifyResponse> {
    if (payment.kind !== "upto/permit2") return this.check(payment);
    return this.check(payment, { ...payment.requirements, amount: payment.authorization.valueWei.toString() });
  }

  /** What they say of a channel's voucher; undefined for other payments. */
  async checkVoucher(payload: PaymentPayload, requirements: PaymentRequirements): Promise<VerifyResponse | undefined> {
    if (!isVoucher(payload, requirements)) return undefined;
    try {
      const parsed = parseVoucher(payload, requirements);
      return await this.#started().verify(parsed.payload, parsed.requirements);
    } catch (error) {
      return invalid(paymentErrorOf(error));
    }
  }

  #started(): x402Facilitator {
    if (this.#core === undefined) throw new PaymentError("stopped", "Call start() before using the facilitator");
    return this.#core;
  }
}

/** x402's form of a refusal. */
export const invalid = ({ code, message }: PaymentError): VerifyResponse => ({
  isValid: false,
  invalidReason: code,
  invalidMessage: message,
});

function paymentErrorOf(error: unknown): PaymentError {
  if (error instanceof PaymentError) return error;
  throw error;
}
