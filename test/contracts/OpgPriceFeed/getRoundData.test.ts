import { expect } from "chai";

import { freshState } from "../../support/freshState.ts";
import { deployFeed, usd } from "./feedStage.ts";

describe("OpgPriceFeed.getRoundData", () => {
  const state = freshState(deployFeed);

  it("getRoundData_recent_isTheRoundAsItWas", async () => {
    const { feed, reportAll } = state();
    await reportAll(1, 1, 1);
    const first = await feed.latestRoundData();
    await reportAll(1.02, 1.02);
    expect((await feed.latestRoundData()).answer).to.equal(usd(1.02));
    expect(await feed.getRoundData(1)).to.deep.equal(first);
  });

  it("getRoundData_neverBegun_reverts", async () => {
    const { feed, reportAll } = state();
    for (const roundId of [0, 1]) {
      await expect(feed.getRoundData(roundId)).to.be.revertedWithCustomError(feed, "RoundNotKept").withArgs(roundId);
    }
    await reportAll(1, 1, 1);
    for (const roundId of [0, 2, 257]) {
      await expect(feed.getRoundData(roundId)).to.be.revertedWithCustomError(feed, "RoundNotKept").withArgs(roundId);
    }
  });

  it("getRoundData_olderThanTheHistory_revertsRatherThanGiveAnother", async function () {
    this.timeout(60_000);
    const { feed, reportAll } = state();
    await reportAll(1, 1, 1);
    for (let round = 2; round <= 257; round++) await reportAll(1);
    expect((await feed.latestRoundData()).roundId).to.equal(257n);
    expect((await feed.getRoundData(2)).roundId).to.equal(2n);
    await expect(feed.getRoundData(1)).to.be.revertedWithCustomError(feed, "RoundNotKept").withArgs(1);
  });
});
