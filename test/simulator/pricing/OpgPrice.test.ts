import { expect } from "chai";
import fc from "fast-check";
import { pino } from "pino";
import { OpgPrice, type OpgPriceOptions } from "../../../simulator/pricing/OpgPrice.ts";
import { type PriceQuote, type PriceSource, PriceUnavailableError } from "../../../simulator/pricing/PriceSource.ts";

const CENT = 10n ** 10n;
const logger = pino({ level: "silent" });
const bounds = { minPicoUsd: CENT / 10n, maxPicoUsd: 100n * CENT };

/** A source that says what the test wants. */
class Told implements PriceSource {
  readonly name = "told";
  constructor(
    public quote: PriceQuote | Error | "hang",
    readonly maxAgeMs = 600_000,
  ) {}
  read(): Promise<PriceQuote> {
    if (this.quote === "hang") return new Promise(() => undefined);
    return this.quote instanceof Error ? Promise.reject(this.quote) : Promise.resolve(this.quote);
  }
}

describe("OpgPrice", () => {
  const started: OpgPrice[] = [];
  let nowMs = 1_800_000_000_000;

  afterEach(async () => {
    await Promise.all(started.splice(0).map((price) => price.stop()));
  });

  const told = (picoUsd: bigint, ageMs = 0): Told => new Told({ picoUsd, observedAtMs: nowMs - ageMs });

  async function priceOf(sources: PriceSource[], more: Partial<OpgPriceOptions> = {}): Promise<OpgPrice> {
    const price = new OpgPrice({ sources, bounds, logger, nowMs: () => nowMs, timeoutMs: 50, ...more });
    started.push(price);
    await price.start();
    return price;
  }

  const unavailable = (price: OpgPrice, why: RegExp): void => {
    expect(() => price.current()).to.throw(PriceUnavailableError, why);
  };

  it("current_threeThatAgree_isTheirMedian", async () => {
    const price = await priceOf([told(5n * CENT + 2n), told(5n * CENT), told(5n * CENT + 1n)]);
    expect(price.current()).to.equal(5n * CENT + 1n);
  });

  it("current_liarAmongThree_hasNoEffectBeyondTheHonest", async () => {
    for (const lie of [1n, CENT / 10n, 50n * CENT, 10n ** 60n]) {
      const price = await priceOf([told(lie), told(5n * CENT), told(5n * CENT + CENT / 100n)]);
      expect(price.current() === 5n * CENT || price.current() === 5n * CENT + CENT / 100n, `${lie}`).to.equal(true);
    }
  });

  it("current_anyMinorityOfLiars_isBetweenHonestQuotes", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 4 }),
        fc.array(fc.bigInt({ min: -10n, max: 10n ** 30n }), { maxLength: 3 }),
        fc.array(fc.integer({ min: 0, max: 290 }), { minLength: 4, maxLength: 4 }),
        async (extra, lies, offsets) => {
          const honest = offsets
            .slice(0, Math.max(lies.length + 1, extra))
            .map((bps) => (5n * CENT * BigInt(10_000 + bps)) / 10_000n);
          const price = await priceOf([...lies, ...honest].map((picoUsd) => told(picoUsd)));
          const found = price.current();
          const sorted = [...honest].sort((a, b) => (a < b ? -1 : 1));
          return found >= sorted[0]! && found <= sorted.at(-1)!;
        },
      ),
      { numRuns: 200 },
    );
  });

  it("current_twoThatDisagree_isNone", async () => {
    unavailable(await priceOf([told(5n * CENT), told(6n * CENT)]), /agree, found 1 of 2/);
  });

  it("current_deviation_isInclusiveAtTheLimit", async () => {
    const at = await priceOf([told(10_000n * CENT), told(10_300n * CENT)], {
      bounds: { ...bounds, maxPicoUsd: 10n ** 20n },
    });
    expect(at.current()).to.equal(10_000n * CENT);
    unavailable(
      await priceOf([told(10_000n * CENT), told(10_301n * CENT)], { bounds: { ...bounds, maxPicoUsd: 10n ** 20n } }),
      /agree/,
    );
  });

  it("current_zeroOrNegative_doesNotCount", async () => {
    for (const bad of [0n, -5n * CENT]) {
      const price = await priceOf([told(bad), told(5n * CENT)], { minAgreeing: 1 });
      expect(price.current()).to.equal(5n * CENT);
      unavailable(await priceOf([told(bad)]), /found 0/);
    }
  });

  it("current_outOfBounds_isNone", async () => {
    for (const bad of [bounds.minPicoUsd - 1n, bounds.maxPicoUsd + 1n]) {
      unavailable(await priceOf([told(bad), told(bad)]), /Expected a price of OPG from/);
    }
    for (const good of [bounds.minPicoUsd, bounds.maxPicoUsd])
      expect((await priceOf([told(good)])).current()).to.equal(good);
  });

  it("current_staleQuotes_endAsTimePasses", async () => {
    const price = await priceOf([told(5n * CENT), told(5n * CENT, 599_000)]);
    expect(price.current()).to.equal(5n * CENT);
    nowMs += 1_001;
    unavailable(price, /fresh prices of OPG, found 1/);
    nowMs -= 1_001;
    expect(price.current()).to.equal(5n * CENT);
  });

  it("current_sourceOfItsOwnPace_mayBeOlder", async () => {
    const price = await priceOf([new Told({ picoUsd: CENT, observedAtMs: nowMs - 3_000_000 }, 3_600_000)]);
    expect(price.current()).to.equal(CENT);
  });

  it("current_quoteFromTheFuture_isBoundedAndNotFreshForLonger", async () => {
    unavailable(await priceOf([told(CENT, -60_001)]), /found 0/);
    const price = await priceOf([told(CENT, -60_000)]);
    expect(price.current()).to.equal(CENT);
    nowMs += 600_001;
    unavailable(price, /found 0/);
    unavailable(await priceOf([new Told({ picoUsd: CENT, observedAtMs: Number.NaN })]), /found 0/);
  });

  it("refresh_sourceThatFailsOrHangs_keepsItsLastQuoteUntilItIsStale", async () => {
    const [failing, hanging] = [told(5n * CENT), told(5n * CENT)];
    const price = await priceOf([failing, hanging], { timeoutMs: 5 });
    failing.quote = new Error("connect ECONNREFUSED");
    hanging.quote = "hang";
    await price.refresh();
    expect(price.current()).to.equal(5n * CENT);
    nowMs += 600_001;
    await price.refresh();
    unavailable(price, /found 0/);
    failing.quote = hanging.quote = { picoUsd: 6n * CENT, observedAtMs: nowMs };
    await price.refresh();
    expect(price.current()).to.equal(6n * CENT);
  });

  it("ageMs_isThatOfTheOldestQuoteThatCounts", async () => {
    const sources = [told(5n * CENT, 1_000), told(5n * CENT, 7_000), told(50n * CENT, 90_000)];
    const price = await priceOf(sources);
    expect(price.ageMs(), "not the liar's").to.equal(7_000);
    nowMs += 500;
    expect(price.ageMs()).to.equal(7_500);
    sources[1]!.quote = { picoUsd: 5n * CENT, observedAtMs: nowMs };
    await price.refresh();
    expect(price.ageMs()).to.equal(1_500);
    nowMs += 600_001;
    expect(price.ageMs(), "there is no price").to.equal(undefined);
  });

  it("refresh_olderQuoteThanTheLast_isNotTaken", async () => {
    const source = told(5n * CENT);
    const price = await priceOf([source]);
    source.quote = { picoUsd: 9n * CENT, observedAtMs: nowMs - 1 };
    await price.refresh();
    expect(price.current()).to.equal(5n * CENT);
  });

  it("constructor_settingsThatCannotWork_areRefused", () => {
    const sources = [told(CENT)];
    const bad: Partial<OpgPriceOptions>[] = [
      { sources: [] },
      { minAgreeing: 0 },
      { minAgreeing: 2 },
      { bounds: { minPicoUsd: 0n, maxPicoUsd: 1n } },
      { bounds: { minPicoUsd: 2n, maxPicoUsd: 1n } },
    ];
    for (const more of bad) expect(() => new OpgPrice({ sources, bounds, logger, ...more })).to.throw(RangeError);
  });
});
