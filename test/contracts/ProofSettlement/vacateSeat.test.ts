import { expect } from "chai";

import {
  buildBatch,
  challengeReceipt,
  forged,
  freshWorld,
  post,
  postedBatch,
  SUBMITTER_SLASH,
  VERIFIER_STAKE,
  VOTER_SLASH,
} from "../../support/batches.ts";
import { increaseTime, latestTimestamp, opgWei, Role } from "../../support/protocol.ts";
import { Fault, Status } from "../../support/settlement.ts";

describe("ProofSettlement.vacateSeat", () => {
  it("vacateSeat_byItsOperator_isVacated", async () => {
    const world = await freshWorld();
    const { settlement, verifiers } = world;
    const { operator } = verifiers[3]!;
    await expect(settlement.connect(operator).vacateSeat(3)).to.emit(settlement, "SeatVacated").withArgs(3, operator);
    const seat = (await settlement.seats())[3]!;
    expect(seat.vacatedAt).to.equal(await latestTimestamp(world));
    expect(seat.operator, "whose credits lie there").to.equal(await operator.getAddress());
  });

  it("vacateSeat_bySomebodyElse_reverts", async () => {
    const { settlement, challenger } = await freshWorld();
    await expect(settlement.connect(challenger).vacateSeat(0))
      .to.be.revertedWithCustomError(settlement, "SeatStillStaked")
      .withArgs(0);
  });

  it("vacateSeat_understaked_byAnyone", async () => {
    const { settlement, staking, verifiers, challenger } = await freshWorld();
    const { operator } = verifiers[0]!;
    await staking.connect(operator).unstake(Role.Verifier, VERIFIER_STAKE - opgWei(1_000));
    await expect(settlement.connect(challenger).vacateSeat(0)).to.be.revertedWithCustomError(
      settlement,
      "SeatStillStaked",
    );
    await staking.connect(operator).unstake(Role.Verifier, 1n);
    await expect(settlement.connect(challenger).vacateSeat(0)).to.emit(settlement, "SeatVacated").withArgs(0, operator);
  });

  it("vacateSeat_slashedBelowTheMinimum_byAnyone", async () => {
    const world = await freshWorld();
    const { settlement, staking, verifiers, challenger } = world;
    const { operator } = verifiers[0]!;
    await staking.connect(operator).unstake(Role.Verifier, VERIFIER_STAKE - opgWei(1_000));
    const batch = await postedBatch(world, { tamper: forged(0) });
    await challengeReceipt(world, batch, 0);
    await settlement.connect(challenger).vacateSeat(0);
  });

  it("vacateSeat_again_reverts", async () => {
    const { settlement, verifiers } = await freshWorld();
    const { operator } = verifiers[0]!;
    await settlement.connect(operator).vacateSeat(0);
    await expect(settlement.connect(operator).vacateSeat(0))
      .to.be.revertedWithCustomError(settlement, "SeatNotHeld")
      .withArgs(operator);
  });

  it("vacateSeat_unknownSeat_reverts", async () => {
    const { settlement } = await freshWorld();
    await expect(settlement.vacateSeat(4)).to.be.revertedWithPanic(0x32);
  });

  it("vacateSeat_oldSets_stillCountPayAndSlashIt", async () => {
    const world = await freshWorld();
    const { settlement, staking, verifiers, challenger } = world;
    const { operator } = verifiers[0]!;
    await settlement.connect(operator).vacateSeat(0);
    await staking.connect(operator).unstake(Role.Verifier, VERIFIER_STAKE);
    const batch = await postedBatch(world, { seats: [0, 1, 2], tamper: forged(0) });
    expect((await settlement.records(batch.id)).status).to.equal(Status.Attested);
    const earned = await settlement.seatCredits(0);
    expect(earned).to.equal(await settlement.seatCredits(1));
    await expect(challengeReceipt(world, batch, 0))
      .to.emit(settlement, "BatchProvenWrong")
      .withArgs(batch.id, challenger, Fault.Receipt, true, SUBMITTER_SLASH + 3n * VOTER_SLASH);
  });

  it("vacateSeat_nextSnapshot_isWithoutIt", async () => {
    const world = await freshWorld();
    const { settlement, verifiers } = world;
    await settlement.connect(verifiers[1]!.operator).vacateSeat(1);
    await increaseTime(world, 600);
    await settlement.snapshot();
    const { signers, stakes, totalStake } = await settlement.verifierSet(2);
    expect([...stakes]).to.deep.equal([VERIFIER_STAKE, 0n, VERIFIER_STAKE, VERIFIER_STAKE]);
    expect(BigInt(signers[1]!)).to.equal(0n);
    expect(totalStake).to.equal(3n * VERIFIER_STAKE);
    await expect(post(world, await buildBatch(world, { header: { setId: 2 } }), [0, 1]))
      .to.be.revertedWithCustomError(settlement, "InvalidVote")
      .withArgs(1);
  });
});
