/** What one source says an OPG is worth. */
export interface PriceQuote {
  /** US dollars for one OPG, in units of 10^-12: $0.05 is 50,000,000,000. */
  picoUsd: bigint;
  /** When it was so, milliseconds since 1970. */
  observedAtMs: number;
}

/** Somewhere the price of OPG is known. */
export interface PriceSource {
  /** For messages. */
  readonly name: string;
  /** How old its quotes may be; default: what `OpgPrice` allows. A feed that only reports changes is older than a ticker. */
  readonly maxAgeMs?: number;
  /** @throws PriceError, or whatever the network does. */
  read(signal: AbortSignal): Promise<PriceQuote>;
}

/** A source whose answer cannot be used. */
export class PriceError extends Error {
  override readonly name = "PriceError";
  readonly code = "bad_price";
}

/** No price that could be trusted: nothing is sold at one that is guessed. */
export class PriceUnavailableError extends Error {
  override readonly name = "PriceUnavailableError";
  readonly code = "price_unavailable";
}

export const PICO_DIGITS = 12;

/**
 * Picodollars of a decimal number of dollars, digits below a picodollar cut off.
 * @param text such as "0.0512", "3" or "4.2e-7".
 * @throws PriceError
 */
export function picoUsdOf(text: string): bigint {
  const match = /^(\d{1,30})(?:\.(\d{1,60}))?(?:[eE]([+-]?\d{1,2}))?$/.exec(text);
  if (match === null)
    throw new PriceError(`Expected a price as a positive decimal number, found "${text.slice(0, 80)}"`);
  const [, whole = "", fraction = "", exponent = "0"] = match;
  return scaled(BigInt(whole + fraction), Number(exponent) - fraction.length);
}

/** value × 10^exponent dollars in picodollars, rounded down. */
export function scaled(value: bigint, exponent: number): bigint {
  const shift = exponent + PICO_DIGITS;
  return shift >= 0 ? value * 10n ** BigInt(shift) : value / 10n ** BigInt(-shift);
}
