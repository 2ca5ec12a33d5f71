import { expect } from "chai";

import {
  BOND,
  buildBatch,
  challengeReceipt,
  chargesOf,
  forged,
  freshWorld,
  OPERATOR_DEPOSIT,
  postedBatch,
  type BuiltBatch,
  type World,
} from "../../support/batches.ts";
import { DAY, increaseTime, TERMS } from "../../support/protocol.ts";
import { Status } from "../../support/settlement.ts";

const finalise = ({ settlement, challenger }: World, batch: BuiltBatch) =>
  settlement.connect(challenger).finalise(batch.header, [...batch.royalties]);

describe("ProofSettlement.finalise", () => {
  it("finalise_byAnyone_paysWithoutVerifiersAndReturnsTheBond", async () => {
    const world = await freshWorld();
    const { settlement, operator, modelOwner } = world;
    const batch = await postedBatch(world, { seats: [0] });
    const { protocol, verifiers, royalties, due } = chargesOf(batch);
    expect((await settlement.accounts(operator)).balance).to.equal(OPERATOR_DEPOSIT - due - BOND);
    await increaseTime(world, TERMS.window + 1);
    const tx = finalise(world, batch);
    await expect(tx).to.emit(settlement, "RoyaltyCredited").withArgs(modelOwner, royalties, batch.id);
    await expect(tx)
      .to.emit(settlement, "BatchFinalised")
      .withArgs(batch.id, Status.Unchallenged, protocol + verifiers, 0n, royalties);
    const record = await settlement.records(batch.id);
    expect([record.status, record.approvals]).to.deep.equal([Status.Unchallenged, 1n]);
    expect((await settlement.accounts(operator)).balance).to.equal(OPERATOR_DEPOSIT - due);
    expect((await settlement.state()).protocolCredit).to.equal(protocol + verifiers);
    expect(await settlement.seatCredits(0), "a vote without a quorum earns nothing").to.equal(0n);
  });

  it("finalise_withinTheWindow_reverts", async () => {
    const world = await freshWorld();
    const { settlement, connection } = world;
    const batch = await postedBatch(world, { seats: [] });
    const until = (await settlement.records(batch.id)).postedAt + BigInt(TERMS.window);
    await connection.networkHelpers.time.setNextBlockTimestamp(until);
    await expect(finalise(world, batch)).to.be.revertedWithCustomError(settlement, "WindowOpen").withArgs(until);
    await connection.networkHelpers.time.setNextBlockTimestamp(until + 1n);
    await finalise(world, batch);
  });

  it("finalise_longAfterTheWindow_stillWorks", async () => {
    const world = await freshWorld();
    const batch = await postedBatch(world, { seats: [] });
    await increaseTime(world, 30 * DAY);
    await finalise(world, batch);
    expect((await world.settlement.records(batch.id)).status).to.equal(Status.Unchallenged);
  });

  it("finalise_notPending_reverts", async () => {
    const world = await freshWorld();
    const { settlement } = world;
    const unknown = await buildBatch(world);
    const attested = await postedBatch(world);
    const rejected = await postedBatch(world, { seats: [], tamper: forged(0) });
    await challengeReceipt(world, rejected, 0);
    const unchallenged = await postedBatch(world, { seats: [] });
    await increaseTime(world, TERMS.window + 1);
    await finalise(world, unchallenged);
    for (const [batch, status] of [
      [unknown, Status.None],
      [attested, Status.Attested],
      [rejected, Status.Rejected],
      [unchallenged, Status.Unchallenged],
    ] as const) {
      await expect(finalise(world, batch)).to.be.revertedWithCustomError(settlement, "WrongStatus").withArgs(status);
    }
  });

  it("finalise_otherRoyalties_reverts", async () => {
    const world = await freshWorld();
    const batch = await postedBatch(world, { seats: [] });
    await increaseTime(world, TERMS.window + 1);
    await expect(finalise(world, { ...batch, royalties: [] })).to.be.revertedWithCustomError(
      world.settlement,
      "RoyaltiesMismatch",
    );
  });
});
