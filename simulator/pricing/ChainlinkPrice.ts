import { Contract, type Provider } from "ethers";
import type { Hex } from "../receipts/types.ts";
import { PriceError, type PriceQuote, type PriceSource, scaled } from "./PriceSource.ts";

export interface ChainlinkPriceOptions {
  provider: Provider;
  /** A Chainlink `AggregatorV3Interface` of OPG in US dollars. */
  feed: Hex;
  /** Its heartbeat, and some more. */
  maxAgeMs?: number;
}

const ABI = [
  "function decimals() view returns (uint8)",
  "function latestRoundData() view returns (uint80 roundId, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound)",
];
const MAX_DECIMALS = 36n;
/** A date's last millisecond: beyond it a number says nothing. */
const LAST_SECOND = 8_640_000_000_000n;

interface RoundData {
  roundId: bigint;
  answer: bigint;
  updatedAt: bigint;
  answeredInRound: bigint;
}

/** A price from a feed on chain. What its clock shows is held against ours: a chain that stands still makes the price old. */
export class ChainlinkPrice implements PriceSource {
  readonly name: string;
  readonly maxAgeMs?: number;
  readonly #feed: Contract;

  constructor({ provider, feed, maxAgeMs }: ChainlinkPriceOptions) {
    this.name = `feed ${feed}`;
    this.#feed = new Contract(feed, ABI, provider);
    if (maxAgeMs !== undefined) this.maxAgeMs = maxAgeMs;
  }

  async read(signal: AbortSignal): Promise<PriceQuote> {
    signal.throwIfAborted();
    // a proxy may get another aggregator behind it: its decimals are asked for every time
    const [decimals, round] = (await Promise.all([
      this.#feed.getFunction("decimals").staticCall(),
      this.#feed.getFunction("latestRoundData").staticCall(),
    ])) as [bigint, RoundData];
    return quoteOf(this.name, decimals, round);
  }
}

function quoteOf(
  name: string,
  decimals: bigint,
  { roundId, answer, updatedAt, answeredInRound }: RoundData,
): PriceQuote {
  if (decimals > MAX_DECIMALS)
    throw new PriceError(`Expected at most ${MAX_DECIMALS} decimals of ${name}, found ${decimals}`);
  if (answer <= 0n) throw new PriceError(`Expected a positive answer of ${name}, found ${answer}`);
  if (roundId === 0n || updatedAt === 0n) throw new PriceError(`Expected a round of ${name} that is complete`);
  if (answeredInRound < roundId) {
    throw new PriceError(`Expected an answer of round ${roundId} of ${name}, found one of round ${answeredInRound}`);
  }
  if (updatedAt > LAST_SECOND) throw new PriceError(`Expected a time of ${name} in Unix seconds, found ${updatedAt}`);
  return { picoUsd: scaled(answer, -Number(decimals)), observedAtMs: Number(updatedAt) * 1000 };
}
