import type { Logger } from "pino";
import { type PriceQuote, type PriceSource, PriceUnavailableError } from "./PriceSource.ts";

export interface OpgPriceOptions {
  sources: readonly PriceSource[];
  /** What the price of one OPG can be at all, picodollars. */
  bounds: { minPicoUsd: bigint; maxPicoUsd: bigint };
  logger: Logger;
  /** How old a quote may be. Default 10 minutes. */
  maxAgeMs?: number;
  /** How far ahead of ours the clock of a source may be. Default 60,000. */
  maxAheadMs?: number;
  /** How far a quote may be from the median, hundredths of a percent; one that is farther does not count. Default 300. */
  maxDeviationBps?: number;
  /** Fresh quotes that have to agree. Default: more than half of the sources. */
  minAgreeing?: number;
  /** Default 30,000. */
  refreshMs?: number;
  /** For one source. Default 5,000. */
  timeoutMs?: number;
  /** Default `Date.now`. */
  nowMs?: () => number;
}

const BPS = 10_000n;

interface KnownPrice {
  picoUsd: bigint;
  /** Until when it is one, and of when the oldest quote is that it is made of. */
  untilMs: number;
  observedAtMs: number;
}

/**
 * The price of one OPG, from several sources that are asked in the background. As long as more than half of them are honest, it is
 * between two honest quotes; when too few agree, there is none.
 */
export class OpgPrice {
  readonly #options: Required<OpgPriceOptions>;
  readonly #quotes = new Map<PriceSource, PriceQuote>();
  #known: KnownPrice | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stopping = new AbortController();
  #refreshing: Promise<void> | undefined;

  constructor(options: OpgPriceOptions) {
    const { sources, bounds } = options;
    this.#options = {
      maxAgeMs: 600_000,
      maxAheadMs: 60_000,
      maxDeviationBps: 300,
      minAgreeing: Math.floor(sources.length / 2) + 1,
      refreshMs: 30_000,
      timeoutMs: 5_000,
      nowMs: Date.now,
      ...options,
    };
    if (sources.length === 0) throw new RangeError("Expected a source of the price of OPG");
    if (this.#options.minAgreeing < 1 || this.#options.minAgreeing > sources.length) {
      throw new RangeError(`Expected minAgreeing from 1 to ${sources.length}, found ${this.#options.minAgreeing}`);
    }
    if (bounds.minPicoUsd < 1n || bounds.maxPicoUsd < bounds.minPicoUsd) {
      throw new RangeError(`Expected bounds from 1 up, found ${bounds.minPicoUsd} to ${bounds.maxPicoUsd}`);
    }
  }

  /** Asks every source once, then keeps asking. Does not fail when there is no price yet. */
  async start(): Promise<void> {
    this.#stopping = new AbortController();
    await this.refresh();
    const again = (): void => {
      if (this.#stopping.signal.aborted) return;
      this.#timer = setTimeout(() => void this.refresh().then(again), this.#options.refreshMs);
      this.#timer.unref();
    };
    again();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    clearTimeout(this.#timer);
    await this.#refreshing;
  }

  /** Asks every source now. One that fails keeps its last quote, which grows old. */
  refresh(): Promise<void> {
    this.#refreshing ??= Promise.all(this.#options.sources.map((source) => this.#ask(source))).then(() => {
      this.#refreshing = undefined;
      this.#known = undefined;
    });
    return this.#refreshing;
  }

  /**
   * Picodollars for one OPG.
   * @throws PriceUnavailableError
   */
  current(): bigint {
    return this.#price(this.#options.nowMs()).picoUsd;
  }

  /** Age of the oldest quote that the price is made of; undefined while there is no price. */
  ageMs(): number | undefined {
    const now = this.#options.nowMs();
    try {
      return now - this.#price(now).observedAtMs;
    } catch (error) {
      if (error instanceof PriceUnavailableError) return undefined;
      throw error;
    }
  }

  #price(now: number): KnownPrice {
    if (this.#known === undefined || now > this.#known.untilMs) this.#known = this.#combine(now);
    return this.#known;
  }

  #combine(now: number): KnownPrice {
    const { minAgreeing, maxDeviationBps, sources, bounds } = this.#options;
    const fresh = [...this.#quotes]
      .map(([source, { picoUsd, observedAtMs }]) => ({
        picoUsd,
        observedAtMs,
        untilMs: observedAtMs + this.#maxAge(source),
      }))
      .filter(({ untilMs }) => untilMs >= now)
      .sort((a, b) => (a.picoUsd < b.picoUsd ? -1 : a.picoUsd > b.picoUsd ? 1 : 0));
    if (fresh.length < minAgreeing) {
      throw new PriceUnavailableError(
        `Expected ${minAgreeing} fresh prices of OPG, found ${fresh.length} from ${sources.length} sources`,
      );
    }
    const median = medianOf(fresh);
    const agreeing = fresh.filter(({ picoUsd }) => distance(picoUsd, median) * BPS <= median * BigInt(maxDeviationBps));
    if (agreeing.length < minAgreeing) {
      throw new PriceUnavailableError(
        `Expected ${minAgreeing} prices of OPG that agree, found ${agreeing.length} of ${fresh.length}`,
      );
    }
    const picoUsd = medianOf(agreeing);
    if (picoUsd < bounds.minPicoUsd || picoUsd > bounds.maxPicoUsd) {
      throw new PriceUnavailableError(
        `Expected a price of OPG from ${bounds.minPicoUsd} to ${bounds.maxPicoUsd} picodollars, found ${picoUsd}`,
      );
    }
    return {
      picoUsd,
      untilMs: Math.min(...fresh.map(({ untilMs }) => untilMs)),
      observedAtMs: Math.min(...agreeing.map(({ observedAtMs }) => observedAtMs)),
    };
  }

  async #ask(source: PriceSource): Promise<void> {
    const { timeoutMs, logger, nowMs, maxAheadMs } = this.#options;
    try {
      const signal = AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(timeoutMs)]);
      const { picoUsd, observedAtMs } = await Promise.race([source.read(signal), rejection(signal)]);
      const ahead = observedAtMs - nowMs();
      if (picoUsd <= 0n) throw new PriceUnavailableError(`Expected a positive price, found ${picoUsd}`);
      if (!(ahead <= maxAheadMs)) throw new PriceUnavailableError(`Its price is ${ahead} ms from the future`);
      const known = this.#quotes.get(source);
      // a source that goes back in time is one of several machines behind one name; the newer quote stays
      if (known !== undefined && known.observedAtMs > observedAtMs) return;
      // one from the future would be fresh for longer
      this.#quotes.set(source, { picoUsd, observedAtMs: Math.min(observedAtMs, nowMs()) });
    } catch (error) {
      if (!this.#stopping.signal.aborted) logger.warn({ source: source.name, err: error }, "price source failed");
    }
  }

  #maxAge({ maxAgeMs = this.#options.maxAgeMs }: PriceSource): number {
    return maxAgeMs;
  }
}

/** Of an even number the lower of the two in the middle: it is one that somebody has quoted. */
const medianOf = (sorted: readonly { picoUsd: bigint }[]): bigint => sorted[(sorted.length - 1) >> 1]!.picoUsd;

const distance = (a: bigint, b: bigint): bigint => (a < b ? b - a : a - b);

const rejection = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true }));
