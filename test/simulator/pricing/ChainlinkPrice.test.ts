import { expect } from "chai";
import { toBeHex, zeroPadValue } from "ethers";
import { ChainlinkPrice } from "../../../simulator/pricing/ChainlinkPrice.ts";
import { PriceError } from "../../../simulator/pricing/PriceSource.ts";
import type { Hex } from "../../../simulator/receipts/types.ts";
import { OpgPriceFeed__factory } from "../../../typechain-types/index.ts";
import { startLocalChain, type LocalChain } from "../facilitator/localChain.ts";

const FEED: Hex = `0x${"fe".repeat(20)}`;
const signal = new AbortController().signal;

interface Round {
  decimals: bigint;
  roundId: bigint;
  answer: bigint;
  updatedAt: bigint;
  answeredInRound: bigint;
}

const GOOD: Round = { decimals: 8n, roundId: 7n, answer: 5_000_000n, updatedAt: 1_800_000_000n, answeredInRound: 7n };

/** Code of a feed that answers `decimals()` and everything else with constants, right or wrong. */
function feedCode({ decimals, roundId, answer, updatedAt, answeredInRound }: Round): string {
  const word = (value: bigint): string => zeroPadValue(toBeHex(value & ((1n << 256n) - 1n)), 32).slice(2);
  const dispatch = "5f3560e01c63313ce56714601857";
  const returnRound = "60a060235f3960a05ff3";
  const returnDecimals = "5b602060c35f3960205ff3";
  const round = [roundId, answer, updatedAt, updatedAt, answeredInRound].map(word).join("");
  return `0x${dispatch}${returnRound}${returnDecimals}${round}${word(decimals)}`;
}

describe("ChainlinkPrice", () => {
  let chain: LocalChain;

  before(async () => {
    chain = await startLocalChain();
  });

  after(() => chain.stop());

  const source = (feed = FEED): ChainlinkPrice => new ChainlinkPrice({ provider: chain.provider, feed });

  async function readOf(changes: Partial<Round>): Promise<unknown> {
    await chain.provider.send("hardhat_setCode", [FEED, feedCode({ ...GOOD, ...changes })]);
    return source()
      .read(signal)
      .catch((error: unknown) => error);
  }

  it("read_decimals_areScaledToPicodollars", async () => {
    const cases: [bigint, bigint, bigint][] = [
      [8n, 5_000_000n, 50_000_000_000n],
      [18n, 5n * 10n ** 16n, 50_000_000_000n],
      [0n, 3n, 3n * 10n ** 12n],
      [12n, 42n, 42n],
      // what is below a picodollar is cut off
      [36n, 5n * 10n ** 34n + 1n, 50_000_000_000n],
    ];
    for (const [decimals, answer, picoUsd] of cases) {
      expect(await readOf({ decimals, answer })).to.deep.equal({ picoUsd, observedAtMs: 1_800_000_000_000 });
    }
  });

  const bad: [string, Partial<Round>, RegExp][] = [
    ["zero", { answer: 0n }, /positive/],
    ["negative", { answer: -1n }, /positive/],
    ["mostNegative", { answer: -(1n << 255n) }, /positive/],
    ["roundNotComplete", { updatedAt: 0n }, /complete/],
    ["noRound", { roundId: 0n, answeredInRound: 0n }, /complete/],
    ["answerOfAnEarlierRound", { answeredInRound: 6n }, /round 7/],
    ["tooManyDecimals", { decimals: 37n }, /decimals/],
    ["timeBeyondAllTimes", { updatedAt: 1n << 200n }, /Unix seconds/],
  ];
  for (const [name, changes, message] of bad) {
    it(`read_${name}_isRefused`, async () => {
      const found = await readOf(changes);
      expect(found).to.be.instanceOf(PriceError);
      expect((found as Error).message).to.match(message);
    });
  }

  it("read_noContractThere_fails", async () => {
    const found = await source(`0x${"00".repeat(19)}77`)
      .read(signal)
      .catch((error: unknown) => error);
    expect(found).to.be.instanceOf(Error);
  });

  it("read_ourOwnFeed_isItsMedianWhileItAnswers", async () => {
    const reporters = [1, 2, 3].map((index) => chain.account(index));
    const feed = await new OpgPriceFeed__factory(chain.account(0)).deploy(
      chain.account(0).address,
      { quorum: 3, maxAge: 600, maxSpreadBps: 500, maxStepBps: 1_000 },
      reporters.map(({ address }) => address),
    );
    await feed.waitForDeployment();
    const own = source((await feed.getAddress()) as Hex);
    // nobody has reported: no price rather than a doubtful one
    expect(await own.read(signal).catch((error: unknown) => error)).to.be.instanceOf(Error);
    const { timestamp } = (await chain.provider.getBlock("latest"))!;
    for (const [i, reporter] of reporters.entries()) {
      await (await feed.connect(reporter).report(5_000_000n + BigInt(i) * 10_000n, timestamp)).wait();
    }
    const { picoUsd, observedAtMs } = await own.read(signal);
    expect(picoUsd).to.equal(50_100_000_000n);
    expect(observedAtMs).to.be.within(timestamp * 1000, (timestamp + 60) * 1000);
    await chain.provider.send("evm_increaseTime", [601]);
    await chain.provider.send("evm_mine", []);
    expect(await own.read(signal).catch((error: unknown) => error)).to.be.instanceOf(Error);
  });
});
