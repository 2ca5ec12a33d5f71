import { expect } from "chai";

import { freshState } from "../../support/freshState.ts";
import { deployFeed, TERMS, usd } from "./feedStage.ts";

describe("OpgPriceFeed: attacks", () => {
  const state = freshState(deployFeed);

  it("oneLiar_withinTheSpread_cannotLeaveWhatTheOthersSaw", async () => {
    const { feed, reporters, reportAll, pass, now } = state();
    await reportAll(1, 1.01, 1.02, 1.01);
    for (const lie of [0.98, 1.029, 0.972, 1.049]) {
      await pass(1);
      await feed.connect(reporters[3]).report(usd(lie), await now());
      const { answer } = await feed.latestRoundData();
      expect(answer >= usd(1) && answer <= usd(1.02), String(answer)).to.equal(true);
    }
  });

  it("oneLiar_outsideTheSpread_closesTheFeedAndNothingElse", async () => {
    const { feed, reporters, reportAll, now } = state();
    await reportAll(1, 1, 1);
    await expect(feed.connect(reporters[3]).report(usd(1_000), await now())).not.to.emit(feed, "AnswerUpdated");
    await expect(feed.latestRoundData()).to.be.revertedWithCustomError(feed, "SpreadTooWide");
    expect((await feed.getRoundData(1)).answer).to.equal(usd(1));
  });

  it("oneReporter_reportingManyTimes_countsOnce", async () => {
    const { feed, reporters, pass, now } = state();
    for (let i = 0; i < 5; i++) {
      await pass(1);
      await feed.connect(reporters[0]).report(usd(1), await now());
    }
    await expect(feed.latestRoundData()).to.be.revertedWithCustomError(feed, "TooFewFresh").withArgs(1, 3);
  });

  it("oneReporter_repeatingItself_cannotCarryTheAnswerAway", async () => {
    const { feed, reporters, reportAll, pass, now } = state();
    await reportAll(1, 1, 1, 1);
    for (let i = 0; i < 20; i++) {
      await pass(1);
      await feed.connect(reporters[3]).report(usd(1.049), await now());
    }
    expect((await feed.latestRoundData()).answer).to.equal(usd(1));
  });

  it("silentReporters_cannotBeOutvotedByAMinority", async () => {
    const { feed, reporters, reportAll, pass } = state();
    await reportAll(1, 1, 1, 1);
    await pass(TERMS.maxAge + 1);
    await reportAll(2, 2);
    await expect(feed.latestRoundData()).to.be.revertedWithCustomError(feed, "TooFewFresh").withArgs(2, 3);
    expect(reporters).to.have.length(4);
  });

  it("colludingQuorum_jump_closesTheFeed", async () => {
    const { feed, reportAll } = state();
    await reportAll(1, 1, 1);
    await reportAll(1.04, 1.04, 1.04);
    await reportAll(1.3, 1.3, 1.3);
    await expect(feed.latestRoundData())
      .to.be.revertedWithCustomError(feed, "StepTooLarge")
      .withArgs(usd(1.04), usd(1.3), TERMS.maxStepBps);
  });

  it("removedAndAddedAgain_startsWithoutAnObservation", async () => {
    const { feed, reporters, reportAll } = state();
    await reportAll(1, 1, 1);
    await feed.removeReporter(reporters[0]!);
    await feed.addReporter(reporters[0]!);
    await expect(feed.latestRoundData()).to.be.revertedWithCustomError(feed, "TooFewFresh").withArgs(2, 3);
  });

  it("price_ofAnySize_fitsTheAnswer", async () => {
    const { feed, reporters, connection, now } = state();
    const most = 2n ** 96n - 1n;
    for (const reporter of reporters) {
      const at = (await now()) + 1;
      await connection.networkHelpers.time.setNextBlockTimestamp(at);
      await feed.connect(reporter).report(most, at);
    }
    expect((await feed.latestRoundData()).answer).to.equal(most);
  });
});
