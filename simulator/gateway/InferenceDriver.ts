import { setTimeout as pause } from "node:timers/promises";
import type { Logger } from "pino";
import { SettlementHasher } from "../receipts/eip712.ts";
import type { SettlementDomain } from "../receipts/types.ts";
import { Answer } from "./Answer.ts";
import { asGatewayError, askNode, isConnectionError, isTransient } from "./askNode.ts";
import type { FinishedAnswer } from "./FinishedAnswer.ts";
import { GatewayError } from "./GatewayError.ts";
import type { NodeDirectory } from "./NodeDirectory.ts";
import type { RequestBooks } from "./payments/RequestBooks.ts";
import { limited, readNodeAnswer } from "./readNodeAnswer.ts";
import { checkFee, checkReceipt } from "./receiptCheck.ts";
import { readSealedAnswer } from "./readSealedAnswer.ts";
import type { RequestStore } from "./RequestStore.ts";
import type { StoredRequest } from "./StoredRequest.ts";

export interface InferenceDriverOptions {
  store: RequestStore;
  directory: NodeDirectory;
  books: RequestBooks;
  domain: SettlementDomain;
  logger: Logger;
  /** The longest an inference may take, from the request to its last byte. */
  answerTimeoutMs: number;
  /** How long a node that cannot be reached is tried again while a client waits, and after a restart. */
  retryMs: number;
  recoveryMs: number;
  /** The largest answer that is kept. */
  maxAnswerBytes: number;
}

/**
 * Carries reserved requests through inference: asks the node, passes a stream on as it comes, has answer and charge written down, and
 * only then lets the proof go. One inference per payment, whoever waits for it.
 */
export class InferenceDriver {
  readonly #options: InferenceDriverOptions;
  readonly #hasher: SettlementHasher;
  readonly #running = new Map<string, { answer: Answer; done: Promise<void> }>();
  readonly #stopping = new AbortController();

  constructor(options: InferenceDriverOptions) {
    this.#options = options;
    this.#hasher = new SettlementHasher(options.domain);
  }

  /** Number of inferences under way. */
  get underWay(): number {
    return this.#running.size;
  }

  /** The inference under way for a payment. */
  running(key: string): Answer | undefined {
    return this.#running.get(key)?.answer;
  }

  /** Begins the inference of a reserved request, or returns the one under way. */
  run(request: StoredRequest, retryMs = this.#options.retryMs): Answer {
    const known = this.running(request.key);
    if (known !== undefined) return known;
    const answer = new Answer();
    const done = this.#drive(answer, request, retryMs).finally(() => this.#running.delete(request.key));
    this.#running.set(request.key, { answer, done });
    return answer;
  }

  /** Takes up what an earlier run had reserved, unless it could not be charged any more. */
  recover(): void {
    const { store, books, recoveryMs } = this.#options;
    const soonSeconds = (Date.now() + recoveryMs) / 1000;
    for (const request of store.withStatus("reserved")) {
      if (request.validBefore < soonSeconds) books.failed(request);
      else this.run(request, recoveryMs);
    }
  }

  /** Waits for inferences under way; those that outlast `drainMs` are left as reserved, for the next run. */
  async stop(drainMs: number): Promise<void> {
    const all = Promise.allSettled([...this.#running.values()].map(({ done }) => done));
    const timer = setTimeout(() => this.#stopping.abort(), drainMs);
    await all;
    clearTimeout(timer);
  }

  async #drive(answer: Answer, request: StoredRequest, retryMs: number): Promise<void> {
    const { books, directory, logger } = this.#options;
    try {
      const { answer: stored, held } = await this.#askUntil(Date.now() + retryMs, answer, request);
      await books.answered(request, stored);
      answer.push(held);
      answer.complete(stored);
    } catch (error) {
      if (this.#stopping.signal.aborted) {
        answer.fail(
          new GatewayError(503, "server_error", "stopping", "The gateway is stopping; ask again with this payment"),
        );
        return;
      }
      if (isConnectionError(error)) directory.markDown(request.nodeUrl);
      logger.warn({ request: request.requestId, err: error }, "inference failed");
      books.failed(request);
      answer.fail(asGatewayError(error));
    }
  }

  /** A node that cannot be reached is tried again; a stream that has begun is not: a retry of the client gets all of it. */
  async #askUntil(deadlineMs: number, answer: Answer, request: StoredRequest): Promise<FinishedAnswer> {
    for (let pauseMs = 50; ; pauseMs = Math.min(pauseMs * 2, 1_000)) {
      try {
        return await this.#ask(answer, request);
      } catch (error) {
        if (!isTransient(error) || answer.parts > 0 || Date.now() + pauseMs > deadlineMs) throw error;
        await pause(pauseMs, undefined, { signal: this.#stopping.signal });
      }
    }
  }

  async #ask(answer: Answer, request: StoredRequest): Promise<FinishedAnswer> {
    const { answerTimeoutMs, directory } = this.#options;
    const node = directory.nodeAt(request.nodeUrl);
    if (node === undefined) {
      throw new GatewayError(
        503,
        "upstream_error",
        "node_removed",
        "The node that this payment is for is no longer served here",
      );
    }
    const signal = AbortSignal.any([AbortSignal.timeout(answerTimeoutMs), this.#stopping.signal]);
    const response = await askNode(node, request, signal);
    const body = limited(response.body, this.#options.maxAnswerBytes);
    const finished = await (request.kind === "sealed"
      ? readSealedAnswer(answer, request.stream, response, body)
      : readNodeAnswer(request.stream, response, body, (event) => answer.push(event)));
    const { requestId, modelId, inputHash, payment, settlement } = request;
    checkReceipt(this.#hasher, finished.proof, { requestId, modelId, inputHash, payer: payment.payer, settlement });
    checkFee(finished.proof, finished.usage, request);
    return finished;
  }
}
