import { expect } from "chai";

import { ChainlinkPrice } from "../../../simulator/pricing/ChainlinkPrice.ts";
import type { Hex } from "../../../simulator/receipts/types.ts";
import { freshState } from "../../support/freshState.ts";
import { rejection } from "../../support/rejection.ts";
import { deployFeed, TERMS, usd } from "./feedStage.ts";

describe("OpgPriceFeed.latestRoundData", () => {
  const state = freshState(deployFeed);

  it("latestRoundData_quorumFresh_isTheMedianWithItsTimes", async () => {
    const { feed, reportAll, now } = state();
    await reportAll(0.3);
    const oldest = await now();
    await reportAll(0.3, 0.31, 0.305);
    expect(await feed.decimals()).to.equal(8n);
    expect(await feed.description()).to.equal("OPG / USD");
    expect(await feed.version()).to.equal(1n);
    const { roundId, answer, startedAt, updatedAt, answeredInRound } = await feed.latestRoundData();
    expect([roundId, answer, answeredInRound]).to.deep.equal([1n, usd(0.305), 1n]);
    expect(startedAt).to.equal(BigInt(oldest + 1));
    expect(updatedAt).to.equal(BigInt(await now()));
  });

  it("latestRoundData_throughTheGatewaysSource_isItsPriceOrItsError", async () => {
    const { connection, feed, reportAll, pass, now } = state();
    const source = new ChainlinkPrice({
      provider: connection.ethers.provider,
      feed: (await feed.getAddress()) as Hex,
    });
    const { signal } = new AbortController();
    await reportAll(0.3, 0.31, 0.305);
    const { picoUsd, observedAtMs } = await source.read(signal);
    expect({ picoUsd, observedAtMs }).to.deep.equal({ picoUsd: 305_000_000_000n, observedAtMs: (await now()) * 1_000 });
    await pass(TERMS.maxAge + 1);
    expect(await rejection(source.read(signal))).to.be.instanceOf(Error);
  });

  it("latestRoundData_evenNumber_isTheMiddleRoundedDown", async () => {
    const { feed, reporters, reportAll, now } = state();
    await reportAll(1, 1.01, 1.02);
    await feed.connect(reporters[3]).report(usd(1.01) + 1n, await now());
    expect((await feed.latestRoundData()).answer).to.equal(usd(1.01));
  });

  it("latestRoundData_anyOrderOfReports_isTheMedian", async () => {
    const { feed, reportAll } = state();
    const prices = [1.03, 1, 1.02, 1.01];
    for (let shift = 0; shift < prices.length; shift++) {
      await reportAll(...prices.slice(shift), ...prices.slice(0, shift));
      expect((await feed.latestRoundData()).answer).to.equal(usd(1.015));
    }
  });

  it("latestRoundData_noReports_reverts", async () => {
    const { feed } = state();
    await expect(feed.latestRoundData()).to.be.revertedWithCustomError(feed, "TooFewFresh").withArgs(0, 3);
  });

  it("latestRoundData_observationsGrownOld_reverts", async () => {
    const { feed, reportAll, pass } = state();
    await reportAll(1, 1);
    await pass(TERMS.maxAge / 2);
    await reportAll(1, 1, 1);
    await feed.latestRoundData();
    await pass(TERMS.maxAge + 1);
    await expect(feed.latestRoundData()).to.be.revertedWithCustomError(feed, "TooFewFresh").withArgs(0, 3);
  });

  it("latestRoundData_ageAtItsLimit_stillAnswers", async () => {
    const { connection, feed, reporters, now } = state();
    const at = (await now()) + 1;
    for (const reporter of reporters.slice(0, 3)) {
      await connection.networkHelpers.time.setNextBlockTimestamp(at);
      await feed.connect(reporter).report(usd(1), at);
    }
    await connection.networkHelpers.time.increaseTo(at + TERMS.maxAge);
    await feed.latestRoundData();
    await connection.networkHelpers.time.increaseTo(at + TERMS.maxAge + 1);
    await expect(feed.latestRoundData()).to.be.revertedWithCustomError(feed, "TooFewFresh");
  });

  it("latestRoundData_reportersDisagree_reverts", async () => {
    const { feed, reportAll } = state();
    await reportAll(1, 1, 1.05);
    await feed.latestRoundData();
    await reportAll(1, 1, 1.0501);
    await expect(feed.latestRoundData())
      .to.be.revertedWithCustomError(feed, "SpreadTooWide")
      .withArgs(usd(1), usd(1.0501), TERMS.maxSpreadBps);
  });

  it("latestRoundData_afterAJump_revertsUntilTheOldAnswerIsTooOld", async () => {
    const { feed, reportAll, pass } = state();
    await reportAll(1, 1, 1);
    await pass(TERMS.maxAge - 600);
    await reportAll(1, 1, 1);
    const before = await feed.latestRoundData();
    await pass(TERMS.maxAge - 600);
    await reportAll(1.5, 1.5, 1.5);
    await expect(feed.latestRoundData())
      .to.be.revertedWithCustomError(feed, "StepTooLarge")
      .withArgs(usd(1), usd(1.5), TERMS.maxStepBps);
    await pass(600);
    await expect(feed.latestRoundData()).to.be.revertedWithCustomError(feed, "AnswerTooOld");
    await reportAll(1.5);
    const after = await feed.latestRoundData();
    expect(after.answer).to.equal(usd(1.5));
    expect(after.roundId).to.equal(before.roundId + 1n);
  });
});
