import type { Result } from "ethers";
import type { Logger } from "pino";

import { type InferenceEscrow, InferenceEscrow__factory } from "../../typechain-types/index.ts";
import type { Chain } from "../chain/connectChain.ts";
import { ContractRevertError } from "../chain/ContractRevertError.ts";
import { EventFollower } from "../chain/EventFollower.ts";
import { on } from "../chain/eventSource.ts";
import type { TransactionSubmitter } from "../chain/TransactionSubmitter.ts";
import { SettlementHasher } from "../receipts/eip712.ts";
import { keccak256 } from "../receipts/keccak.ts";
import { type Hex, Mode, type Receipt, type SettlementDomain, type SignedReceipt } from "../receipts/types.ts";
import type { ReceiptTensors } from "../receipts/tensors.ts";
import type { BlobStore } from "../storage/BlobStore.ts";
import { tensorHash } from "../zkml/tensorHash.ts";
import { type EscrowRequest, escrowRequestSchema } from "./escrowRequest.ts";
import type { EscrowAnswer, EscrowJob, EscrowStore } from "./EscrowStore.ts";
import type { Inferred, InferenceNode } from "./InferenceNode.ts";
import { NodeError } from "./NodeError.ts";
import { requestKindOf } from "./requestKindOf.ts";

export interface EscrowWorkerOptions {
  chain: Chain;
  /** Address of InferenceEscrow. */
  escrow: Hex;
  /** The ProofSettlement that receipts are signed for. */
  domain: SettlementDomain;
  /** Block from which requests are looked for; the address book's `startBlock`. */
  fromBlock: number;
  /** Runs the models; its operator and signer answer. */
  node: Pick<InferenceNode, "operator" | "signer" | "mode" | "offers" | "infer"> &
    Partial<Pick<InferenceNode, "proves" | "prove">>;
  /** Where inputs are and outputs go. */
  blobs: BlobStore;
  /** Sends `fulfil`; any funded account may. */
  submitter: TransactionSubmitter;
  /** Opened and closed by the caller. */
  store: EscrowStore;
  logger: Logger;
  /** Most requests worked on at once. Default 4. */
  maxConcurrent?: number;
  /** Most bytes of an input. Default 1 MiB. */
  maxInputBytes?: number;
  /** First wait before a request that failed is tried again; doubles up to 64 times that. Default 500. */
  retryMs?: number;
}

/** InferenceEscrow's enum Status. */
const LockStatus = { None: 0n, Locked: 1n, Fulfilled: 2n, Refunded: 3n } as const;

const LONGEST_RETRY_DOUBLINGS = 6;

/** This operator will not answer the request: it is left to expire, and its payer is refunded. */
class NotServedError extends Error {
  override readonly name = "NotServedError";
}

/**
 * Answers requests that are paid from InferenceEscrow. For each `RequestLocked` of its operator it fetches the input, runs the model, stores the output,
 * signs the receipt and brings it to the chain; a request in mode ZKML with its proof. Input and output blobs are exactly the bytes that the
 * receipt's two hashes are over; those of a zk model are over the words of the tensors in them. What it does not serve it leaves alone, so that it expires. After a crash it goes on where it was: the answer is stored before it is sent.
 */
export class EscrowWorker {
  readonly #options: Required<EscrowWorkerOptions>;
  readonly #escrow: InferenceEscrow;
  readonly #hasher: SettlementHasher;
  readonly #running = new Map<Hex, Promise<void>>();
  /** Requests that failed, and when each is due again (of `performance.now()`). */
  readonly #retries = new Map<Hex, { attempts: number; dueAtMs: number }>();
  #follower: EventFollower | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: EscrowWorkerOptions) {
    this.#options = { maxConcurrent: 4, maxInputBytes: 1 << 20, retryMs: 500, ...options };
    this.#escrow = InferenceEscrow__factory.connect(options.escrow, options.chain.provider);
    this.#hasher = new SettlementHasher(options.domain);
  }

  async start(): Promise<void> {
    if (this.#follower !== undefined) return;
    const { chain, fromBlock, logger, store, node } = this.#options;
    const operator = node.operator.toLowerCase();
    this.#follower = new EventFollower({
      chain,
      fromBlock,
      logger,
      store: store.follower,
      sources: [
        on(this.#escrow, "RequestLocked", ({ args, removed }) => {
          if (args.operator.toLowerCase() === operator) this.#onLocked(args.requestId as Hex, args.request, removed);
        }),
        on(this.#escrow, "RequestFulfilled", ({ args, removed }) => this.#onEnd(args.requestId, "fulfilled", removed)),
        on(this.#escrow, "RequestRefunded", ({ args, removed }) => this.#onEnd(args.requestId, "refunded", removed)),
      ],
    });
    await this.#follower.start();
    this.#pump();
  }

  /** Waits for what is under way. */
  async stop(): Promise<void> {
    const follower = this.#follower;
    this.#follower = undefined;
    clearTimeout(this.#timer);
    await follower?.stop();
    await Promise.all(this.#running.values());
    this.#retries.clear();
  }

  #onLocked(requestId: Hex, fields: object, removed: boolean): void {
    const { store, logger } = this.#options;
    if (removed) return store.setState(requestId, "gone");
    const parsed = escrowRequestSchema.safeParse((fields as Result).toObject());
    // Whatever a contract may emit one day must not hold up the events after it.
    if (!parsed.success) return logger.warn({ err: parsed.error, requestId }, "escrow request is not understood");
    store.add(requestId, parsed.data);
    this.#pump();
  }

  #onEnd(requestId: string, state: "fulfilled" | "refunded", removed: boolean): void {
    this.#options.store.setState(requestId as Hex, removed ? "open" : state);
    if (removed) this.#pump();
  }

  /** Starts what is due, within the bound, and sets the alarm for the rest. */
  #pump(): void {
    clearTimeout(this.#timer);
    if (this.#follower === undefined) return;
    const { store, maxConcurrent } = this.#options;
    const now = performance.now();
    let nextMs = Infinity;
    for (const job of store.open()) {
      const dueAtMs = this.#retries.get(job.requestId)?.dueAtMs ?? 0;
      if (this.#running.has(job.requestId)) continue;
      if (dueAtMs > now) nextMs = Math.min(nextMs, dueAtMs - now);
      else if (this.#running.size < maxConcurrent) this.#run(job);
    }
    if (nextMs < Infinity) this.#timer = setTimeout(() => this.#pump(), nextMs).unref();
  }

  #run(job: EscrowJob): void {
    const { logger, store, retryMs } = this.#options;
    const { requestId } = job;
    const work = this.#serve(job)
      .then(() => void this.#retries.delete(requestId))
      .catch((error: unknown) => {
        if (error instanceof NotServedError) {
          logger.info({ requestId, reason: error.message }, "escrow request is not served and will expire");
          store.setState(requestId, "ignored", error.message);
          this.#retries.delete(requestId);
          return;
        }
        const attempts = (this.#retries.get(requestId)?.attempts ?? 0) + 1;
        const waitMs = retryMs * 2 ** Math.min(attempts - 1, LONGEST_RETRY_DOUBLINGS);
        this.#retries.set(requestId, { attempts, dueAtMs: performance.now() + waitMs });
        logger.warn({ err: error, requestId, attempts }, "escrow request has to wait");
      })
      .finally(() => {
        this.#running.delete(requestId);
        this.#pump();
      });
    this.#running.set(requestId, work);
  }

  async #serve(job: EscrowJob): Promise<void> {
    const { store } = this.#options;
    const { status } = await this.#escrow.locks(job.requestId);
    if (status === LockStatus.Fulfilled) return store.setState(job.requestId, "fulfilled");
    if (status === LockStatus.Refunded) return store.setState(job.requestId, "refunded");
    if (status === LockStatus.None) return store.setState(job.requestId, "gone");
    const time = await this.#chainTime();
    if (time > job.request.deadline) throw new NotServedError("its deadline has passed");
    let answer = job.answer;
    if (answer === undefined) {
      answer = await this.#answer(job, time);
      store.setAnswer(job.requestId, answer);
    }
    await this.#fulfil(job, answer);
  }

  async #answer({ requestId, request }: EscrowJob, servedAt: bigint): Promise<EscrowAnswer> {
    const { node, blobs, maxInputBytes } = this.#options;
    const offer = node.offers.find(({ modelId }) => modelId === request.modelId);
    if (offer === undefined) throw new NotServedError("its model is not served here");
    const proven = request.mode === Mode.Zkml && offer.zk !== undefined && node.proves === true;
    if (request.mode !== node.mode && !proven) throw new NotServedError(`mode ${request.mode} is not served here`);
    if (request.maxFee < offer.feeWei) throw new NotServedError(`it pays ${request.maxFee} wei, not ${offer.feeWei}`);
    const input = await blobs.get(request.inputBlobId);
    if (input.length > maxInputBytes) throw new NotServedError(`its input has more than ${maxInputBytes} bytes`);
    if (offer.zk === undefined) requireHash(request, keccak256(input));

    const { output, tensors } = await this.#infer(input, request.modelId);
    if (tensors !== undefined) requireHash(request, tensorHash(tensors.inWords));
    const bytes = Buffer.from(output, "utf8");
    const outputBlobId = await blobs.put(bytes);
    const receipt = this.#sign({
      requestId,
      modelId: request.modelId,
      mode: request.mode,
      inputHash: request.inputHash,
      outputHash: tensors === undefined ? keccak256(bytes) : tensorHash(tensors.outWords),
      payer: request.payer,
      fee: offer.feeWei,
      servedAt,
    });
    if (!proven || tensors === undefined) return { receipt, outputBlobId };
    return { receipt, outputBlobId, tensors: await this.#prove(requestId, request, tensors) };
  }

  async #prove(requestId: Hex, { modelId, payer }: EscrowRequest, { inWords }: ReceiptTensors) {
    const { node, chain, escrow } = this.#options;
    if (node.prove === undefined) throw new NotServedError("mode ZKML is not served here");
    return node.prove({ chainId: chain.chainId, consumer: escrow, requestId, modelId, requester: payer }, inWords);
  }

  async #infer(input: Uint8Array, modelId: Hex): Promise<Inferred> {
    const kind = requestKindOf(input);
    if (kind === undefined) throw new NotServedError("its input is not the body of a request");
    try {
      return await this.#options.node.infer(kind, input, modelId);
    } catch (error) {
      // A refusal stays one however often it is asked; being busy or broken passes.
      const final = error instanceof NodeError && error.status < 500 && error.status !== 429;
      throw final ? new NotServedError(error.message, { cause: error }) : error;
    }
  }

  async #fulfil({ requestId, request }: EscrowJob, answer: EscrowAnswer): Promise<void> {
    const { submitter, store, logger } = this.#options;
    const { receipt, outputBlobId } = answer;
    const { fee } = receipt.receipt;
    const call = this.#call(request, answer);
    try {
      await submitter.submit(call, { label: `fulfil ${requestId.slice(0, 10)}` });
    } catch (error) {
      if (!(error instanceof ContractRevertError)) throw error;
      if (error.errorName === "DeadlinePassed") throw new NotServedError("its deadline has passed");
      if (error.errorName === "InvalidServedAt" || error.errorName === "InvalidSigner") {
        // The lock has moved to a later second by a reorganisation, or the key was registered later: the same output, signed anew.
        const again = this.#sign({ ...receipt.receipt, servedAt: await this.#chainTime() });
        store.setAnswer(requestId, { ...answer, receipt: again });
      }
      throw error;
    }
    store.setState(requestId, "fulfilled");
    logger.info({ requestId, outputBlobId, fee }, "escrow request is fulfilled");
  }

  #call(request: EscrowRequest, { receipt, outputBlobId, tensors }: EscrowAnswer) {
    const { outputHash, fee, servedAt } = receipt.receipt;
    const signature = { r: receipt.signature.slice(0, 66), vs: `0x${receipt.signature.slice(66)}` };
    if (tensors?.proof === undefined) {
      return this.#escrow.fulfil.populateTransaction(request, outputHash, outputBlobId, fee, servedAt, signature);
    }
    const { inWords, outWords, proof } = tensors;
    const { a, b, c } = proof;
    return this.#escrow.fulfilWithProof.populateTransaction(
      request,
      [...inWords],
      [...outWords],
      { a: [...a], b: [...b], c: [...c] },
      outputBlobId,
      fee,
      servedAt,
      signature,
    );
  }

  #sign(receipt: Receipt): SignedReceipt {
    return { receipt, signature: this.#options.node.signer.sign(this.#hasher.receiptDigest(receipt)) };
  }

  /** Unix seconds of the newest block: what the contract compares `servedAt` with. */
  async #chainTime(): Promise<bigint> {
    const block = await this.#options.chain.provider.getBlock("latest");
    if (block === null) throw new Error("the chain has no newest block");
    return BigInt(block.timestamp);
  }
}

function requireHash({ inputHash }: EscrowRequest, found: Hex): void {
  if (found !== inputHash) throw new NotServedError(`its input hashes to ${found}, not ${inputHash}`);
}
