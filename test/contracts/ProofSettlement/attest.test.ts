import { expect } from "chai";

import {
  attest,
  buildBatch,
  challengeReceipt,
  chargesOf,
  forged,
  freshWorld,
  OPERATOR_DEPOSIT,
  postedBatch,
  votesOf,
} from "../../support/batches.ts";
import { increaseTime, opgWei, Role, TERMS } from "../../support/protocol.ts";
import { Status } from "../../support/settlement.ts";

describe("ProofSettlement.attest", () => {
  it("attest_quorum_isFinalPaysAndReturnsTheBond", async () => {
    const world = await freshWorld();
    const { settlement, operator, modelOwner } = world;
    const batch = await postedBatch(world, { seats: [] });
    const { protocol, verifiers, royalties, due } = chargesOf(batch);
    const given = (verifiers / 3n / 10n ** 9n) * 3n * 10n ** 9n;
    const tx = attest(world, batch, [0, 2, 3]);
    await expect(tx).to.emit(settlement, "BatchAttested").withArgs(batch.id, 0b1101n);
    await expect(tx).to.emit(settlement, "RoyaltyCredited").withArgs(modelOwner, royalties, batch.id);
    await expect(tx)
      .to.emit(settlement, "BatchFinalised")
      .withArgs(batch.id, Status.Attested, protocol + verifiers - given, given, royalties);
    expect((await settlement.records(batch.id)).status).to.equal(Status.Attested);
    expect((await settlement.accounts(operator)).balance).to.equal(OPERATOR_DEPOSIT - due);
    expect((await settlement.state()).protocolCredit).to.equal(protocol + verifiers - given);
  });

  it("attest_inSteps_addsUpAndPaysAllVoters", async () => {
    const world = await freshWorld();
    const { settlement } = world;
    const batch = await postedBatch(world, { seats: [3] });
    const second = attest(world, batch, [1]);
    await expect(second).to.emit(settlement, "BatchAttested").withArgs(batch.id, 0b1010n);
    await expect(second).to.not.emit(settlement, "BatchFinalised");
    const third = attest(world, batch, [0]);
    await expect(third).to.emit(settlement, "BatchAttested").withArgs(batch.id, 0b1011n);
    await expect(third).to.emit(settlement, "BatchFinalised");
    const share = (chargesOf(batch).verifiers / 3n / 10n ** 9n) * 10n ** 9n;
    for (const [seat, earned] of [share, share, 0n, share].entries()) {
      expect(await settlement.seatCredits(seat), `seat ${seat}`).to.equal(earned);
    }
  });

  it("attest_sameVoteAgain_doesNotCountTwice", async () => {
    const world = await freshWorld();
    const batch = await postedBatch(world, { seats: [0] });
    for (let i = 0; i < 3; i++) await attest(world, batch, [0]);
    const record = await world.settlement.records(batch.id);
    expect([record.status, record.approvals]).to.deep.equal([Status.Pending, 1n]);
  });

  it("attest_noVotes_changesNothing", async () => {
    const world = await freshWorld();
    const batch = await postedBatch(world, { seats: [0] });
    const before = await world.settlement.accounts(world.operator);
    await attest(world, batch, []);
    const record = await world.settlement.records(batch.id);
    expect([record.status, record.approvals]).to.deep.equal([Status.Pending, 1n]);
    expect(await world.settlement.accounts(world.operator)).to.deep.equal(before);
  });

  it("attest_lastSecondOfTheWindow_isFinal_oneLater_reverts", async () => {
    const world = await freshWorld();
    const { settlement, connection } = world;
    const [first, second] = [await postedBatch(world, { seats: [] }), await postedBatch(world, { seats: [] })];
    const end = async (id: string) => (await settlement.records(id)).postedAt + BigInt(TERMS.window);
    await connection.networkHelpers.time.setNextBlockTimestamp(await end(first.id));
    await attest(world, first);
    await connection.networkHelpers.time.setNextBlockTimestamp((await end(second.id)) + 1n);
    await expect(attest(world, second))
      .to.be.revertedWithCustomError(settlement, "WindowClosed")
      .withArgs(await end(second.id));
  });

  it("attest_notPending_reverts", async () => {
    const world = await freshWorld();
    const { settlement } = world;
    const unknown = await buildBatch(world);
    const attested = await postedBatch(world);
    const rejected = await postedBatch(world, { seats: [], tamper: forged(0) });
    await challengeReceipt(world, rejected, 0);
    const unchallenged = await postedBatch(world, { seats: [] });
    await increaseTime(world, TERMS.window + 1);
    await settlement.finalise(unchallenged.header, [...unchallenged.royalties]);
    for (const [batch, status] of [
      [unknown, Status.None],
      [attested, Status.Attested],
      [rejected, Status.Rejected],
      [unchallenged, Status.Unchallenged],
    ] as const) {
      await expect(attest(world, batch)).to.be.revertedWithCustomError(settlement, "WrongStatus").withArgs(status);
    }
  });

  it("attest_otherRoyalties_reverts", async () => {
    const world = await freshWorld();
    const batch = await postedBatch(world, { seats: [] });
    await expect(attest(world, { ...batch, royalties: [] })).to.be.revertedWithCustomError(
      world.settlement,
      "RoyaltiesMismatch",
    );
  });

  it("attest_otherHeader_isAnotherBatch", async () => {
    const world = await freshWorld();
    const batch = await postedBatch(world, { seats: [] });
    const votes = votesOf(world, batch.id);
    const header = { ...batch.header, fees: 0n };
    await expect(world.settlement.attest(header, [...batch.royalties], votes.seats, votes.signatures))
      .to.be.revertedWithCustomError(world.settlement, "WrongStatus")
      .withArgs(Status.None);
  });

  it("attest_afterStakesAndSeatsChanged_isJudgedByTheBatchsOwnSet", async () => {
    const world = await freshWorld();
    const { settlement, staking, verifiers } = world;
    const batch = await postedBatch(world, { seats: [] });
    await staking.connect(verifiers[0]!.operator).unstake(Role.Verifier, opgWei(99_999));
    await settlement.vacateSeat(0);
    await settlement.connect(verifiers[1]!.operator).vacateSeat(1);
    await increaseTime(world, 600);
    await settlement.snapshot();
    await increaseTime(world, 3 * 3_600);
    await attest(world, batch, [0, 1, 2]);
    expect((await settlement.records(batch.id)).status).to.equal(Status.Attested);
    expect(await settlement.seatCredits(0)).to.equal(await settlement.seatCredits(2));
  });
});
