import { expect } from "chai";
import { Wallet, ZeroAddress } from "ethers";

import { freshState } from "../../support/freshState.ts";
import { deployFeed, TERMS, usd } from "./feedStage.ts";

describe("OpgPriceFeed.addReporter", () => {
  const state = freshState(deployFeed);

  it("addReporter_byOwner_letsItReport", async () => {
    const { feed, stranger, now } = state();
    await expect(feed.addReporter(stranger)).to.emit(feed, "ReporterAdded").withArgs(stranger);
    await expect(feed.connect(stranger).report(usd(1), await now())).to.emit(feed, "Reported");
    expect(await feed.observations()).to.have.length(5);
  });

  it("addReporter_byAnyoneElse_reverts", async () => {
    const { feed, stranger } = state();
    await expect(feed.connect(stranger).addReporter(stranger)).to.be.revertedWithCustomError(
      feed,
      "OwnableUnauthorizedAccount",
    );
  });

  it("addReporter_twice_reverts", async () => {
    const { feed, reporters } = state();
    await expect(feed.addReporter(reporters[1]!))
      .to.be.revertedWithCustomError(feed, "ReporterExists")
      .withArgs(reporters[1]);
  });

  it("addReporter_zeroAddress_reverts", async () => {
    const { feed } = state();
    await expect(feed.addReporter(ZeroAddress)).to.be.revertedWithCustomError(feed, "InvalidReporter");
  });

  it("addReporter_untilTheQuorumIsNoMajority_reverts", async () => {
    const { feed } = state();
    await feed.addReporter(Wallet.createRandom());
    await expect(feed.addReporter(Wallet.createRandom())).to.be.revertedWithCustomError(feed, "InvalidTerms");
    await feed.setTerms({ ...TERMS, quorum: 4 });
    await feed.addReporter(Wallet.createRandom());
  });

  it("addReporter_moreThanFifteen_reverts", async () => {
    const { feed } = state();
    await feed.setTerms({ ...TERMS, quorum: 10 });
    for (let i = 4; i < 15; i++) await feed.addReporter(Wallet.createRandom());
    await expect(feed.addReporter(Wallet.createRandom()))
      .to.be.revertedWithCustomError(feed, "TooManyReporters")
      .withArgs(16, 15);
  });
});
