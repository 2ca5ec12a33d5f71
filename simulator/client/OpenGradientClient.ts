import { pino, type Logger } from "pino";
import type { Chain } from "../chain/connectChain.ts";
import { ROUTES } from "../gateway/requestSchemas.ts";
import type { Hex } from "../receipts/types.ts";
import type { BlobStore } from "../storage/BlobStore.ts";
import type { Channel } from "./ChannelStore.ts";
import { GatewayRefusedError, UnknownReceiptError } from "./ClientError.ts";
import type { SettleResponse } from "@x402/core/types";
import { awaitProof, type ProofRequest, type ProvenTensors } from "./awaitProof.ts";
import { VerifyingFetch, type VerifyingFetchOptions } from "./createVerifyingFetch.ts";
import { EnclaveFetch, type EnclaveFetchOptions } from "./EnclaveFetch.ts";
import { ReceiptBook, type VerifiedReceipt } from "./ReceiptBook.ts";
import { SettlementFollower, type SettledReceipt } from "./SettlementFollower.ts";

interface CommonOptions {
  /** What settlement is followed with; without it `waitForSettlement` is not available. */
  settlement?: { chain: Chain; blobs: BlobStore; fromBlock: number };
  /** How many receipts are kept. Default 10,000. */
  receiptLimit?: number;
  logger?: Logger;
}

/** One gateway, whose receipts anybody signs whom `signers` knows. */
export interface GatewayClientOptions extends VerifyingFetchOptions, CommonOptions {
  /** Base URL of a gateway, without a path. */
  gatewayUrl: string;
}

/** Enclaves of the registry, whichever fits. */
export interface EnclaveClientOptions extends EnclaveFetchOptions, CommonOptions {
  gatewayUrl?: never;
}

export type OpenGradientClientOptions = GatewayClientOptions | EnclaveClientOptions;

/** A tensor inference that was verified. */
export interface InferenceResult {
  outputs: Record<string, unknown>;
  receipt: VerifiedReceipt;
}

/** A client that pays, trusts nothing it has not checked, and follows its receipts to the chain. */
export class OpenGradientClient {
  /** For any OpenAI client: `new OpenAI({ baseURL: client.baseUrl, apiKey: "none", fetch: client.fetch })`. */
  readonly fetch: typeof fetch;
  readonly baseUrl: string;
  /** Which enclaves are used, where they are. */
  readonly enclaves?: EnclaveFetch;
  readonly #book: ReceiptBook;
  readonly #refund: () => Promise<SettleResponse[]>;
  readonly #channels: () => Promise<Channel[]>;
  readonly #follower: SettlementFollower | undefined;
  #following: Promise<void> | undefined;
  readonly #zk: Pick<ProofRequest, "domain" | "directory" | "fetch"> | undefined;

  constructor(options: OpenGradientClientOptions) {
    const { settlement, domain, receiptLimit = 10_000, logger = pino({ level: "silent" }), onReceipt } = options;
    this.#book = new ReceiptBook(receiptLimit);
    const keeping = {
      onReceipt: (receipt: VerifiedReceipt) => {
        this.#book.add(receipt);
        onReceipt?.(receipt);
      },
    };
    if (options.gatewayUrl === undefined) {
      this.enclaves = new EnclaveFetch({ ...options, ...keeping });
      this.baseUrl = this.enclaves.baseUrl;
      this.fetch = this.enclaves.fetch;
      const { enclaves } = this;
      this.#refund = () => enclaves.refund();
      this.#channels = () => enclaves.channels();
    } else {
      this.baseUrl = `${options.gatewayUrl.replace(/\/+$/, "")}/v1`;
      const verifying = new VerifyingFetch({ ...options, ...keeping });
      this.fetch = (input, init) => verifying.fetch(input, init);
      this.#channels = () => verifying.channels();
      this.#refund = () => verifying.refund(`${this.baseUrl}${ROUTES.chat.replace(/^\/v1/, "")}`);
    }
    this.#zk = options.zk && { domain, directory: options.zk, fetch: this.fetch };
    this.#follower =
      settlement && new SettlementFollower({ ...settlement, settlement: domain.verifyingContract, logger });
  }

  /** Every receipt that was checked, oldest first. */
  get receipts(): VerifiedReceipt[] {
    return this.#book.all();
  }

  /**
   * Runs a tensor model.
   * @param inputs tensors by name, as nested arrays.
   * @param options.mode how the answer is to be verified; with "zkml" its proof can be waited for. Default: as the node is.
   * @throws VerificationError, PaymentDeclinedError, GatewayRefusedError, of enclaves NoEnclaveError and EnclaveError
   */
  async infer(
    model: string,
    inputs: Record<string, unknown>,
    { mode }: { mode?: "vanilla" | "zkml" | "tee" } = {},
  ): Promise<InferenceResult> {
    const response = await this.fetch(this.baseUrl.replace(/\/v1$/, ROUTES.inference), {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model, inputs, mode }),
    });
    const answer = (await response.json()) as {
      outputs: Record<string, unknown>;
      opengradient: { receipt: { requestId: Hex } };
      error?: { code?: string; message?: string };
    };
    if (!response.ok) {
      const { code = "unknown", message = `The gateway answered with status ${response.status}` } = answer.error ?? {};
      throw new GatewayRefusedError(response.status, code, message);
    }
    return { outputs: answer.outputs, receipt: this.#receipt(answer.opengradient.receipt.requestId) };
  }

  /** The payment channels, with what was deposited into and charged of each. */
  channels(): Promise<Channel[]> {
    return this.#channels();
  }

  /**
   * Has the gateway, or all enclaves that were paid through channels, pay back what the channels hold unspent; costs no gas.
   * @returns x402's account of each refund.
   */
  refundChannel(): Promise<SettleResponse[]> {
    return this.#refund();
  }

  /**
   * Waits until the receipt of a request is in a batch that is final on chain.
   * @throws SettlementTimeoutError, UnknownReceiptError
   */
  async waitForSettlement(requestId: Hex, { timeoutMs }: { timeoutMs: number }): Promise<SettledReceipt> {
    if (this.#follower === undefined) throw new Error("Expected the option `settlement`, to follow settlement with");
    const { signed, operator } = this.#receipt(requestId);
    this.#following ??= this.#follower.start();
    await this.#following;
    return this.#follower.settled(signed, operator, timeoutMs);
  }

  /**
   * Waits for the proof of an answer in mode ZKML, and verifies it here, by itself: against the model's commitment on chain, for this request.
   * @throws ProofError, ProofTimeoutError, UnknownReceiptError
   */
  async waitForProof(requestId: Hex, { timeoutMs }: { timeoutMs: number }): Promise<ProvenTensors> {
    if (this.#zk === undefined) throw new Error("Expected the option `zk`, to check proofs with");
    const { signed } = this.#receipt(requestId);
    const { domain, directory, fetch } = this.#zk;
    return awaitProof(signed, { baseUrl: this.baseUrl, domain, directory, fetch, timeoutMs });
  }

  /** Ends following the chain, and connections to enclaves. */
  async close(): Promise<void> {
    await this.enclaves?.close();
    if (this.#following !== undefined) await this.#follower?.stop();
    this.#following = undefined;
  }

  #receipt(requestId: Hex): VerifiedReceipt {
    const receipt = this.#book.get(requestId.toLowerCase() as Hex);
    if (receipt === undefined) throw new UnknownReceiptError(`No receipt of request ${requestId} here`);
    return receipt;
  }
}
