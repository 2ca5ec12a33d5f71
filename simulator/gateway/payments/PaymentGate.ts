import { encodePaymentRequiredHeader, encodePaymentResponseHeader } from "@x402/core/http";
import { x402ResourceServer } from "@x402/core/server";
import type { Network, PaymentPayload, PaymentRequirements, SettleResponse } from "@x402/core/types";
import { ExactEvmScheme } from "@x402/evm/exact/server";
import { UptoEvmScheme } from "@x402/evm/upto/server";
import {
  declareEip2612GasSponsoringExtension,
  declareErc20ApprovalGasSponsoringExtension,
  EIP2612_GAS_SPONSORING,
  ERC20_APPROVAL_GAS_SPONSORING,
} from "@x402/extensions";
import type { Provider } from "ethers";
import { checkX402Contracts, X402ContractsMissingError, type X402Scheme } from "../../chain/x402/checkX402Contracts.ts";
import type { Charge } from "../../facilitator/payment.ts";
import { DOMAIN_NAME, DOMAIN_VERSION } from "../../receipts/eip712.ts";
import type { Hex } from "../../receipts/types.ts";
import type { OpenAiErrorBody } from "../GatewayError.ts";
import type { PaymentRail } from "../PaymentCollector.ts";
import { uncheckable } from "./PayerStanding.ts";
import { refused } from "./SignedPayment.ts";
import { whatToDo } from "./whatToDo.ts";

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

/** Node gives a request 16 kB for all headers, and a client sends most of this one back. */
const MAX_HEADER_LENGTH = 8_000;
const MAX_BUILT = 1_000;

const HELP =
  "Sign one of `accepts` as an x402 v2 payment and send the same request again with it in the PAYMENT-SIGNATURE header. " +
  "@x402/fetch does this for any OpenAI client; nothing is charged unless the request is answered.";

/** What is needed on chain besides the token. */
const CONTRACTS_OF: Partial<Record<Charge["kind"], X402Scheme>> = {
  "exact/permit2": "exact-permit2",
  "upto/permit2": "upto",
};

const EXTENSIONS: readonly (readonly [key: string, declare: () => Record<string, unknown>])[] = [
  [EIP2612_GAS_SPONSORING.key, declareEip2612GasSponsoringExtension],
  [ERC20_APPROVAL_GAS_SPONSORING.key, declareErc20ApprovalGasSponsoringExtension],
];

/**
 * x402 v2 without its middlewares: those hold a stream back until it is settled, and let one payment buy several answers while it is
 * not. The gate writes what is asked for and checks what is offered; when to charge is the gateway's matter.
 */
export class PaymentGate {
  readonly #server: x402ResourceServer;
  readonly #options: PaymentGateOptions;
  readonly #kinds = new Set<Charge["kind"]>(["exact/eip3009"]);
  readonly #built = new Map<string, Promise<PaymentRequirements>>();
  #extensions: Record<string, unknown> = {};

  constructor(options: PaymentGateOptions) {
    this.#options = options;
    this.#server = new x402ResourceServer(options.rail)
      .register(options.network, new ExactEvmScheme())
      .register(options.network, new UptoEvmScheme());
  }

  /**
   * Asks the facilitator what it supports, and looks whether the contracts for it are there.
   * @param wanted kinds that have to be taken; by default those that can be.
   * @throws when that is not so, or `exact` is not supported on this network.
   */
  async start(provider: Provider, wanted: readonly Charge["kind"][] = []): Promise<void> {
    await this.#server.initialize();
    const { network } = this.#options;
    if (this.#server.getSupportedKind(2, network, "exact") === undefined) {
      throw new Error(`The facilitator does not support x402 exact payments on ${network}`);
    }
    for (const [kind, scheme] of Object.entries(CONTRACTS_OF) as [Charge["kind"], X402Scheme][]) {
      if (this.#server.getSupportedKind(2, network, scheme === "upto" ? "upto" : "exact") === undefined) continue;
      try {
        await checkX402Contracts(provider, [scheme]);
        this.#kinds.add(kind);
      } catch (error) {
        if (!(error instanceof X402ContractsMissingError) || wanted.includes(kind)) throw error;
      }
    }
    const missing = wanted.filter((kind) => !this.#kinds.has(kind));
    if (missing.length > 0) throw new Error(`The facilitator does not support ${missing.join(", ")} on ${network}`);
    const sponsored = this.#server.getFacilitatorExtensions(2, network, "upto");
    this.#extensions = Object.assign(
      {},
      ...EXTENSIONS.filter(([key]) => sponsored.includes(key)).map(([, declare]) => declare()),
    ) as Record<string, unknown>;
  }

  /** Whether payments of a kind can be settled. */
  supports(kind: Charge["kind"]): boolean {
    return this.#kinds.has(kind);
  }

  /** What has to be signed to pay an amount. */
  requirements(kind: Charge["kind"], payTo: Hex, amountWei: bigint): Promise<PaymentRequirements> {
    const key = `${kind}/${payTo}/${amountWei}`;
    const known = this.#built.get(key);
    if (known !== undefined) return known;
    if (this.#built.size >= MAX_BUILT) this.#built.clear();
    const built = this.#build(kind, payTo, amountWei);
    built.catch(() => this.#built.delete(key));
    this.#built.set(key, built);
    return built;
  }

  async #build(kind: Charge["kind"], payTo: Hex, amountWei: bigint): Promise<PaymentRequirements> {
    const { network, asset, validitySeconds } = this.#options;
    const permit2 = kind !== "exact/eip3009" && { assetTransferMethod: "permit2" };
    const [built] = await this.#server.buildPaymentRequirements({
      scheme: kind === "upto/permit2" ? "upto" : "exact",
      network,
      payTo,
      maxTimeoutSeconds: validitySeconds,
      price: {
        amount: amountWei.toString(),
        asset,
        extra: { name: DOMAIN_NAME, version: DOMAIN_VERSION, ...permit2 },
      },
    });
    return built!;
  }

  /** Whether a client accepted these terms. */
  accepts(requirements: PaymentRequirements, payload: PaymentPayload): boolean {
    return this.#server.findMatchingRequirements([requirements], payload) !== undefined;
  }

  /** Has the facilitator check a payment that is new. @throws GatewayError 402 with x402's reason as code, or 503. */
  async verify(payload: PaymentPayload, requirements: PaymentRequirements): Promise<void> {
    const { isValid, invalidReason, invalidMessage } = await this.#server
      .verifyPayment(payload, requirements)
      .catch(uncheckable);
    if (isValid) return;
    const reason = invalidReason ?? "payment_invalid";
    throw refused(reason, `The payment is not valid (${invalidMessage ?? reason}): ${whatToDo(reason)}`);
  }

  /** @param accepts the best first; those that do not fit are left out. */
  async paymentRequired(
    accepts: readonly PaymentRequirements[],
    url: string,
    error: { code: string; message: string },
  ): Promise<PaymentRequiredReply> {
    const required = await this.#server.createPaymentRequiredResponse(
      [...accepts],
      { url, description: "One verifiable AI inference", mimeType: "application/json" },
      error.code,
      this.#extensions,
    );
    let header = encodePaymentRequiredHeader(required);
    while (header.length > MAX_HEADER_LENGTH && required.accepts.length > 1) {
      required.accepts.pop();
      header = encodePaymentRequiredHeader(required);
    }
    return {
      header,
      body: {
        error: { message: error.message, type: "payment_required", code: error.code, param: null },
        x402Version: 2,
        accepts: required.accepts,
        help: HELP,
      },
    };
  }

  /** A PAYMENT-RESPONSE. Without a transaction the payment is still on its way to the chain. */
  response(
    response: Omit<SettleResponse, "success" | "network" | "transaction"> & { transaction?: Hex | undefined },
  ): string {
    const { transaction = "", ...rest } = response;
    return encodePaymentResponseHeader({ success: true, transaction, network: this.#options.network, ...rest });
  }
}
