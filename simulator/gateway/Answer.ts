import type { StoredAnswer } from "./StoredRequest.ts";

/**
 * An answer while it comes in. It belongs to no connection: the client, and every copy of its request, follow it from the start,
 * and it completes whether or not anybody still does.
 */
export class Answer {
  /** Resolves with the first part of the answer, or rejects when it fails before. */
  readonly started: Promise<void>;
  /** Resolves once the answer is stored, so that it is due to be paid; rejects when it fails. */
  readonly completed: Promise<StoredAnswer>;
  readonly #chunks: Buffer[] = [];
  #waiting: (() => void)[] = [];
  #ended = false;
  #error: Error | undefined;
  #start!: () => void;
  #complete!: (answer: StoredAnswer) => void;
  readonly #fail: ((error: Error) => void)[] = [];

  constructor() {
    this.started = new Promise((resolve, reject) => {
      this.#start = resolve;
      this.#fail.push(reject);
    });
    this.completed = new Promise((resolve, reject) => {
      this.#complete = resolve;
      this.#fail.push(reject);
    });
    // nobody may be listening any more
    this.started.catch(() => undefined);
    this.completed.catch(() => undefined);
  }

  /** Number of parts so far. */
  get parts(): number {
    return this.#chunks.length;
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#start();
    this.#wake();
  }

  complete(answer: StoredAnswer): void {
    this.#ended = true;
    this.#start();
    this.#complete(answer);
    this.#wake();
  }

  fail(error: Error): void {
    this.#ended = true;
    this.#error = error;
    for (const reject of this.#fail) reject(error);
    this.#wake();
  }

  /** All parts from the first on, each as soon as it is there. Throws what the answer failed with. */
  async *follow(): AsyncGenerator<Buffer> {
    for (let at = 0; ; at++) {
      while (at >= this.#chunks.length) {
        if (this.#error !== undefined) throw this.#error;
        if (this.#ended) return;
        await new Promise<void>((resolve) => this.#waiting.push(resolve));
      }
      yield this.#chunks[at]!;
    }
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
