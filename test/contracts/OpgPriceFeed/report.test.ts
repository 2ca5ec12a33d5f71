import { expect } from "chai";

import { freshState } from "../../support/freshState.ts";
import { deployFeed, TERMS, usd } from "./feedStage.ts";

describe("OpgPriceFeed.report", () => {
  const state = freshState(deployFeed);

  it("report_belowTheQuorum_isKeptAndAnswersNothing", async () => {
    const { feed, reporters, now } = state();
    const at = await now();
    await expect(feed.connect(reporters[0]).report(usd(0.25), at))
      .to.emit(feed, "Reported")
      .withArgs(reporters[0], usd(0.25), at)
      .and.not.to.emit(feed, "AnswerUpdated");
    const [first] = await feed.observations();
    expect([first!.reporter, first!.price, first!.observedAt]).to.deep.equal([
      reporters[0]!.address,
      usd(0.25),
      BigInt(at),
    ]);
    await expect(feed.latestRoundData()).to.be.revertedWithCustomError(feed, "TooFewFresh").withArgs(1, TERMS.quorum);
  });

  it("report_makingTheQuorum_beginsARound", async () => {
    const { feed, reporters, reportAll, now } = state();
    await reportAll(0.25, 0.252);
    const at = await now();
    const transaction = await feed.connect(reporters[2]).report(usd(0.251), at);
    const { timestamp } = (await transaction.getBlock())!;
    await expect(transaction).to.emit(feed, "AnswerUpdated").withArgs(usd(0.251), 1, timestamp);
  });

  it("report_everyTime_advancesTheRound", async () => {
    const { feed, reportAll } = state();
    await reportAll(1, 1, 1, 1.01);
    await reportAll(1.02);
    expect((await feed.latestRoundData())[0]).to.equal(3n);
  });

  it("report_stranger_reverts", async () => {
    const { feed, stranger, now } = state();
    await expect(feed.connect(stranger).report(usd(1), await now()))
      .to.be.revertedWithCustomError(feed, "NotReporter")
      .withArgs(stranger);
  });

  it("report_zero_reverts", async () => {
    const { feed, reporters, now } = state();
    await expect(feed.connect(reporters[0]).report(0, await now())).to.be.revertedWithCustomError(feed, "InvalidPrice");
  });

  it("report_fromTheFuture_reverts", async () => {
    const { feed, connection, reporters, now } = state();
    const next = (await now()) + 10;
    await connection.networkHelpers.time.setNextBlockTimestamp(next);
    await expect(feed.connect(reporters[0]).report(usd(1), next + 1))
      .to.be.revertedWithCustomError(feed, "ObservationOfFuture")
      .withArgs(next + 1, next);
  });

  it("report_tooOld_reverts", async () => {
    const { feed, connection, reporters, now } = state();
    const next = (await now()) + 10;
    await connection.networkHelpers.time.setNextBlockTimestamp(next);
    await expect(feed.connect(reporters[0]).report(usd(1), next - TERMS.maxAge - 1))
      .to.be.revertedWithCustomError(feed, "ObservationTooOld")
      .withArgs(next - TERMS.maxAge - 1, next - TERMS.maxAge);
  });

  it("report_notNewerThanTheLast_reverts", async () => {
    const { feed, reporters, now } = state();
    const at = await now();
    await feed.connect(reporters[0]).report(usd(1), at);
    for (const again of [at, at - 1]) {
      await expect(feed.connect(reporters[0]).report(usd(1), again))
        .to.be.revertedWithCustomError(feed, "ObservationNotNewer")
        .withArgs(again, at);
    }
  });
});
