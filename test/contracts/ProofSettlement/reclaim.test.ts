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
import { increaseTime, TERMS } from "../../support/protocol.ts";
import { Status } from "../../support/settlement.ts";

const reclaim = ({ settlement, challenger }: World, batch: BuiltBatch) =>
  settlement.connect(challenger).reclaim(batch.header, [...batch.royalties]);

describe("ProofSettlement.reclaim", () => {
  it("reclaim_rejectedBatch_movesAllItHeldToTheProtocolOnce", async () => {
    const world = await freshWorld();
    const { settlement, operator, modelOwner, owner } = world;
    const batch = await postedBatch(world, { seats: [0, 1], tamper: forged(0) });
    await challengeReceipt(world, batch, 0);
    const held = chargesOf(batch).due + BOND;
    await expect(reclaim(world, batch)).to.emit(settlement, "BatchReclaimed").withArgs(batch.id, held);
    expect((await settlement.state()).protocolCredit).to.equal(held);
    expect(await settlement.credits(modelOwner)).to.equal(0n);
    const record = await settlement.records(batch.id);
    expect([record.status, record.sequence, record.punished]).to.deep.equal([Status.Rejected, 0n, true]);
    await expect(reclaim(world, batch))
      .to.be.revertedWithCustomError(settlement, "WrongStatus")
      .withArgs(Status.Rejected);

    await settlement.connect(owner).sweepProtocolCredit(owner);
    await settlement.connect(operator).withdraw(OPERATOR_DEPOSIT - held);
    expect(await world.opg.balanceOf(settlement), "nothing is stuck").to.equal(0n);
  });

  it("reclaim_notRejected_reverts", async () => {
    const world = await freshWorld();
    const { settlement } = world;
    const unknown = await buildBatch(world);
    const pending = await postedBatch(world, { seats: [] });
    const attested = await postedBatch(world, { tamper: forged(0) });
    await challengeReceipt(world, attested, 0);
    for (const [batch, status] of [
      [unknown, Status.None],
      [pending, Status.Pending],
      [attested, Status.Attested],
    ] as const) {
      await expect(reclaim(world, batch)).to.be.revertedWithCustomError(settlement, "WrongStatus").withArgs(status);
    }
    await increaseTime(world, TERMS.window + 1);
    await settlement.finalise(pending.header, [...pending.royalties]);
    await expect(reclaim(world, pending))
      .to.be.revertedWithCustomError(settlement, "WrongStatus")
      .withArgs(Status.Unchallenged);
  });

  it("reclaim_otherRoyalties_reverts", async () => {
    const world = await freshWorld();
    const batch = await postedBatch(world, { seats: [], tamper: forged(0) });
    await challengeReceipt(world, batch, 0);
    await expect(reclaim(world, { ...batch, royalties: [] })).to.be.revertedWithCustomError(
      world.settlement,
      "RoyaltiesMismatch",
    );
  });
});
