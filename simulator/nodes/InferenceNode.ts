import { createHash } from "node:crypto";
import type { AddressInfo } from "node:net";

import type { FastifyInstance } from "fastify";
import type { Logger } from "pino";

import { SettlementHasher } from "../receipts/eip712.ts";
import { inputHash, type RequestKind } from "../receipts/hashes.ts";
import { keccak256 } from "../receipts/keccak.ts";
import { requestIdForPayment } from "../receipts/requestId.ts";
import type { Signer } from "../receipts/secp256k1.ts";
import { type Hex, Mode, type SettlementDomain, type SignedReceipt, signedReceiptToJson } from "../receipts/types.ts";
import { untilAborted } from "../settlement/untilAborted.ts";
import { AnswerFlight } from "./AnswerFlight.ts";
import { createNodeServer, type NodeAnswer } from "./createNodeServer.ts";
import { NodeError, toNodeError } from "./NodeError.ts";
import type { NodePayment } from "./paymentHeader.ts";
import type { ReceiptStore } from "./ReceiptStore.ts";
import { DONE_EVENT, serverSentEvent } from "./serverSentEvent.ts";

/** A model a node sells. */
export interface ModelOffer {
  /** Name in requests, e.g. "opengradient/liquidation-risk-v1". */
  id: string;
  /** Version in ModelRegistry, 32 bytes: what receipts name. */
  modelId: Hex;
  /** Least fee of one request, wei of the node's asset. */
  feeWei: bigint;
}

export interface InferenceNodeOptions {
  /** The ProofSettlement that receipts are signed for. */
  domain: SettlementDomain;
  /** Whose bond stands behind the receipts. */
  operator: Hex;
  /** Where clients' payments go. */
  payout: Hex;
  /** Token that fees are in. */
  asset: Hex;
  /** Key that signs receipts, registered in NodeRegistry for the operator. */
  signer: Signer;
  /** Answers and receipts. Opened and closed by the caller, since a settler reads it too. */
  store: ReceiptStore;
  /** Shared with the operator's gateway. */
  bearerToken: string;
  logger: Logger;
  /** Default "127.0.0.1". */
  host?: string;
  /** Default 0: any free port, which a restart keeps. */
  port?: number;
  /** Default 1 MiB. */
  bodyLimitBytes?: number;
  /** Bound on one inference. Default 120,000. */
  inferenceTimeoutMs?: number;
  /** Most inferences under way at once; more are answered 503. Default 256. */
  maxConcurrent?: number;
  /** Unix seconds for `servedAt`. Default: the wall clock; a simulation that moves chain time passes its own. */
  nowSeconds?: () => number;
}

/** What a model is given besides the request. */
export interface InferenceContext {
  /** Differs for each request, without a prefix. */
  id: string;
  /** Unix seconds at the start. */
  created: number;
  /** Sends a chunk of an event stream; without effect when none was asked for. */
  emit: (chunk: object) => void;
  signal: AbortSignal;
}

/** A finished inference. */
export interface CompletedInference {
  /** What was answered, as the text whose keccak256 is the receipt's output hash. */
  output: string;
  /** The JSON answer, or the last chunk of the event stream, to which the receipt is added. */
  answer: object;
}

/** A request that was read and can be served. */
export interface PreparedInference {
  offer: ModelOffer;
  streamed: boolean;
  run: (context: InferenceContext) => Promise<CompletedInference>;
}

/**
 * An inference node: runs a request, signs a receipt, stores both and only then lets the (last piece of the) answer go. A request is known by its
 * payment: the same again gets the stored answer, also after a crash, and copies that come while the model runs share the one run.
 * Subclasses bring the models.
 */
export abstract class InferenceNode {
  readonly store: ReceiptStore;
  readonly #options: Required<InferenceNodeOptions>;
  readonly #kinds: readonly RequestKind[];
  readonly #hasher: SettlementHasher;
  readonly #flights = new Map<Hex, AnswerFlight>();
  #server: FastifyInstance | undefined;
  #stopping = new AbortController();
  #port: number;

  protected constructor(options: InferenceNodeOptions, kinds: readonly RequestKind[]) {
    this.#options = {
      host: "127.0.0.1",
      port: 0,
      bodyLimitBytes: 1 << 20,
      inferenceTimeoutMs: 120_000,
      maxConcurrent: 256,
      nowSeconds: () => Math.floor(Date.now() / 1000),
      ...options,
      // Payments come in lower case, whatever form the configuration has.
      asset: options.asset.toLowerCase() as Hex,
      operator: options.operator.toLowerCase() as Hex,
      payout: options.payout.toLowerCase() as Hex,
    };
    this.#kinds = kinds;
    this.#hasher = new SettlementHasher(options.domain);
    this.#port = this.#options.port;
    this.store = options.store;
  }

  /** What this node can serve now. */
  abstract readonly offers: readonly ModelOffer[];
  protected abstract readonly modelKind: "onnx" | "chat";

  /** Reads a request. @throws an error that `toNodeError` makes a 4xx of. */
  protected abstract prepare(kind: RequestKind, body: Uint8Array): PreparedInference;

  get operator(): Hex {
    return this.#options.operator;
  }

  get signer(): Signer {
    return this.#options.signer;
  }

  /** Base URL of the private API, without a slash at the end. */
  get url(): string {
    if (this.#server === undefined) throw new Error("the node is not running: call start() first");
    return `http://${this.#options.host}:${this.#port}`;
  }

  async start(): Promise<void> {
    const { bearerToken, bodyLimitBytes, host, logger, operator } = this.#options;
    this.#stopping = new AbortController();
    const server = createNodeServer({
      bearerToken,
      bodyLimitBytes,
      logger,
      kinds: this.#kinds,
      health: () => ({ status: "ok", operator, signer: this.signer.address }),
      models: () => this.#modelList(),
      answer: (kind, body, payment) => this.#answer(kind, body, payment),
    });
    await server.listen({ host, port: this.#port });
    this.#port = (server.server.address() as AddressInfo).port;
    this.#server = server;
    logger.info({ url: this.url, models: this.offers.map(({ id }) => id) }, "inference node listens");
  }

  /** Ends what is under way with an error; requests may come again after a new start. */
  async stop(): Promise<void> {
    this.#stopping.abort(new NodeError(503, "node_stopping", "the node is stopping; nothing was charged"));
    while (this.#flights.size > 0) await Promise.all([...this.#flights.values()].map((flight) => flight.ended));
    // Those who wait are told why before their connections are closed.
    await new Promise(setImmediate);
    await this.#server?.close();
    this.#server = undefined;
  }

  /**
   * Runs a request that is paid for in another way than by a gateway: no receipt, nothing stored.
   *
   * @param modelId The version that was paid for; another one is not run.
   * @returns the text whose keccak256 is the receipt's output hash.
   * @throws NodeError
   */
  async infer(kind: RequestKind, body: Uint8Array, modelId: Hex): Promise<{ output: string }> {
    try {
      if (!this.#kinds.includes(kind)) throw new NodeError(404, "not_found", `${kind} requests are not served here`);
      const prepared = this.prepare(kind, body);
      if (prepared.offer.modelId !== modelId) {
        throw new NodeError(
          400,
          "wrong_model",
          `the request asks for "${prepared.offer.id}", which is not what was paid for`,
        );
      }
      const context = { id: "", created: this.#options.nowSeconds(), emit: () => undefined };
      const { output } = await this.#run(prepared, context);
      return { output };
    } catch (error) {
      throw toNodeError(error);
    }
  }

  async #answer(kind: RequestKind, body: Buffer, payment: NodePayment): Promise<NodeAnswer> {
    const { domain, operator, asset, maxConcurrent } = this.#options;
    const requestId = requestIdForPayment(domain, operator, payment);
    const bodyHash = createHash("sha256").update(`${kind}\n`).update(body).digest("hex");

    const stored = this.store.find(requestId);
    if (stored !== undefined) {
      requireSameBody(stored.bodyHash, bodyHash);
      return { streamed: stored.streamed, pieces: ReadableStream.from([stored.content]) };
    }
    let flight = this.#flights.get(requestId);
    if (flight !== undefined) {
      requireSameBody(flight.bodyHash, bodyHash);
    } else {
      if (payment.asset !== asset) {
        throw new NodeError(400, "wrong_asset", `fees are paid in ${asset}, found ${payment.asset}`);
      }
      const hash = inputHash(kind, body);
      const prepared = this.prepare(kind, body);
      if (payment.feeWei < prepared.offer.feeWei) {
        throw new NodeError(402, "fee_too_low", `the fee is ${prepared.offer.feeWei} wei, found ${payment.feeWei}`);
      }
      if (this.#flights.size >= maxConcurrent) {
        throw new NodeError(503, "overloaded", `${maxConcurrent} inferences are under way; try again later`);
      }
      flight = new AnswerFlight(bodyHash, prepared.streamed);
      this.#flights.set(requestId, flight);
      void this.#fly(flight, kind, prepared, { requestId, inputHash: hash, payer: payment.payer, fee: payment.feeWei });
    }
    await flight.begun();
    return { streamed: flight.streamed, pieces: flight.follow() };
  }

  /** Runs a request to its end, whoever still listens: the receipt and the answer are durable before the last piece goes out. */
  async #fly(
    flight: AnswerFlight,
    kind: RequestKind,
    { offer, streamed, run }: PreparedInference,
    request: { requestId: Hex; inputHash: Hex; payer: Hex; fee: bigint },
  ): Promise<void> {
    const { operator, signer, nowSeconds, logger } = this.#options;
    try {
      const emit = streamed ? (chunk: object) => flight.emit(serverSentEvent(chunk)) : () => undefined;
      const context = { id: request.requestId.slice(2, 34), created: nowSeconds(), emit };
      const { output, answer } = await this.#run({ offer, streamed, run }, context);
      const receipt = this.#sign({
        ...request,
        modelId: offer.modelId,
        mode: Mode.Vanilla,
        outputHash: keccak256(output),
        servedAt: BigInt(nowSeconds()),
      });
      const opengradient = { receipt: signedReceiptToJson(receipt), operator, signer: signer.address };
      const sealed = { ...answer, opengradient };
      const last = streamed ? serverSentEvent(sealed) + DONE_EVENT : JSON.stringify(sealed);
      const content = flight.text + last;
      await this.store.add({ kind, bodyHash: flight.bodyHash, streamed, content, receipt });
      flight.emit(last);
      flight.end();
      logger.debug({ requestId: request.requestId, model: offer.id }, "served");
    } catch (error) {
      flight.fail(error);
    } finally {
      this.#flights.delete(request.requestId);
    }
  }

  /** Runs within the time bound and while the node runs, also where the model itself cannot be interrupted. */
  async #run({ run }: PreparedInference, context: Omit<InferenceContext, "signal">): Promise<CompletedInference> {
    const stopping = this.#stopping.signal;
    const running = new AbortController();
    const onStop = () => running.abort(stopping.reason);
    const onTimeout = () =>
      running.abort(new NodeError(504, "inference_timeout", "the model did not answer in time; nothing was charged"));
    stopping.addEventListener("abort", onStop, { once: true });
    if (stopping.aborted) onStop();
    const timer = setTimeout(onTimeout, this.#options.inferenceTimeoutMs);
    try {
      return await untilAborted(run({ ...context, signal: running.signal }), running.signal);
    } catch (error) {
      // Libraries wrap an abort in errors of their own; what counts is why it was aborted.
      throw running.signal.aborted ? running.signal.reason : error;
    } finally {
      clearTimeout(timer);
      stopping.removeEventListener("abort", onStop);
    }
  }

  #sign(receipt: SignedReceipt["receipt"]): SignedReceipt {
    return { receipt, signature: this.signer.sign(this.#hasher.receiptDigest(receipt)) };
  }

  #modelList(): object[] {
    const { operator, payout } = this.#options;
    return this.offers.map(({ id, modelId, feeWei }) => {
      return { id, modelId, kind: this.modelKind, modes: [Mode.Vanilla], feeWei: feeWei.toString(), payout, operator };
    });
  }
}

function requireSameBody(known: string, found: string): void {
  if (known !== found) {
    throw new NodeError(409, "request_id_reused", "another request was paid by this payment: sign a new one");
  }
}
