/**
 * Cuts a growing text before the first stop sequence. Holds back just as much of the end as could still become one, so that what was let
 * out never has to be taken back.
 */
export class StopScanner {
  readonly #stops: readonly string[];
  #held = "";
  #stopped = false;

  constructor(stops: readonly string[] = []) {
    this.#stops = stops.filter((stop) => stop !== "");
  }

  /** Whether a stop sequence was met. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** Takes more text and returns what may be let out now. */
  push(text: string): string {
    if (this.#stopped) return "";
    this.#held += text;
    const found = this.#stops.map((stop) => this.#held.indexOf(stop)).filter((index) => index >= 0);
    if (found.length > 0) {
      this.#stopped = true;
      return this.#release(Math.min(...found));
    }
    let keep = 0;
    for (const stop of this.#stops) {
      for (let length = Math.min(stop.length - 1, this.#held.length); length > keep; length--) {
        if (stop.startsWith(this.#held.slice(-length))) keep = length;
      }
    }
    return this.#release(this.#held.length - keep);
  }

  /** Returns what was held back, at the end of the text. */
  flush(): string {
    return this.#stopped ? "" : this.#release(this.#held.length);
  }

  #release(length: number): string {
    const text = this.#held.slice(0, length);
    this.#held = this.#held.slice(length);
    return text;
  }
}
