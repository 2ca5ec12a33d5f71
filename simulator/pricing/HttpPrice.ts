import { readLimited } from "../storage/readLimited.ts";
import { picoUsdOf, PriceError, type PriceQuote, type PriceSource } from "./PriceSource.ts";

export interface HttpPriceOptions {
  /** Answers GET with JSON. */
  url: string;
  /** Where the dollars of one OPG are in it: names and positions, e.g. ["data", 0, "price"]. A number, or one in a string. */
  path: readonly (string | number)[];
  /** Where it says since when: Unix seconds, milliseconds, or an ISO date. Default: the moment it answered. */
  timePath?: readonly (string | number)[];
  headers?: Record<string, string>;
  maxAgeMs?: number;
}

const MAX_BYTES = 64 * 1024;
/** Seconds since 1970 reach this in the year 5138, milliseconds had it in 1973. */
const SECONDS_BELOW = 100_000_000_000;

/** A price from an exchange's or an aggregator's HTTP API. */
export class HttpPrice implements PriceSource {
  readonly name: string;
  readonly maxAgeMs?: number;
  readonly #options: HttpPriceOptions;

  constructor(options: HttpPriceOptions) {
    this.#options = options;
    // a key may be in the query
    this.name = new URL(options.url).origin;
    if (options.maxAgeMs !== undefined) this.maxAgeMs = options.maxAgeMs;
  }

  async read(signal: AbortSignal): Promise<PriceQuote> {
    const { url, path, timePath, headers } = this.#options;
    const response = await fetch(url, {
      headers: { accept: "application/json", ...headers },
      // who answers is who was asked
      redirect: "error",
      signal,
    });
    const text = Buffer.from(await readLimited(response, MAX_BYTES)).toString("utf8");
    if (response.status !== 200)
      throw new PriceError(`Expected status 200 from ${this.name}, found ${response.status}`);
    let answer: unknown;
    try {
      answer = JSON.parse(text);
    } catch (cause) {
      throw new PriceError(`Expected JSON from ${this.name}`, { cause });
    }
    const price = at(answer, path);
    if (typeof price !== "string" && typeof price !== "number") {
      throw new PriceError(`Expected a price at ${path.join(".")} of ${this.name}, found ${typeof price}`);
    }
    return {
      picoUsd: picoUsdOf(String(price)),
      observedAtMs: timePath === undefined ? Date.now() : timeOf(at(answer, timePath)),
    };
  }
}

/** Own members only: a path is configuration, the answer is not. */
function at(value: unknown, path: readonly (string | number)[]): unknown {
  let found = value;
  for (const step of path) {
    if (typeof found !== "object" || found === null || !Object.hasOwn(found, step)) return undefined;
    found = (found as Record<string | number, unknown>)[step];
  }
  return found;
}

function timeOf(value: unknown): number {
  const number = typeof value === "string" && /^\d+$/.test(value) ? Number(value) : value;
  const ms =
    typeof number === "number"
      ? number < SECONDS_BELOW
        ? number * 1000
        : number
      : typeof number === "string"
        ? Date.parse(number)
        : Number.NaN;
  if (!Number.isFinite(ms)) throw new PriceError(`Expected a time, found ${String(value).slice(0, 80)}`);
  return ms;
}
