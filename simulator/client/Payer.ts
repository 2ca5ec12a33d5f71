import { decodePaymentSignatureHeader } from "@x402/core/http";
import { x402Client } from "@x402/core/client";
import type { Network, PaymentRequirements } from "@x402/core/types";
import { ExactEvmScheme } from "@x402/evm/exact/client";
import { wrapFetchWithPayment } from "@x402/fetch";
import type { Signer } from "ethers";
import { parsePayload, type PaymentAuthorization } from "../facilitator/payment.ts";
import { DOMAIN_NAME, DOMAIN_VERSION } from "../receipts/eip712.ts";
import type { Hex } from "../receipts/types.ts";
import { PaymentDeclinedError } from "./ClientError.ts";

export interface PayerOptions {
  /** Signs payments; needs neither ETH nor a provider. */
  wallet: Signer;
  chainId: bigint;
  /** OPG. */
  asset: Hex;
  /** Who may be paid. Default: anyone. */
  payTo?: Hex;
  /** Most that one request may cost, wei. */
  maxPaymentWei: bigint;
  /** A payment may stay chargeable for at most this long. */
  maxValiditySeconds: number;
}

/** A signed payment, as it goes into the PAYMENT-SIGNATURE header. */
export interface SignedPayment {
  header: string;
  authorization: PaymentAuthorization;
}

export const PAYMENT_HEADER = "PAYMENT-SIGNATURE";

/** Pays what a gateway asks for with the unmodified x402 client, within the limits it is given. */
export class Payer {
  readonly #options: PayerOptions;
  readonly #network: Network;
  #client: Promise<x402Client> | undefined;

  constructor(options: PayerOptions) {
    this.#options = options;
    this.#network = `eip155:${options.chainId}`;
  }

  /**
   * Sends a request; asked to pay, signs and sends it again.
   * @param onPaid sees the payment before it leaves.
   * @throws PaymentDeclinedError
   */
  async fetch(send: typeof fetch, request: Request, onPaid: (payment: SignedPayment) => void): Promise<Response> {
    // x402 wraps its refusals and lets errors of `send` through: tell the two apart
    const failures: unknown[] = [];
    const observed = async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
      const outgoing = new Request(input, init);
      const header = outgoing.headers.get(PAYMENT_HEADER);
      if (header !== null) onPaid({ header, authorization: readPayment(header) });
      try {
        return await send(outgoing);
      } catch (error) {
        failures.push(error);
        throw error;
      }
    };
    try {
      return await wrapFetchWithPayment(observed, await this.#x402())(request);
    } catch (error) {
      if (failures.length > 0) throw failures[0];
      const why = error instanceof Error ? error.message : String(error);
      throw new PaymentDeclinedError(`The payment asked for was not made: ${why}`, { cause: error });
    }
  }

  async #x402(): Promise<x402Client> {
    this.#client ??= this.#newClient();
    return this.#client;
  }

  async #newClient(): Promise<x402Client> {
    const { wallet, asset, maxPaymentWei } = this.#options;
    const address = (await wallet.getAddress()) as Hex;
    const signTypedData = async (data: { domain: object; types: object; message: object }): Promise<Hex> => {
      const types = { ...(data.types as Record<string, { name: string; type: string }[]>) };
      // ethers derives the domain's type and refuses to be told
      delete types.EIP712Domain;
      return (await wallet.signTypedData(data.domain, types, data.message)) as Hex;
    };
    const client = new x402Client()
      .register(this.#network, new ExactEvmScheme({ address, signTypedData }))
      .registerPolicy((_version, requirements) => requirements.filter((each) => this.#acceptable(each)));
    // by default the client pays in assets it knows only
    return client.setSpendControls({
      allowedAssets: [{ network: this.#network, asset, maxAmountPerPayment: maxPaymentWei.toString() }],
    });
  }

  #acceptable({ scheme, network, asset, amount, payTo, maxTimeoutSeconds, extra }: PaymentRequirements): boolean {
    const { asset: expected, payTo: payee, maxPaymentWei, maxValiditySeconds } = this.#options;
    return (
      scheme === "exact" &&
      network === this.#network &&
      asset.toLowerCase() === expected.toLowerCase() &&
      (payee === undefined || payTo.toLowerCase() === payee.toLowerCase()) &&
      /^[0-9]+$/.test(amount) &&
      BigInt(amount) <= maxPaymentWei &&
      maxTimeoutSeconds <= maxValiditySeconds &&
      (extra.assetTransferMethod ?? "eip3009") === "eip3009" &&
      extra.name === DOMAIN_NAME &&
      extra.version === DOMAIN_VERSION
    );
  }
}

const readPayment = (header: string): PaymentAuthorization =>
  parsePayload(decodePaymentSignatureHeader(header)).authorization;
