import { setTimeout as pause } from "node:timers/promises";
import type { Readable } from "node:stream";
import type { Logger } from "pino";
import { SettlementHasher } from "../receipts/eip712.ts";
import { usageOf, type TokenUsage } from "../receipts/tariff.ts";
import type { SettlementDomain } from "../receipts/types.ts";
import { Answer } from "./Answer.ts";
import { asGatewayError, askNode, isConnectionError, isTransient, streamError, type NodeResponse } from "./askNode.ts";
import { badAnswer, type FinishedAnswer } from "./FinishedAnswer.ts";
import { GatewayError } from "./GatewayError.ts";
import type { NodeDirectory } from "./NodeDirectory.ts";
import type { RequestBooks } from "./payments/RequestBooks.ts";
import { answerSchema, checkFee, checkReceipt, type InferenceProof } from "./receiptCheck.ts";
import { readSealedAnswer } from "./readSealedAnswer.ts";
import type { RequestStore } from "./RequestStore.ts";
import type { StoredRequest } from "./StoredRequest.ts";
import { DONE, eventData, EventSplitter } from "./serverSentEvents.ts";

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
    const finished = await (request.kind === "sealed"
      ? readSealedAnswer(answer, request.stream, response, this.#limited(response.body))
      : this.#readAnswer(answer, request.stream, response));
    const { requestId, modelId, inputHash, payment, settlement } = request;
    checkReceipt(this.#hasher, finished.proof, { requestId, modelId, inputHash, payer: payment.payer, settlement });
    checkFee(finished.proof, finished.usage, request);
    return finished;
  }

  async #readAnswer(answer: Answer, stream: boolean, { contentType, body }: NodeResponse): Promise<FinishedAnswer> {
    const streamed = contentType.startsWith("text/event-stream");
    if (streamed !== stream) {
      throw badAnswer(`expected ${stream ? "a stream" : "one JSON document"}, found ${contentType}`);
    }
    return streamed ? this.#readStream(answer, contentType, body) : this.#readDocument(contentType, body);
  }

  async #readDocument(contentType: string, body: Readable): Promise<FinishedAnswer> {
    const parts: Buffer[] = [];
    for await (const part of this.#limited(body)) parts.push(part);
    const whole = Buffer.concat(parts);
    const { proof, json, usage } = readProof(whole.toString("utf8"));
    return {
      answer: { contentType, body: whole, proof: json, feeWei: proof.receipt.receipt.fee },
      proof,
      usage,
      held: whole,
    };
  }

  /** Passes every event on at once, except the proof and what follows it. */
  async #readStream(answer: Answer, contentType: string, body: Readable): Promise<FinishedAnswer> {
    const splitter = new EventSplitter();
    const passed: Buffer[] = [];
    const held: Buffer[] = [];
    let proven: Proven | undefined;
    let done = false;
    for await (const part of this.#limited(body)) {
      for (const event of splitter.push(part)) {
        const data = eventData(event);
        if (data === DONE) done = true;
        else if (data !== undefined && !done) proven = inspect(data) ?? proven;
        if (proven !== undefined || done) {
          held.push(event);
        } else {
          passed.push(event);
          answer.push(event);
        }
      }
    }
    if (proven === undefined || !done) throw badAnswer("the stream ended without its receipt");
    const whole = Buffer.concat([...passed, ...held]);
    return {
      answer: { contentType, body: whole, proof: proven.json, feeWei: proven.proof.receipt.receipt.fee },
      proof: proven.proof,
      usage: proven.usage,
      held: Buffer.concat(held),
    };
  }

  async *#limited(body: Readable): AsyncGenerator<Buffer> {
    let bytes = 0;
    for await (const part of body as AsyncIterable<Buffer>) {
      bytes += part.length;
      if (bytes > this.#options.maxAnswerBytes) throw badAnswer("it is too large");
      yield part;
    }
  }
}

interface Proven {
  proof: InferenceProof;
  json: string;
  /** Beside it in the answer. */
  usage: TokenUsage | undefined;
}

/** The proof when this event carries it. @throws GatewayError when the event reports a failure. */
function inspect(data: string): Proven | undefined {
  // most events are text: parsing is for those that may be more
  if (!data.includes('"opengradient"') && !data.includes('"error"')) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch {
    throw badAnswer("an event is not JSON");
  }
  const failure = streamError(value);
  if (failure !== undefined) throw failure;
  return typeof value === "object" && value !== null && "opengradient" in value ? readProof(data) : undefined;
}

function readProof(text: string): Proven {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw badAnswer("it is not JSON");
  }
  const parsed = answerSchema.safeParse(value);
  if (!parsed.success) throw badAnswer("it carries no receipt");
  const json = JSON.stringify((value as { opengradient: unknown }).opengradient);
  return { proof: parsed.data.opengradient, json, usage: usageOf(value) };
}
