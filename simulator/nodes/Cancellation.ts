/** Who is told that an inference is over before its end. */
export interface Cancellable {
  abort(reason: Error): void;
}

/**
 * Ends one inference early, by its time limit or since the node stops. An AbortController with its listener costs as much as an inference
 * that is only passed on; here one is made only where somebody asks for the signal.
 */
export class Cancellation {
  #reason: Error | undefined;
  #told: Cancellable | undefined;
  #controller: AbortController | undefined;

  /** Tells `what` when the inference is cancelled; at once if it was. The last one that was named is told. */
  tell(what: Cancellable): void {
    if (this.#reason !== undefined) what.abort(this.#reason);
    else this.#told = what;
  }

  /** The same for libraries that take a signal. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#reason !== undefined) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  /** Without effect the second time. */
  cancel(reason: Error): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    this.#told?.abort(reason);
    this.#controller?.abort(reason);
  }
}
