import { expect } from "chai";

import { buildBatch, freshWorld, hexAddress, post, postedBatch, type World } from "../../support/batches.ts";
import { increaseTime, seatConsent, testKey } from "../../support/protocol.ts";
import { Status } from "../../support/settlement.ts";

const FRESH = testKey(60);

async function change(world: World, seat = 0): Promise<void> {
  const { settlement, verifiers } = world;
  const { operator } = verifiers[seat]!;
  const consent = await seatConsent(settlement, seat, await hexAddress(operator), FRESH);
  await expect(settlement.connect(operator).changeSeatSigner(FRESH, consent))
    .to.emit(settlement, "SeatSignerChanged")
    .withArgs(seat, FRESH);
}

describe("ProofSettlement.changeSeatSigner", () => {
  it("changeSeatSigner_setsTakenBefore_keepTheOldKey", async () => {
    const world = await freshWorld();
    const { settlement, verifiers } = world;
    await change(world);
    const withOld = await postedBatch(world, { seats: [0, 1, 2] });
    expect((await settlement.records(withOld.id)).status).to.equal(Status.Attested);

    const renewed = { ...world, verifiers: [{ ...verifiers[0]!, key: FRESH }, ...verifiers.slice(1)] };
    const refused = (batch: Promise<unknown>) =>
      expect(batch).to.be.revertedWithCustomError(settlement, "InvalidVote").withArgs(0);
    await refused(post(renewed, await buildBatch(world), [0, 1, 2]));

    await increaseTime(world, 600);
    await settlement.snapshot();
    const header = { setId: 2 };
    await refused(post(world, await buildBatch(world, { header }), [0, 1, 2]));
    const withNew = await postedBatch(renewed, { seats: [0, 1, 2], header });
    expect((await settlement.records(withNew.id)).status).to.equal(Status.Attested);
  });

  it("changeSeatSigner_keyUsedBefore_reverts", async () => {
    const world = await freshWorld();
    const { settlement, verifiers } = world;
    await change(world);
    for (const key of [verifiers[0]!.key, verifiers[1]!.key, FRESH]) {
      const { operator } = verifiers[0]!;
      const consent = await seatConsent(settlement, 0, await hexAddress(operator), key);
      await expect(settlement.connect(operator).changeSeatSigner(key, consent))
        .to.be.revertedWithCustomError(settlement, "SeatSignerTaken")
        .withArgs(key);
    }
  });

  it("changeSeatSigner_withoutConsent_reverts", async () => {
    const world = await freshWorld();
    const { settlement, verifiers } = world;
    const { operator } = verifiers[0]!;
    const forSeat1 = await seatConsent(settlement, 1, await hexAddress(operator), FRESH);
    for (const consent of ["0x", forSeat1]) {
      await expect(settlement.connect(operator).changeSeatSigner(FRESH, consent))
        .to.be.revertedWithCustomError(settlement, "SeatConsentMissing")
        .withArgs(FRESH);
    }
  });

  it("changeSeatSigner_withoutASeat_reverts", async () => {
    const world = await freshWorld();
    const { settlement, verifiers, challenger } = world;
    await settlement.connect(verifiers[0]!.operator).vacateSeat(0);
    for (const caller of [challenger, verifiers[0]!.operator]) {
      await expect(settlement.connect(caller).changeSeatSigner(FRESH, "0x"))
        .to.be.revertedWithCustomError(settlement, "SeatNotHeld")
        .withArgs(caller);
    }
  });
});
