import { expect } from "chai";

import { freshState } from "../../support/freshState.ts";
import { deployFeed, TERMS, usd } from "./feedStage.ts";

describe("OpgPriceFeed.removeReporter", () => {
  const state = freshState(deployFeed);

  it("removeReporter_takesItsObservationAway", async () => {
    const { feed, reporters, reportAll, now } = state();
    await reportAll(1, 1, 1, 1.04);
    await expect(feed.removeReporter(reporters[0]!)).to.emit(feed, "ReporterRemoved").withArgs(reporters[0]);
    await expect(feed.connect(reporters[0]).report(usd(1), await now())).to.be.revertedWithCustomError(
      feed,
      "NotReporter",
    );
    expect((await feed.observations()).map(({ reporter }) => reporter)).to.have.members(
      reporters.slice(1).map(({ address }) => address),
    );
  });

  it("removeReporter_ofEveryPlace_leavesTheOthersTheirs", async () => {
    const { feed, reporters, pass, reportAll, connection, now } = state();
    const snapshot = await connection.networkHelpers.takeSnapshot();
    for (const gone of reporters) {
      await reportAll(1, 1.01, 1.02, 1.03);
      await feed.removeReporter(gone);
      await pass(1);
      for (const other of reporters.filter((reporter) => reporter !== gone)) {
        await feed.connect(other).report(usd(1.01), await now());
      }
      expect((await feed.observations()).map(({ price }) => price)).to.deep.equal([usd(1.01), usd(1.01), usd(1.01)]);
      await snapshot.restore();
    }
  });

  it("removeReporter_belowTheQuorum_closesTheFeed", async () => {
    const { feed, reporters, reportAll } = state();
    await reportAll(1, 1, 1);
    await feed.removeReporter(reporters[0]!);
    await expect(feed.latestRoundData()).to.be.revertedWithCustomError(feed, "TooFewFresh").withArgs(2, TERMS.quorum);
  });

  it("removeReporter_ofAReporterThatClosedTheFeed_opensIt", async () => {
    const { feed, reporters, reportAll } = state();
    await reportAll(1, 1, 1, 7);
    await expect(feed.latestRoundData()).to.be.revertedWithCustomError(feed, "SpreadTooWide");
    await feed.removeReporter(reporters[3]!);
    expect((await feed.latestRoundData()).answer).to.equal(usd(1));
  });

  it("removeReporter_stranger_reverts", async () => {
    const { feed, stranger, reporters } = state();
    await expect(feed.removeReporter(stranger)).to.be.revertedWithCustomError(feed, "NotReporter");
    await expect(feed.connect(stranger).removeReporter(reporters[0]!)).to.be.revertedWithCustomError(
      feed,
      "OwnableUnauthorizedAccount",
    );
  });
});
