/** Lets one through at a time, in the order they came. */
export class Turnstile {
  readonly #waiting: (() => void)[] = [];
  #taken = false;

  /** How many are through or wait. */
  get length(): number {
    return this.#waiting.length + (this.#taken ? 1 : 0);
  }

  /**
   * @returns lets the next one through; harmless when called again.
   * @throws the signal's reason when it is aborted first.
   */
  async pass(signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    if (this.#taken) await this.#turn(signal);
    this.#taken = true;
    let left = false;
    return () => {
      if (left) return;
      left = true;
      this.#taken = false;
      this.#next();
    };
  }

  #turn(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const go = (): void => {
        signal.removeEventListener("abort", give);
        // at once: whoever comes between would overtake
        this.#taken = true;
        resolve();
      };
      const give = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(go), 1);
        reject(signal.reason as Error);
      };
      signal.addEventListener("abort", give, { once: true });
      this.#waiting.push(go);
    });
  }

  #next(): void {
    this.#waiting.shift()?.();
  }
}
