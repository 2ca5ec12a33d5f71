import type { Hex, SignedReceipt } from "../receipts/types.ts";
import type { PaidAnswer } from "./PaidAnswers.ts";

/**
 * One inference under way, which any number of identical requests may follow. Pieces of its answer are kept, so that who comes later gets them all; it
 * goes on when nobody listens, since its receipt has to be made.
 */
export class AnswerFlight implements PaidAnswer {
  readonly requestId: Hex;
  /** SHA-256 of the request: a follower must have sent the same. */
  readonly bodyHash: string;
  readonly streamed: boolean;
  /** Resolves at the end, whether it went well or not. */
  readonly ended: Promise<void>;
  /** Of the answer, once it is whole and stored. */
  receipt: SignedReceipt | undefined;
  readonly #pieces: string[] = [];
  readonly #end = Promise.withResolvers<void>();
  /** Of those who wait for the next piece, if any. */
  #next: PromiseWithResolvers<void> | undefined;
  #isEnded = false;
  #failure: Error | undefined;

  constructor(requestId: Hex, bodyHash: string, streamed: boolean) {
    this.requestId = requestId;
    this.bodyHash = bodyHash;
    this.streamed = streamed;
    this.ended = this.#end.promise;
  }

  /** All that was let out so far. */
  get text(): string {
    return this.#pieces.length === 1 ? this.#pieces[0]! : this.#pieces.join("");
  }

  /** Lets a piece out to everybody who follows. Without effect after the end. */
  emit(piece: string): void {
    if (this.#isEnded) return;
    this.#pieces.push(piece);
    this.#wake();
  }

  end(): void {
    this.#isEnded = true;
    this.#wake();
    this.#end.resolve();
  }

  /** Ends it for everybody with an error. */
  fail(error: unknown): void {
    this.#failure = error instanceof Error ? error : new Error(String(error));
    this.end();
  }

  /** Resolves when there is a first piece or the end; rejects with the failure when it failed before any piece was out. */
  async begun(): Promise<void> {
    while (this.#pieces.length === 0 && !this.#isEnded) await this.#advance();
    if (this.#pieces.length === 0 && this.#failure !== undefined) throw this.#failure;
  }

  /** All of it, once it has ended. @throws the failure. */
  async whole(): Promise<string> {
    await this.ended;
    if (this.#failure !== undefined) throw this.#failure;
    return this.text;
  }

  /** Every piece from the first on, as they come. Throws the failure, if any, after the last. */
  async *follow(): AsyncGenerator<string, void> {
    for (let next = 0; ;) {
      while (next < this.#pieces.length) yield this.#pieces[next++] ?? "";
      if (this.#isEnded) break;
      await this.#advance();
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  #advance(): Promise<void> {
    return (this.#next ??= Promise.withResolvers<void>()).promise;
  }

  #wake(): void {
    this.#next?.resolve();
    this.#next = undefined;
  }
}
