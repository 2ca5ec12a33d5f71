import { expect } from "chai";

import { OpgPriceFeed__factory } from "../../../typechain-types/index.ts";
import { freshState } from "../../support/freshState.ts";
import { deployFeed, TERMS } from "./feedStage.ts";

describe("OpgPriceFeed.setTerms", () => {
  const state = freshState(deployFeed);

  it("setTerms_byOwner_countAtOnce", async () => {
    const { feed, reportAll } = state();
    await reportAll(1, 1, 1.04);
    await feed.latestRoundData();
    const tighter = { ...TERMS, maxSpreadBps: 100 };
    await expect(feed.setTerms(tighter)).to.emit(feed, "TermsSet").withArgs(Object.values(tighter));
    await expect(feed.latestRoundData()).to.be.revertedWithCustomError(feed, "SpreadTooWide");
  });

  it("setTerms_byAnyoneElse_reverts", async () => {
    const { feed, stranger } = state();
    await expect(feed.connect(stranger).setTerms(TERMS)).to.be.revertedWithCustomError(
      feed,
      "OwnableUnauthorizedAccount",
    );
  });

  for (const [name, change] of Object.entries({
    oneReporterIsHalf: { quorum: 2 },
    tooShort: { maxAge: 59 },
    tooLong: { maxAge: 86_401 },
    noSpread: { maxSpreadBps: 0 },
    anySpread: { maxSpreadBps: 10_000 },
    noStep: { maxStepBps: 0 },
    anyStep: { maxStepBps: 10_000 },
  })) {
    it(`setTerms_${name}_reverts`, async () => {
      const { feed, owner } = state();
      const terms = { ...TERMS, ...change };
      await expect(feed.setTerms(terms)).to.be.revertedWithCustomError(feed, "InvalidTerms");
      await expect(new OpgPriceFeed__factory(owner).deploy(owner, terms, [])).to.be.revertedWithCustomError(
        feed,
        "InvalidTerms",
      );
    });
  }

  it("ownership_isHandedOverInTwoSteps", async () => {
    const { feed, owner, stranger } = state();
    await feed.transferOwnership(stranger);
    expect(await feed.owner()).to.equal(owner.address);
    await feed.connect(stranger).acceptOwnership();
    await feed.connect(stranger).setTerms(TERMS);
  });
});
