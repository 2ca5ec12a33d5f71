import type { AddressInfo } from "node:net";

import type { FastifyInstance } from "fastify";
import type { Logger } from "pino";

import type { EnclaveIdentity } from "../enclave/EnclaveIdentity.ts";
import type { SealingKey } from "../ohttp/keyConfig.ts";
import type { RequestKind } from "../receipts/hashes.ts";
import type { Signer } from "../receipts/secp256k1.ts";
import type { TokenUsage } from "../receipts/tariff.ts";
import { type Hex, Mode, type SettlementDomain } from "../receipts/types.ts";
import { type TokenPrice, tokenPriceToJson } from "../pricing/TokenPrice.ts";
import { openForm } from "./AnswerForm.ts";
import { Cancellation } from "./Cancellation.ts";
import { createNodeServer, type NodeAnswer } from "./createNodeServer.ts";
import { modeNotServed, NodeError, toNodeError } from "./NodeError.ts";
import {
  type PaidAnswer,
  PaidAnswers,
  type PaidAnswersOptions,
  type ServeOptions,
  type WrittenAlong,
} from "./PaidAnswers.ts";
import type { NodePayment } from "./paymentHeader.ts";
import type { ReceiptPlace } from "./ReceiptPlaces.ts";
import type { ReceiptStore } from "./ReceiptStore.ts";
import type { RequestBody } from "./RequestBody.ts";
import type { ZkManifest } from "../zkml/manifest.ts";
import type { TensorLayout } from "../zkml/quantise/ZkModel.ts";
import type { ReceiptTensors, TensorProof } from "../receipts/tensors.ts";
import type { ProofContext } from "../zkml/context.ts";
import type { PublishedModel } from "../zkml/ZkDirectory.ts";
import { SealedRequests } from "./SealedRequests.ts";
import { ProofDesk, type ProofDeskOptions } from "./zk/ProofDesk.ts";
import type { SealedAnswer, SealedCall } from "./SealedRoutes.ts";

/** What there is to say of a zk model that is for sale. */
export type OfferedModel = TensorLayout & { manifest: ZkManifest };

/** A model a node sells. */
export interface ModelOffer {
  /** Name in requests, e.g. "opengradient/liquidation-risk-v1". */
  id: string;
  /** Version in ModelRegistry, 32 bytes: what receipts name. */
  modelId: Hex;
  /** Fee of one request, wei of the node's asset; where the tokens have a price, of one that is not charged by use. */
  feeWei: bigint;
  /** What a token costs where requests are charged by use. */
  tokenPrice?: TokenPrice;
  /** Most tokens of one answer, where the model counts them: what a request without a limit of its own may cost. */
  maxOutputTokens?: number;
  /** Of a zk model: what turns its tensors into the words that receipts are about. */
  zk?: OfferedModel;
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
  /** Key that signs receipts, registered in NodeRegistry for the operator. Default: the enclave's; needed outside of one. */
  signer?: Signer;
  /** The enclave this node runs in: it signs receipts of mode TEE, and answers carry its `tee_` fields too. */
  enclave?: EnclaveIdentity;
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
  /** Opens sealed requests; the enclave's key, that its attestation binds. Without it they are not served. */
  sealing?: SealingKey;
  /** Unix seconds for `servedAt`. Default: the wall clock; a simulation that moves chain time passes its own. */
  nowSeconds?: () => number;
  /** Proves answers of zk models: with it they are served in mode ZKML too. Needs a signer of its own, since an enclave's key is not for that. */
  proving?: ProofDeskOptions;
}

/** What a model is given besides the request. */
export interface InferenceContext {
  /** Differs for each request, without a prefix. */
  id: string;
  /** Unix seconds at the start. */
  created: number;
  /** Sends a chunk of an event stream; without effect when none was asked for. */
  emit: (chunk: object) => void;
  cancellation: Cancellation;
}

/** A finished inference. */
export interface CompletedInference {
  /** What was answered, as the text whose keccak256 is the receipt's output hash. */
  output: string;
  /** The same as an enclave states it, where that is another text. */
  teeOutput?: string;
  /** Of a zk model: its words, which the receipt's output hash is over, and not that text. */
  outWords?: readonly bigint[];
  /** What it is charged by, where it is charged by use. */
  usage?: TokenUsage;
  /** The JSON answer, or the last chunk of the event stream, to which the receipt is added. A `JsonText` passes as it is. */
  answer: object;
}

/** A request that was read and can be served. */
export interface PreparedInference {
  offer: ModelOffer;
  streamed: boolean;
  /** Of a zk model, what is asked for: its words, which the receipt's input hash is over. */
  inWords?: readonly bigint[];
  /** What the client asks for; undefined leaves it to the node. */
  mode?: Mode;
  run: (context: InferenceContext) => Promise<CompletedInference>;
}

/** An answer as `infer` gives it. */
export interface Inferred {
  output: string;
  /** Of a zk model; the receipt's hashes are over them, and not over the texts. */
  tensors?: ReceiptTensors;
}

/** A request that a node has read for who sells its answer in the same process. */
export interface ReadRequest {
  body: RequestBody;
  prepared: PreparedInference;
}

/**
 * An inference node: runs a request, signs a receipt, stores both and only then lets the (last piece of the) answer go. A request is known by its
 * payment: the same again gets the stored answer, also after a crash, and copies that come while the model runs share the one run.
 * Subclasses bring the models.
 */
export abstract class InferenceNode {
  readonly store: ReceiptStore;
  readonly signer: Signer;
  /** What this node's receipts say of how its answers are verified. */
  readonly mode: Mode;
  protected readonly enclave: EnclaveIdentity | undefined;
  readonly #options: Required<Omit<InferenceNodeOptions, "sealing" | "signer" | "enclave" | "proving">>;
  readonly #proofs: ProofDesk | undefined;
  readonly #sealed: SealedRequests | undefined;
  readonly #kinds: readonly RequestKind[];
  readonly #paid: PaidAnswers;
  #server: FastifyInstance | undefined;
  /** Why nothing is begun any more. */
  #stopping: NodeError | undefined;
  readonly #running = new Set<Running>();
  #port: number;

  /** @param models of the zk models that are served, by version; filled before `start`. */
  protected constructor(
    options: InferenceNodeOptions,
    kinds: readonly RequestKind[],
    models: ReadonlyMap<Hex, PublishedModel> = new Map(),
  ) {
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
    const { enclave, signer = enclave?.signer, proving } = options;
    if (signer === undefined) throw new TypeError("Expected a signer, or the enclave that has one");
    if (enclave !== undefined && signer !== enclave.signer) {
      throw new TypeError("Expected the enclave's signer: receipts of mode TEE are signed by an attested key");
    }
    if (enclave !== undefined && proving !== undefined) {
      throw new TypeError("Expected no prover in an enclave: its key signs receipts of mode TEE alone");
    }
    this.signer = signer;
    this.enclave = enclave;
    this.mode = enclave === undefined ? Mode.Vanilla : Mode.Tee;
    this.#sealed = options.sealing && new SealedRequests(options.sealing);
    this.#kinds = kinds;
    this.#port = this.#options.port;
    this.store = options.store;
    const { mode, store } = this;
    const { domain, logger } = options;
    this.#proofs =
      proving &&
      new ProofDesk({
        ...proving,
        ...{ domain, models, logger },
        store: store.proofs,
        onProven: () => store.announceProof(),
      });
    const proofs = this.#proofs;
    const run: PaidAnswersOptions["run"] = (prepared, context) => this.#run(prepared, context);
    this.#paid = new PaidAnswers({ ...this.#options, signer, mode, enclave, proofs, run });
  }

  /** What this node can serve now. */
  abstract readonly offers: readonly ModelOffer[];
  protected abstract readonly modelKind: "onnx" | "chat";

  /**
   * Reads a request.
   * @param parsed the same, where it is parsed already.
   * @throws an error that `toNodeError` makes a 4xx of.
   */
  protected abstract prepare(kind: RequestKind, body: Uint8Array, parsed?: RequestBody): PreparedInference;

  get operator(): Hex {
    return this.#options.operator;
  }

  /** Base URL of the private API, without a slash at the end. */
  get url(): string {
    if (this.#server === undefined) throw new Error("the node is not running: call start() first");
    return `http://${this.#options.host}:${this.#port}`;
  }

  async start(): Promise<void> {
    const { bearerToken, bodyLimitBytes, host, logger, operator } = this.#options;
    this.#stopping = undefined;
    const server = createNodeServer({
      bearerToken,
      bodyLimitBytes,
      logger,
      kinds: this.#kinds,
      health: () => ({ status: "ok", operator, signer: this.signer.address }),
      models: () => this.#modelList(),
      placeOf: (requestId) => this.placeOf(requestId),
      answer: (kind, body, payment) => this.#answer(kind, body, payment),
      proof: (requestId) => this.#proofs?.find(requestId) ?? Promise.resolve(undefined),
      sealed: this.#sealed && {
        keyConfigs: this.#sealed.keyConfigs,
        teeId: this.enclave?.teeId,
        answer: (call, payment) => this.#answerSealed(call, payment),
      },
    });
    await server.listen({ host, port: this.#port });
    this.#port = (server.server.address() as AddressInfo).port;
    this.#server = server;
    this.#proofs?.start();
    logger.info({ url: this.url, models: this.offers.map(({ id }) => id) }, "inference node listens");
  }

  /** Ends what is under way with an error; requests may come again after a new start. */
  async stop(): Promise<void> {
    this.#stopping = new NodeError(503, "node_stopping", "the node is stopping; nothing was charged");
    for (const inference of this.#running) inference.end(this.#stopping);
    await this.#paid.drained();
    await this.#proofs?.stop();
    // Those who wait are told why before their connections are closed.
    await new Promise(setImmediate);
    await this.#server?.close();
    this.#server = undefined;
  }

  /** Where clients' payments go. */
  get payout(): Hex {
    return this.#options.payout;
  }

  /** Token that fees are in. */
  get asset(): Hex {
    return this.#options.asset;
  }

  /** What the requests that are served here may be. */
  get kinds(): readonly RequestKind[] {
    return this.#kinds;
  }

  /**
   * Reads a request, so that who sells its answer in this process knows what is asked for before it takes a payment.
   * @throws NodeError 4xx
   */
  read(body: RequestBody): ReadRequest {
    try {
      const { kind, bytes } = body;
      if (!this.#kinds.includes(kind)) throw new NodeError(404, "not_found", `${kind} requests are not served here`);
      return { body, prepared: this.prepare(kind, bytes, body) };
    } catch (error) {
      throw toNodeError(error);
    }
  }

  /** The answer that a payment has bought already, stored or under way. @throws NodeError 409 for another request's payment. */
  bought({ bodyHash }: RequestBody, payment: NodePayment): PaidAnswer | undefined {
    return this.#paid.known({ requestId: this.#paid.requestId(payment), bodyHash, payment });
  }

  /**
   * Serves a request that was read, as `POST` of the private API does: one payment, one answer.
   * @param along is written with the answer, and only if it is a new one.
   * @throws NodeError; later failures are the answer's.
   */
  serve(
    { body, prepared }: ReadRequest,
    payment: NodePayment,
    along?: WrittenAlong,
    options?: ServeOptions,
  ): PaidAnswer {
    const { kind, json, bodyHash, inputHash } = body;
    const { requestId = this.#paid.requestId(payment) } = options ?? {};
    const bought = { requestId, bodyHash, payment, inputHash };
    const servable = { prepared, form: openForm(kind, prepared.streamed) };
    return this.#paid.answer(bought, kind, json, () => servable, along, options);
  }

  /**
   * Runs a request that is paid for in another way than by a gateway: no receipt, nothing stored.
   *
   * @param modelId The version that was paid for; another one is not run.
   * @returns the answer's text, whose keccak256 is the receipt's output hash unless the model is a zk model.
   * @throws NodeError
   */
  async infer(kind: RequestKind, body: Uint8Array, modelId: Hex): Promise<Inferred> {
    try {
      const prepared = this.#prepareModel(kind, body, modelId);
      const context = { id: "", created: this.#options.nowSeconds(), emit: () => undefined };
      const { output, outWords } = await this.#run(prepared, context);
      const { inWords } = prepared;
      return { output, ...(inWords && outWords && { tensors: { inWords, outWords } }) };
    } catch (error) {
      throw toNodeError(error);
    }
  }

  /** How far the settlement of an answer's receipt has come; undefined for a request without an answer. */
  placeOf(requestId: Hex): ReceiptPlace | undefined {
    return this.store.placeOf(requestId);
  }

  /** Whether answers of zk models can be proven here. */
  get proves(): boolean {
    return this.#proofs !== undefined;
  }

  /**
   * Proves an answer that `infer` gave.
   * @throws NodeError 400 where nothing is proven; ProverError
   */
  prove(context: ProofContext, inWords: readonly bigint[]): Promise<ReceiptTensors & { proof: TensorProof }> {
    if (this.#proofs === undefined) throw modeNotServed("ZKML");
    return this.#proofs.prove(context, inWords);
  }

  async #answer(kind: RequestKind, body: Buffer, payment: NodePayment): Promise<NodeAnswer> {
    return this.#paid.served(this.#paid.bought(kind, body, payment), kind, body, () => {
      const prepared = this.prepare(kind, body);
      return { prepared, form: openForm(kind, prepared.streamed) };
    });
  }

  /** A sealed request is known by its ciphertext, and so is its answer. */
  async #answerSealed(call: SealedCall, payment: NodePayment): Promise<SealedAnswer> {
    if (this.#sealed === undefined) throw new NodeError(404, "not_found", "sealed requests are not served here");
    const bought = this.#paid.bought("sealed", call.body, payment);
    const proof = () => this.#paid.proof(bought.requestId);
    // answers outlive the key that their requests were sealed with
    const known = this.#paid.known(bought);
    if (known?.receipt !== undefined) return { pieces: known.follow(), proof };
    const { kind, body, form, refusal } = await this.#sealed.open(call.body, call.streamed);
    try {
      const { pieces } = await this.#paid.served(bought, kind, body, () => {
        const prepared = this.#prepareModel(kind, body, call.modelId);
        if (prepared.streamed === call.streamed) return { prepared, form };
        throw new NodeError(
          400,
          "stream_mismatch",
          "a streamed answer has to be asked for inside and outside the seal",
        );
      });
      return { pieces, proof };
    } catch (error) {
      const known = toNodeError(error);
      // its message and cause may quote the request
      if (known.status >= 500) this.#options.logger.error({ code: known.code }, "sealed request failed");
      throw refusal(known);
    }
  }

  /** @throws NodeError 400 `wrong_model` for another version than `modelId`. */
  #prepareModel(kind: RequestKind, body: Uint8Array, modelId: Hex): PreparedInference {
    if (!this.#kinds.includes(kind)) throw new NodeError(404, "not_found", `${kind} requests are not served here`);
    const prepared = this.prepare(kind, body);
    if (prepared.offer.modelId === modelId) return prepared;
    throw new NodeError(
      400,
      "wrong_model",
      `the request asks for "${prepared.offer.id}", which is not what was paid for`,
    );
  }

  /** Runs within the time bound and while the node runs, also where the model itself cannot be interrupted. */
  #run({ run }: PreparedInference, context: Omit<InferenceContext, "cancellation">): Promise<CompletedInference> {
    return new Promise((resolve, reject) => {
      const running = new Running(reject, this.#options.inferenceTimeoutMs);
      this.#running.add(running);
      if (this.#stopping !== undefined) running.end(this.#stopping);
      const { id, created, emit } = context;
      run({ id, created, emit, cancellation: running.cancellation }).then(
        (completed) => {
          this.#settled(running);
          resolve(completed);
        },
        (error: Error) => {
          this.#settled(running);
          reject(error);
        },
      );
    });
  }

  #settled(running: Running): void {
    running.stopClock();
    this.#running.delete(running);
  }

  #modelList(): object[] {
    const { operator, payout } = this.#options;
    return this.offers.map(({ id, modelId, feeWei, tokenPrice, maxOutputTokens, zk }) => ({
      ...{ id, modelId, kind: this.modelKind, feeWei: feeWei.toString(), payout, operator },
      modes: [this.mode, ...(zk !== undefined && this.proves ? [Mode.Zkml] : [])],
      ...(zk && { zk: { shape: zk.shape.dims, manifest: zk.manifest, inputScales: zk.inputScales } }),
      ...(tokenPrice && { tokenPrice: tokenPriceToJson(tokenPrice) }),
      ...(maxOutputTokens !== undefined && { maxOutputTokens }),
    }));
  }
}

/** An inference under way. */
class Running {
  readonly cancellation = new Cancellation();
  readonly #reject: (reason: Error) => void;
  readonly #clock: NodeJS.Timeout;

  constructor(reject: (reason: Error) => void, timeoutMs: number) {
    this.#reject = reject;
    this.#clock = setTimeout(endLate, timeoutMs, this);
  }

  stopClock(): void {
    clearTimeout(this.#clock);
  }

  /** Ends it for who waits, also where the model itself cannot be interrupted. */
  end(reason: Error): void {
    this.#reject(reason);
    this.cancellation.cancel(reason);
  }
}

const endLate = (running: Running): void =>
  running.end(new NodeError(504, "inference_timeout", "the model did not answer in time; nothing was charged"));
