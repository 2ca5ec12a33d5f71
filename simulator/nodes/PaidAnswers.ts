import { randomBytes } from "node:crypto";

import type { Logger } from "pino";

import { MerkleReceiptSigner } from "../enclave/MerkleReceiptSigner.ts";
import type { EnclaveIdentity } from "../enclave/EnclaveIdentity.ts";
import { blindedHash } from "../ohttp/blindedHash.ts";
import { toHex } from "../receipts/bytes.ts";
import { SettlementHasher } from "../receipts/eip712.ts";
import { inputHash, type PaidKind, type RequestKind } from "../receipts/hashes.ts";
import { keccak256 } from "../receipts/keccak.ts";
import { requestIdForPayment } from "../receipts/requestId.ts";
import { recoverAddress, type Signer } from "../receipts/secp256k1.ts";
import type { RawBody } from "../receipts/requestText.ts";
import { feeOf } from "../receipts/tariff.ts";
import { signTeeFields, teeRequestHash } from "../receipts/teeReceipt.ts";
import {
  type Hex,
  Mode,
  type Receipt,
  type SettlementDomain,
  type SignedReceipt,
  signedReceiptToJson,
} from "../receipts/types.ts";
import { manifestHash } from "../zkml/manifest.ts";
import { tensorHash } from "../zkml/tensorHash.ts";
import { AnswerFlight } from "./AnswerFlight.ts";
import type { AnswerForm } from "./AnswerForm.ts";
import type { NodeAnswer } from "./createNodeServer.ts";
import type { CompletedInference, InferenceContext, PreparedInference } from "./InferenceNode.ts";
import { JsonText, withMembers } from "./JsonText.ts";
import { modeNotServed, NodeError, toNodeError } from "./NodeError.ts";
import type { NodePayment } from "./paymentHeader.ts";
import type { ReceiptStore, StoredAnswer } from "./ReceiptStore.ts";
import { bodyHashOf } from "./RequestBody.ts";
import type { ProofDesk } from "./zk/ProofDesk.ts";

export interface PaidAnswersOptions {
  domain: SettlementDomain;
  operator: Hex;
  asset: Hex;
  signer: Signer;
  mode: Mode;
  enclave: EnclaveIdentity | undefined;
  /** Of a node that serves mode ZKML. */
  proofs: ProofDesk | undefined;
  store: ReceiptStore;
  maxConcurrent: number;
  nowSeconds: () => number;
  logger: Logger;
  /** Runs a model, within bounds. */
  run: (prepared: PreparedInference, context: Omit<InferenceContext, "cancellation">) => Promise<CompletedInference>;
}

/** A payment, the one request it buys, and what is bought. */
export interface Bought {
  requestId: Hex;
  bodyHash: string;
  payment: NodePayment;
  /** Of the receipt, where it is known already. */
  inputHash?: Hex;
}

/** An answer as who asks in the same process gets it. */
export interface PaidAnswer {
  readonly requestId: Hex;
  readonly streamed: boolean;
  /** Of the answer, once it is whole. */
  readonly receipt: SignedReceipt | undefined;
  /** The whole answer, once it is durable. Rejects with what it failed with. */
  whole(): Promise<string>;
  /** The same in pieces, as they come. */
  follow(): AsyncIterable<string>;
}

/** Statements that are kept together with an answer and its receipt, or not at all. */
export type WrittenAlong = (receipt: SignedReceipt) => void;

export interface ServeOptions {
  /** The caller knows that the payment has bought nothing yet: the store is not asked. Default false. */
  isNew?: boolean;
  /** How an enclave signs the answer: by itself, as OpenGradient's clients expect it, or together with others. Default "plain". */
  teeSignature?: TeeSignature;
  /** Of the payment, where the caller knows it already. */
  requestId?: Hex;
}

export type TeeSignature = "plain" | "merkle";

/** A request that can be served, and the form of its answer. */
export interface Servable {
  prepared: PreparedInference;
  form: AnswerForm;
}

/** One inference per payment, and its receipt: whoever asks again, or at the same time, gets the same answer. */
export class PaidAnswers {
  readonly #options: PaidAnswersOptions;
  readonly #hasher: SettlementHasher;
  readonly #flights = new Map<Hex, AnswerFlight>();
  readonly #together: MerkleReceiptSigner | undefined;

  constructor(options: PaidAnswersOptions) {
    this.#options = options;
    this.#hasher = new SettlementHasher(options.domain);
    const { enclave } = options;
    this.#together = enclave && new MerkleReceiptSigner((root) => enclave.signTeeMessage(root));
  }

  bought(kind: PaidKind, body: Buffer, payment: NodePayment): Bought {
    return { requestId: this.requestId(payment), bodyHash: bodyHashOf(kind, body), payment };
  }

  requestId(payment: NodePayment): Hex {
    const { domain, operator } = this.#options;
    return requestIdForPayment(domain, operator, payment);
  }

  /** The answer under way, or the stored one. @throws NodeError 409 when the payment has bought another request. */
  known({ requestId, bodyHash }: Bought): PaidAnswer | undefined {
    // what is under way may be committed, and not yet durable
    const flight = this.#flights.get(requestId);
    if (flight !== undefined) {
      requireSameBody(flight.bodyHash, bodyHash);
      return flight;
    }
    const stored = this.#options.store.find(requestId);
    if (stored === undefined) return undefined;
    requireSameBody(stored.bodyHash, bodyHash);
    return storedAnswer(requestId, stored);
  }

  /** What an answer carries under `opengradient`, for those who cannot read the answer; undefined while it is not whole. */
  proof(requestId: Hex): object | undefined {
    const signed = this.#options.store.find(requestId)?.receipt;
    if (signed === undefined) return undefined;
    // an earlier run may have had another key
    const signer = recoverAddress(this.#hasher.receiptDigest(signed.receipt), signed.signature);
    return { receipt: signedReceiptToJson(signed), operator: this.#options.operator, signer };
  }

  /** The answer under way, or the stored one, or else a new one, with which `along` is written. */
  answer(
    bought: Bought,
    kind: RequestKind,
    body: RawBody,
    prepare: () => Servable,
    along?: WrittenAlong,
    { isNew = false, teeSignature = "plain" }: ServeOptions = {},
  ): PaidAnswer {
    const known = isNew && !this.#flights.has(bought.requestId) ? undefined : this.known(bought);
    return known ?? this.#begin(bought, kind, body, prepare, along, teeSignature);
  }

  /** The same as HTTP passes it on: once there is a first piece of it. */
  async served(bought: Bought, kind: RequestKind, body: Uint8Array, prepare: () => Servable): Promise<NodeAnswer> {
    const answer = this.answer(bought, kind, body, prepare);
    const flight = this.#flights.get(bought.requestId);
    await flight?.begun();
    return { streamed: answer.streamed, pieces: answer.follow() };
  }

  /** Resolves when nothing is under way any more. */
  async drained(): Promise<void> {
    while (this.#flights.size > 0) await Promise.all([...this.#flights.values()].map((flight) => flight.ended));
  }

  #begin(
    bought: Bought,
    kind: RequestKind,
    body: RawBody,
    prepare: () => Servable,
    along: WrittenAlong | undefined,
    teeSignature: TeeSignature,
  ): AnswerFlight {
    const { requestId, bodyHash, payment } = bought;
    const { asset, maxConcurrent, enclave } = this.#options;
    if (payment.asset !== asset) {
      throw new NodeError(400, "wrong_asset", `fees are paid in ${asset}, found ${payment.asset}`);
    }
    // what has no hash is no request that two programs read alike
    const textHash = bought.inputHash ?? inputHash(kind, body);
    const servable = prepare();
    const { offer, streamed, inWords } = servable.prepared;
    const hash = inWords ? tensorHash(inWords) : textHash;
    const teeHash = enclave && teeRequestHash(kind, body, hash);
    const mode = this.#modeOf(servable, payment);
    // charged by use, it is at most that much; how much it has to be is between the operator's gateway and the client
    if (payment.tariff === undefined && payment.feeWei < offer.feeWei) {
      throw new NodeError(402, "fee_too_low", `the fee is ${offer.feeWei} wei, found ${payment.feeWei}`);
    }
    if (this.#flights.size >= maxConcurrent) {
      throw new NodeError(503, "overloaded", `${maxConcurrent} inferences are under way; try again later`);
    }
    const flight = new AnswerFlight(requestId, bodyHash, streamed);
    this.#flights.set(requestId, flight);
    void this.#fly(
      flight,
      servable,
      { requestId, inputHash: hash, payment, mode },
      teeHash && { hash: teeHash, form: teeSignature },
      along,
    );
    return flight;
  }

  /** Runs a request to its end, whoever still listens: the receipt and the answer are durable before the last piece goes out. */
  async #fly(
    flight: AnswerFlight,
    { prepared, form }: Servable,
    {
      requestId,
      inputHash: hash,
      payment,
      mode,
    }: Pick<Bought, "requestId" | "payment"> & { inputHash: Hex; mode: Mode },
    wanted: { hash: Hex; form: TeeSignature } | undefined,
    along: WrittenAlong | undefined,
  ): Promise<void> {
    const { operator, signer, enclave, store, proofs, run, nowSeconds, logger } = this.#options;
    const { offer, streamed, inWords } = prepared;
    try {
      const emit = streamed ? (chunk: object) => flight.emit(form.event(chunk)) : () => undefined;
      const context = { id: requestId.slice(2, 34), created: nowSeconds(), emit };
      const { output, outWords, teeOutput, usage, answer } = await run(prepared, context);
      const servedAt = BigInt(nowSeconds());
      const textHash = keccak256(output);
      const outputHash = outWords ? tensorHash(outWords) : textHash;
      // nobody who sees the receipt can guess what it is about, except with the salt; a sealed request's is secret already
      const salt = payment.settlement === "private" && form.kind !== "sealed" ? toHex(randomBytes(32)) : undefined;
      const receipt = this.#sign({
        requestId,
        payer: payment.payer,
        fee: payment.tariff === undefined ? payment.feeWei : feeOf(payment.tariff, usage, payment.feeWei),
        inputHash: receiptHash(form, salt, "input", hash),
        modelId: offer.modelId,
        mode,
        outputHash: receiptHash(form, salt, "output", outputHash),
        servedAt,
      });
      const receiptJson = JSON.stringify(signedReceiptToJson(receipt));
      const opengradient = withMembers(new JsonText(`{"receipt":${receiptJson}}`, { receipt }), {
        operator,
        signer: signer.address,
        ...(salt !== undefined && { salt }),
        ...(offer.zk && { zk: { manifestHash: manifestHash(offer.zk.manifest) } }),
      });
      const statement = wanted && {
        requestHash: wanted.hash,
        outputHash: teeOutput === undefined ? textHash : keccak256(teeOutput),
        timestamp: servedAt,
      };
      // with the answer, so that of a sealed one nobody but the client sees these hashes
      const together = wanted?.form === "merkle" ? this.#together : undefined;
      const tee = statement && enclave && (await signTeeFields(enclave, statement, together));
      const last = form.end(withMembers(answer, { ...tee, opengradient }));
      const content = flight.text + last;
      // what is blinded in the receipt is not published beside it
      const open = salt === undefined && form.kind !== "sealed";
      const tensors = open &&
        inWords &&
        outWords && {
          ...{ modelId: offer.modelId, requester: payment.payer, toProve: mode === Mode.Zkml },
          tensors: { inWords, outWords },
        };
      await store.add(
        { kind: form.kind, bodyHash: flight.bodyHash, streamed, content, receipt, ...(tensors && { tensors }) },
        { receiptJson, along: along && (() => along(receipt)), individual: payment.settlement === "individual" },
      );
      if (tensors && tensors.toProve) proofs?.add({ requestId, ...tensors });
      flight.receipt = receipt;
      flight.emit(last);
      flight.end();
      logger.debug({ requestId, model: offer.id }, "served");
    } catch (error) {
      if (flight.text === "" || form.failure === undefined) {
        flight.fail(error);
      } else {
        const failure = toNodeError(error);
        // no more of it: the error may quote the request
        logger.error({ requestId, code: failure.code }, "stream failed");
        flight.emit(form.failure(failure));
        flight.end();
      }
    } finally {
      this.#flights.delete(requestId);
    }
  }

  /** What the receipt will say. @throws NodeError for what is not served, or not now. */
  #modeOf({ prepared, form }: Servable, { settlement }: NodePayment): Mode {
    const { mode, proofs } = this.#options;
    const wanted = prepared.mode ?? mode;
    if (wanted === mode) return mode;
    if (wanted !== Mode.Zkml || proofs === undefined || prepared.inWords === undefined) {
      throw modeNotServed(Object.keys(Mode)[wanted] ?? String(wanted));
    }
    // a proof says the words, and blinded hashes cannot be computed from them
    if (settlement === "private" || form.kind === "sealed") {
      throw new NodeError(400, "zkml_not_private", "a proven answer is published with its tensors: ask for no privacy");
    }
    proofs.requireRoom();
    return wanted;
  }

  #sign(receipt: Receipt): SignedReceipt {
    return { receipt, signature: this.#options.signer.sign(this.#hasher.receiptDigest(receipt)) };
  }
}

const storedAnswer = (requestId: Hex, { streamed, content, receipt }: StoredAnswer): PaidAnswer => ({
  requestId,
  streamed,
  receipt,
  whole: () => Promise.resolve(content),
  follow: () => ReadableStream.from([content]),
});

/** A hash as the receipt of an answer in this form states it. */
const receiptHash = (form: AnswerForm, salt: Hex | undefined, what: "input" | "output", plain: Hex): Hex =>
  salt === undefined ? form.receiptHash(what, plain) : blindedHash(salt, what, plain);

function requireSameBody(known: string, found: string): void {
  if (known !== found) {
    throw new NodeError(409, "request_id_reused", "another request was paid by this payment: sign a new one");
  }
}
