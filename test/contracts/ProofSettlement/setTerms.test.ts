import { expect } from "chai";

import {
  attest,
  BOND,
  challengeReceipt,
  chargesOf,
  forged,
  freshWorld,
  OPERATOR_DEPOSIT,
  postedBatch,
  SUBMITTER_SLASH,
} from "../../support/batches.ts";
import { DAY, HOUR, increaseTime, opgWei, TERMS, UNBONDING_SECONDS } from "../../support/protocol.ts";
import { Fault, Status } from "../../support/settlement.ts";

const OTHER_TERMS = {
  protocolBps: 500,
  verifierBps: 0,
  maxRoyaltyBps: 1_000,
  rewardBps: 0,
  voterSlashBps: 2,
  window: 60,
  accountability: 61,
  receiptDeadline: 3_600,
  bond: 1,
  submitterSlash: 7,
};

describe("ProofSettlement.setTerms", () => {
  it("setTerms_byTheOwner_isTheNextVersion", async () => {
    const { settlement, owner } = await freshWorld();
    const tx = settlement.connect(owner).setTerms(OTHER_TERMS);
    await expect(tx).to.emit(settlement, "TermsSet");
    const [event] = await settlement.queryFilter(settlement.filters.TermsSet(2));
    for (const terms of [event!.args.terms, await settlement.terms(2)]) {
      expect([...(terms as unknown as bigint[])]).to.deep.equal(Object.values(OTHER_TERMS).map(BigInt));
    }
    expect((await settlement.state()).terms).to.equal(2n);
    const first = (await settlement.terms(1)) as unknown as bigint[];
    expect([...first], "a version never changes").to.deep.equal(Object.values(TERMS).map(BigInt));
    expect((await settlement.terms(3)).window, "no such version").to.equal(0n);
  });

  it("setTerms_byAnyoneElse_reverts", async () => {
    const { settlement, operator } = await freshWorld();
    await expect(settlement.connect(operator).setTerms(OTHER_TERMS))
      .to.be.revertedWithCustomError(settlement, "OwnableUnauthorizedAccount")
      .withArgs(operator);
  });

  it("setTerms_outOfBounds_reverts", async () => {
    const { settlement } = await freshWorld();
    const maxAccountability = UNBONDING_SECONDS - DAY - HOUR;
    for (const wrong of [
      { protocolBps: 5_000, verifierBps: 3_000, maxRoyaltyBps: 2_001 },
      { rewardBps: 2_001 },
      { voterSlashBps: 10_001 },
      { window: 0 },
      { window: 7 * DAY + 1, accountability: 7 * DAY + 1 },
      { window: 100, accountability: 99 },
      { accountability: maxAccountability + 1 },
      { receiptDeadline: 0 },
      { receiptDeadline: 30 * DAY + 1 },
    ]) {
      await expect(settlement.setTerms({ ...TERMS, ...wrong }), JSON.stringify(wrong)).to.be.revertedWithCustomError(
        settlement,
        "InvalidTerms",
      );
    }
  });

  it("setTerms_atTheBounds_isAccepted", async () => {
    const { settlement } = await freshWorld();
    const accountability = UNBONDING_SECONDS - DAY - HOUR;
    const extreme = {
      ...TERMS,
      protocolBps: 5_000,
      verifierBps: 3_000,
      maxRoyaltyBps: 2_000,
      rewardBps: 2_000,
      voterSlashBps: 10_000,
      window: accountability,
      accountability,
      receiptDeadline: 30 * DAY,
      bond: 2 ** 32 - 1,
      submitterSlash: 2 ** 32 - 1,
    };
    await settlement.setTerms(extreme);
  });

  it("setTerms_betweenPostAndFinalise_theBatchEndsUnderItsOwn", async () => {
    const world = await freshWorld();
    const { settlement, operator } = world;
    const batch = await postedBatch(world, { seats: [] });
    const { protocol, verifiers, royalties, due } = chargesOf(batch);
    await settlement.setTerms(OTHER_TERMS);
    await increaseTime(world, OTHER_TERMS.window + 1);
    await expect(settlement.finalise(batch.header, [...batch.royalties])).to.be.revertedWithCustomError(
      settlement,
      "WindowOpen",
    );
    await increaseTime(world, TERMS.window);
    await expect(settlement.finalise(batch.header, [...batch.royalties]))
      .to.emit(settlement, "BatchFinalised")
      .withArgs(batch.id, Status.Unchallenged, protocol + verifiers, 0n, royalties);
    expect((await settlement.accounts(operator)).balance).to.equal(OPERATOR_DEPOSIT - due);
  });

  it("setTerms_betweenPostAndAttest_theBatchEndsUnderItsOwn", async () => {
    const world = await freshWorld();
    const { settlement, operator } = world;
    const batch = await postedBatch(world, { seats: [] });
    await settlement.setTerms(OTHER_TERMS);
    await increaseTime(world, OTHER_TERMS.window + 1);
    await attest(world, batch);
    expect((await settlement.accounts(operator)).balance).to.equal(OPERATOR_DEPOSIT - chargesOf(batch).due);
    expect(await settlement.seatCredits(0)).to.equal((chargesOf(batch).verifiers / 4n / 10n ** 9n) * 10n ** 9n);
  });

  it("setTerms_betweenPostAndChallenge_slashAndReclaimFollowTheBatchsOwn", async () => {
    const world = await freshWorld();
    const { settlement, staking, challenger } = world;
    const batch = await postedBatch(world, { seats: [], tamper: forged(0) });
    await settlement.setTerms(OTHER_TERMS);
    await increaseTime(world, OTHER_TERMS.accountability + 1);
    await expect(challengeReceipt(world, batch, 0))
      .to.emit(settlement, "BatchProvenWrong")
      .withArgs(batch.id, challenger, Fault.Receipt, false, SUBMITTER_SLASH);
    expect(await staking.credits(challenger)).to.equal((SUBMITTER_SLASH * BigInt(TERMS.rewardBps)) / 10_000n);
    await expect(settlement.reclaim(batch.header, [...batch.royalties]))
      .to.emit(settlement, "BatchReclaimed")
      .withArgs(batch.id, chargesOf(batch).due + BOND);
  });

  it("setTerms_laterBatches_followTheNewOnes", async () => {
    const world = await freshWorld();
    const { settlement, operator } = world;
    await settlement.setTerms(OTHER_TERMS);
    const batch = await postedBatch(world, { seats: [] });
    expect((await settlement.records(batch.id)).terms).to.equal(2n);
    const due = (batch.header.fees * 500n) / 10_000n + chargesOf(batch).royalties;
    expect((await settlement.accounts(operator)).balance).to.equal(OPERATOR_DEPOSIT - due - opgWei(1));
  });
});
