import { encodePaymentRequiredHeader, encodePaymentResponseHeader } from "@x402/core/http";
import { x402ResourceServer } from "@x402/core/server";
import type { Network, PaymentPayload, PaymentRequirements } from "@x402/core/types";
import { ExactEvmScheme } from "@x402/evm/exact/server";
import { DOMAIN_NAME, DOMAIN_VERSION } from "../receipts/eip712.ts";
import type { Hex } from "../receipts/types.ts";
import { parsePayload, type PaymentAuthorization } from "../facilitator/payment.ts";
import { GatewayError, type OpenAiErrorBody } from "./GatewayError.ts";
import { decodePayment } from "./http/paymentHeader.ts";
import type { Offer } from "./NodeDirectory.ts";
import type { PaymentRail } from "./PaymentCollector.ts";
import type { StoredRequest } from "./RequestStore.ts";

/** The 402 answer: what is asked for as header (for x402 clients) and as text (for people). */
export interface PaymentRequiredReply {
  header: string;
  body: OpenAiErrorBody & { x402Version: 2; accepts: PaymentRequirements[]; help: string };
}

export interface PaymentGateOptions {
  rail: PaymentRail;
  network: Network;
  asset: Hex;
  /** How long a payment can be settled after it was signed. Deferred settlement and recovery live within it. */
  validitySeconds: number;
}

/** More than these make the header long, and the client takes the first anyway. */
const MAX_OFFERS = 4;

const HELP =
  "Sign one of `accepts` as an x402 v2 payment and send the same request again with it in the PAYMENT-SIGNATURE header. " +
  "@x402/fetch does this for any OpenAI client; nothing is charged unless the request is answered.";

/**
 * x402 v2 without its middlewares: those hold a stream back until it is settled, and let one payment buy several answers while it is
 * not. The gate says what is asked for and checks what is offered; when to charge is the gateway's matter.
 */
export class PaymentGate {
  readonly #server: x402ResourceServer;
  readonly #options: PaymentGateOptions;

  constructor(options: PaymentGateOptions) {
    this.#options = options;
    this.#server = new x402ResourceServer(options.rail).register(options.network, new ExactEvmScheme());
  }

  /** Asks the facilitator what it supports. @throws when it does not support `exact` on this network. */
  async start(): Promise<void> {
    await this.#server.initialize();
    const { network } = this.#options;
    if (this.#server.getSupportedKind(2, network, "exact") === undefined) {
      throw new Error(`The facilitator does not support x402 exact payments on ${network}`);
    }
  }

  /** Reads a PAYMENT-SIGNATURE header. @throws PaymentError invalid_payload */
  read(header: string): { payload: PaymentPayload; authorization: PaymentAuthorization } {
    return parsePayload(decodePayment(header));
  }

  async requirements({ payTo, feeWei }: Offer): Promise<PaymentRequirements> {
    const { network, asset, validitySeconds } = this.#options;
    const [built] = await this.#server.buildPaymentRequirements({
      scheme: "exact",
      network,
      payTo,
      maxTimeoutSeconds: validitySeconds,
      price: { amount: feeWei.toString(), asset, extra: { name: DOMAIN_NAME, version: DOMAIN_VERSION } },
    });
    return built!;
  }

  /** The offer a client accepted: the one for its recipient and price. */
  async match(
    offers: Offer[],
    payload: PaymentPayload,
  ): Promise<{ offer: Offer; requirements: PaymentRequirements } | undefined> {
    for (const offer of offers) {
      const requirements = await this.requirements(offer);
      if (this.#server.findMatchingRequirements([requirements], payload) !== undefined) return { offer, requirements };
    }
    return undefined;
  }

  /** @throws PaymentError-like refusals as GatewayError 402 with x402's reason as code. */
  async verify(payload: PaymentPayload, requirements: PaymentRequirements): Promise<void> {
    const { isValid, invalidReason, invalidMessage } = await this.#server.verifyPayment(payload, requirements);
    if (isValid) return;
    const reason = invalidReason ?? "payment_invalid";
    throw new GatewayError(402, "payment_required", reason, `The payment is not valid: ${invalidMessage ?? reason}`);
  }

  async paymentRequired(
    offers: Offer[],
    url: string,
    error: { code: string; message: string },
  ): Promise<PaymentRequiredReply> {
    const accepts = new Map<string, PaymentRequirements>();
    for (const offer of offers) {
      if (accepts.size === MAX_OFFERS) break;
      accepts.set(`${offer.payTo}/${offer.feeWei}`, await this.requirements(offer));
    }
    const required = await this.#server.createPaymentRequiredResponse(
      [...accepts.values()],
      { url, description: "One verifiable AI inference", mimeType: "application/json" },
      error.code,
    );
    return {
      header: encodePaymentRequiredHeader(required),
      body: {
        error: { message: error.message, type: "payment_required", code: error.code, param: null },
        x402Version: 2,
        accepts: required.accepts,
        help: HELP,
      },
    };
  }

  /** PAYMENT-RESPONSE of an answer. Without a transaction the payment is still on its way to the chain. */
  response({ payer, requirements, transaction }: StoredRequest): string {
    return encodePaymentResponseHeader({
      success: true,
      transaction: transaction ?? "",
      network: this.#options.network,
      payer,
      amount: requirements.amount,
      extra: { settlement: transaction === undefined ? "deferred" : "settled" },
    });
  }
}
