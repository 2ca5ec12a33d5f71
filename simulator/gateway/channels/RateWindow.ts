/** Counts by key within a minute, so that what one client may do has a limit. Exact per window, which begins anew for all at once. */
export class RateWindow {
  readonly #limit: number;
  readonly #counts = new Map<string, number>();
  #startedAtMs = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Whether `key` has had all it may. */
  isExceeded(key: string): boolean {
    return (this.#current().get(key) ?? 0) >= this.#limit;
  }

  count(key: string): void {
    if (!Number.isFinite(this.#limit)) return;
    const counts = this.#current();
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }

  /** Until the next window, seconds. */
  get secondsLeft(): number {
    return Math.max(1, Math.ceil((this.#startedAtMs + WINDOW_MS - Date.now()) / 1000));
  }

  #current(): Map<string, number> {
    const now = Date.now();
    if (now - this.#startedAtMs >= WINDOW_MS || this.#counts.size > MAX_KEYS) {
      this.#counts.clear();
      this.#startedAtMs = now;
    }
    return this.#counts;
  }
}

const WINDOW_MS = 60_000;
const MAX_KEYS = 100_000;
