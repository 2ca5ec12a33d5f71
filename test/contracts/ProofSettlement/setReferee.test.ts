import { expect } from "chai";
import { ZeroAddress } from "ethers";

import {
  BOND,
  challengeReceipt,
  chargesOf,
  freshWorld,
  OPERATOR_DEPOSIT,
  OPERATOR_STAKE,
  postedBatch,
  SUBMITTER_SLASH,
  VERIFIER_STAKE,
  VOTER_SLASH,
  type BuiltBatch,
  type World,
} from "../../support/batches.ts";
import { increaseTime, Role, TERMS } from "../../support/protocol.ts";
import { Fault, Status } from "../../support/settlement.ts";

const finalise = ({ settlement, challenger }: World, batch: BuiltBatch) =>
  settlement.connect(challenger).finalise(batch.header, [...batch.royalties]);

/** A world whose challenger is the referee. */
async function refereedWorld(): Promise<World> {
  const world = await freshWorld();
  await world.settlement.setReferee(world.challenger);
  return world;
}

describe("ProofSettlement.setReferee", () => {
  it("setReferee_byTheOwner_namesIt", async () => {
    const { settlement, referee, challenger } = await freshWorld();
    expect(await settlement.referee()).to.equal(referee);
    await expect(settlement.setReferee(challenger)).to.emit(settlement, "RefereeSet").withArgs(challenger);
    expect(await settlement.referee()).to.equal(challenger);
  });

  it("setReferee_byAnybodyElse_reverts", async () => {
    const { settlement, challenger, operator } = await freshWorld();
    for (const caller of [challenger, operator]) {
      await expect(settlement.connect(caller).setReferee(caller))
        .to.be.revertedWithCustomError(settlement, "OwnableUnauthorizedAccount")
        .withArgs(caller);
    }
  });

  it("finalise_byTheRefereeWithinTheWindow_attestsAndReturnsTheBond", async () => {
    const world = await refereedWorld();
    const { settlement, operator } = world;
    const batch = await postedBatch(world, { seats: [0] });
    const { protocol, verifiers, royalties, due } = chargesOf(batch);
    expect((await settlement.accounts(operator)).balance).to.equal(OPERATOR_DEPOSIT - due - BOND);
    await expect(finalise(world, batch))
      .to.emit(settlement, "BatchFinalised")
      .withArgs(batch.id, Status.Attested, protocol + verifiers, 0n, royalties);
    expect((await settlement.records(batch.id)).status).to.equal(Status.Attested);
    expect((await settlement.accounts(operator)).balance).to.equal(OPERATOR_DEPOSIT - due);
    expect(await settlement.seatCredits(0), "the verifiers' part goes to the protocol").to.equal(0n);
  });

  it("finalise_byTheRefereeAfterTheWindow_isNoMoreThanUnchallenged", async () => {
    const world = await refereedWorld();
    const batch = await postedBatch(world, { seats: [] });
    await increaseTime(world, TERMS.window + 1);
    await finalise(world, batch);
    expect((await world.settlement.records(batch.id)).status).to.equal(Status.Unchallenged);
  });

  it("finalise_byAFormerReferee_hasToWait", async () => {
    const world = await refereedWorld();
    await world.settlement.setReferee(ZeroAddress);
    const batch = await postedBatch(world, { seats: [] });
    await expect(finalise(world, batch)).to.be.revertedWithCustomError(world.settlement, "WindowOpen");
  });

  it("challengeReceipt_ofAHonestReceiptByTheReferee_slashes", async () => {
    const world = await refereedWorld();
    const { settlement, staking, operator, challenger, verifiers } = world;
    const batch = await postedBatch(world);
    await expect(challengeReceipt(world, batch, 1))
      .to.emit(settlement, "BatchProvenWrong")
      .withArgs(batch.id, challenger, Fault.Receipt, true, SUBMITTER_SLASH + 4n * VOTER_SLASH);
    expect((await staking.pools(operator, Role.Inference)).own).to.equal(OPERATOR_STAKE - SUBMITTER_SLASH);
    for (const verifier of verifiers) {
      expect((await staking.pools(verifier.operator, Role.Verifier)).own).to.equal(VERIFIER_STAKE - VOTER_SLASH);
    }
    await expect(challengeReceipt(world, batch, 2), "once a batch")
      .to.be.revertedWithCustomError(settlement, "WrongStatus")
      .withArgs(Status.Attested);
  });

  it("challengeReceipt_ofAReceiptThatIsNotInTheBatchByTheReferee_reverts", async () => {
    const world = await refereedWorld();
    const batch = await postedBatch(world);
    const other = await postedBatch(world);
    await expect(challengeReceipt(world, { ...other, header: batch.header }, 0))
      .to.be.revertedWithCustomError(world.settlement, "NotInBatch")
      .withArgs(batch.id);
  });

  it("challengeReceipt_ofAHonestReceiptByAnybodyElse_reverts", async () => {
    const world = await freshWorld();
    const { settlement, operator } = world;
    const batch = await postedBatch(world);
    await settlement.setReferee(operator);
    await expect(challengeReceipt(world, batch, 1)).to.be.revertedWithCustomError(settlement, "NoFault");
    await settlement.setReferee(ZeroAddress);
    await expect(challengeReceipt(world, batch, 1)).to.be.revertedWithCustomError(settlement, "NoFault");
  });
});
