import { expect } from "chai";

import {
  attest,
  challengeReceipt,
  forged,
  freshWorld,
  OPERATOR_STAKE,
  postedBatch,
  SUBMITTER_SLASH,
  VERIFIER_STAKE,
  VOTER_SLASH,
} from "../../support/batches.ts";
import { DAY, increaseTime, opgWei, Role, takeSeat, TERMS, testKey } from "../../support/protocol.ts";
import { Fault, Status } from "../../support/settlement.ts";

/** What follows from a proof of fault, whatever the fault: who pays, how often, until when. */
describe("ProofSettlement: liability", () => {
  it("liability_pendingBatch_isRejectedAndRewardsTheChallenger", async () => {
    const world = await freshWorld();
    const { settlement, staking, opg, operator, challenger } = world;
    const batch = await postedBatch(world, { seats: [], tamper: forged(0) });
    const supply = await opg.totalSupply();
    await expect(challengeReceipt(world, batch, 0))
      .to.emit(settlement, "BatchProvenWrong")
      .withArgs(batch.id, challenger, Fault.Receipt, false, SUBMITTER_SLASH);
    const record = await settlement.records(batch.id);
    expect([record.status, record.punished]).to.deep.equal([Status.Rejected, true]);
    expect(await staking.activeStake(operator, Role.Inference)).to.equal(OPERATOR_STAKE - SUBMITTER_SLASH);
    const reward = (SUBMITTER_SLASH * BigInt(TERMS.rewardBps)) / 10_000n;
    expect(await staking.credits(challenger)).to.equal(reward);
    expect(supply - (await opg.totalSupply()), "the rest is burned").to.equal(SUBMITTER_SLASH - reward);
  });

  it("liability_attestedBatch_slashesOperatorAndVotersButStaysFinal", async () => {
    const world = await freshWorld();
    const { settlement, staking, operator, challenger, verifiers } = world;
    const batch = await postedBatch(world, { seats: [0, 1, 3], tamper: forged(0) });
    const before = await settlement.accounts(operator);
    await expect(challengeReceipt(world, batch, 0))
      .to.emit(settlement, "BatchProvenWrong")
      .withArgs(batch.id, challenger, Fault.Receipt, true, SUBMITTER_SLASH + 3n * VOTER_SLASH);
    const record = await settlement.records(batch.id);
    expect([record.status, record.punished]).to.deep.equal([Status.Attested, true]);
    expect(await settlement.accounts(operator), "money stays").to.deep.equal(before);
    for (const [seat, slashed] of [VOTER_SLASH, VOTER_SLASH, 0n, VOTER_SLASH].entries()) {
      const left = await staking.activeStake(verifiers[seat]!.operator, Role.Verifier);
      expect(left, `seat ${seat}`).to.equal(VERIFIER_STAKE - slashed);
    }
  });

  it("liability_pendingBatchWithVotes_slashesThoseVotersToo", async () => {
    const world = await freshWorld();
    const batch = await postedBatch(world, { seats: [2], tamper: forged(0) });
    await expect(challengeReceipt(world, batch, 0))
      .to.emit(world.settlement, "BatchProvenWrong")
      .withArgs(batch.id, world.challenger, Fault.Receipt, false, SUBMITTER_SLASH + VOTER_SLASH);
  });

  it("liability_again_reverts", async () => {
    const world = await freshWorld();
    for (const [seats, status] of [
      [[], Status.Rejected],
      [[0, 1, 2], Status.Attested],
    ] as const) {
      const batch = await postedBatch(world, { seats, tamper: forged(0, 1) });
      await challengeReceipt(world, batch, 0);
      for (const index of [0, 1]) {
        await expect(challengeReceipt(world, batch, index))
          .to.be.revertedWithCustomError(world.settlement, "WrongStatus")
          .withArgs(status);
      }
    }
  });

  it("liability_unchallengedBatch_isStillPunished", async () => {
    const world = await freshWorld();
    const { settlement, operator, challenger } = world;
    const batch = await postedBatch(world, { seats: [], tamper: forged(0) });
    await increaseTime(world, TERMS.window + 1);
    await settlement.finalise(batch.header, [...batch.royalties]);
    const before = await settlement.accounts(operator);
    await expect(challengeReceipt(world, batch, 0))
      .to.emit(settlement, "BatchProvenWrong")
      .withArgs(batch.id, challenger, Fault.Receipt, true, SUBMITTER_SLASH);
    expect((await settlement.records(batch.id)).status).to.equal(Status.Unchallenged);
    expect(await settlement.accounts(operator)).to.deep.equal(before);
  });

  it("liability_operatorWithLittleStake_losesWhatThereIs", async () => {
    const world = await freshWorld();
    const { settlement, staking, challenger, operator } = world;
    const batches = [];
    for (let i = 0; i < 3; i++) batches.push(await postedBatch(world, { seats: [], tamper: forged(0) }));
    await staking.connect(operator).unstake(Role.Inference, OPERATOR_STAKE);
    await staking.setSlasher(world.owner, true);
    await staking.slash(
      [{ operator, role: Role.Inference, amount: OPERATOR_STAKE - SUBMITTER_SLASH - 5n }],
      operator,
      0,
    );
    for (const [i, slashed] of [SUBMITTER_SLASH, 5n, 0n].entries()) {
      await expect(challengeReceipt(world, batches[i]!, 0))
        .to.emit(settlement, "BatchProvenWrong")
        .withArgs(batches[i]!.id, challenger, Fault.Receipt, false, slashed);
    }
  });

  it("liability_unbondingStake_answersToTheEndOfAccountability", async () => {
    const world = await freshWorld();
    const { staking, operator, verifiers } = world;
    await staking.connect(verifiers[0]!.operator).unstake(Role.Verifier, VERIFIER_STAKE);
    const { takenAt } = await world.settlement.snapshots(1);
    await world.connection.networkHelpers.time.increaseTo(takenAt + BigInt(DAY) - 10n);
    const batch = await postedBatch(world, { seats: [0, 1, 2], tamper: forged(0) });
    await staking.connect(operator).unstake(Role.Inference, OPERATOR_STAKE);
    const { postedAt } = await world.settlement.records(batch.id);
    await world.connection.networkHelpers.time.setNextBlockTimestamp(postedAt + BigInt(TERMS.accountability));
    await expect(challengeReceipt(world, batch, 0))
      .to.emit(world.settlement, "BatchProvenWrong")
      .withArgs(batch.id, world.challenger, Fault.Receipt, true, SUBMITTER_SLASH + 3n * VOTER_SLASH);
    await expect(staking.connect(verifiers[0]!.operator).withdrawOwn(Role.Verifier, 0)).to.be.revertedWithCustomError(
      staking,
      "TicketNotMature",
    );
  });

  it("liability_afterAccountability_reverts", async () => {
    for (const seats of [[], [0, 1, 2]]) {
      const world = await freshWorld();
      const batch = await postedBatch(world, { seats, tamper: forged(0) });
      const until = (await world.settlement.records(batch.id)).postedAt + BigInt(TERMS.accountability);
      await world.connection.networkHelpers.time.setNextBlockTimestamp(until + 1n);
      await expect(challengeReceipt(world, batch, 0))
        .to.be.revertedWithCustomError(world.settlement, "AccountabilityEnded")
        .withArgs(until);
    }
  });

  it("liability_rotatedSet_slashesTheOperatorsOfTheBatchsSet", async () => {
    const world = await freshWorld();
    const { settlement, staking, verifiers, bystanders, challenger } = world;
    const { takenAt } = await settlement.snapshots(1);
    await settlement.connect(verifiers[0]!.operator).vacateSeat(0);
    await takeSeat(world, bystanders[0]!, testKey(60), VERIFIER_STAKE);
    await world.connection.networkHelpers.time.increaseTo(takenAt + 700n);
    await settlement.snapshot();
    const batch = await postedBatch(world, { seats: [], tamper: forged(0) });
    await attest(world, batch, [0, 1, 2]);
    await expect(challengeReceipt(world, batch, 0))
      .to.emit(settlement, "BatchProvenWrong")
      .withArgs(batch.id, challenger, Fault.Receipt, true, SUBMITTER_SLASH + 3n * VOTER_SLASH);
    expect(await staking.activeStake(verifiers[0]!.operator, Role.Verifier)).to.equal(VERIFIER_STAKE - VOTER_SLASH);
    expect(await staking.activeStake(bystanders[0]!, Role.Verifier)).to.equal(VERIFIER_STAKE);
  });

  it("liability_voterSlash_isOfTheStakeThatWeighed", async () => {
    const world = await freshWorld();
    const { staking, verifiers } = world;
    const voter = verifiers[0]!.operator;
    const batch = await postedBatch(world, { seats: [0, 1, 2], tamper: forged(0) });
    await staking.connect(voter).stake(Role.Verifier, VERIFIER_STAKE);
    await challengeReceipt(world, batch, 0);
    expect(await staking.activeStake(voter, Role.Verifier), "later stake adds nothing").to.equal(
      2n * VERIFIER_STAKE - VOTER_SLASH,
    );
  });

  it("liability_votersOfUnequalStake_loseTheSamePart", async () => {
    const world = await freshWorld();
    const { settlement, staking, verifiers, bystanders } = world;
    const key = testKey(60);
    await staking.connect(verifiers[1]!.operator).stake(Role.Verifier, opgWei(50_000));
    await staking.connect(verifiers[3]!.operator).unstake(Role.Verifier, opgWei(90_000));
    await takeSeat(world, bystanders[0]!, key, opgWei(7_000));
    await increaseTime(world, 600);
    await settlement.snapshot();
    const five = { ...world, setId: 2, verifiers: [...verifiers, { operator: bystanders[0]!, key }] };
    const batch = await postedBatch(five, { tamper: forged(0) });
    const before = [100_000, 150_000, 100_000, 100_000, 7_000];
    const slashed = [10_000, 15_000, 10_000, 1_000, 700];
    await challengeReceipt(world, batch, 0);
    for (const [seat, { operator }] of five.verifiers.entries()) {
      const { own } = await staking.pools(operator, Role.Verifier);
      expect(own, `seat ${seat}`).to.equal(opgWei(before[seat]! - slashed[seat]!));
    }
  });

  it("liability_voterSlashedSinceTheSnapshot_losesWhatThereIs", async () => {
    const world = await freshWorld();
    const { staking, settlement, verifiers, challenger, owner } = world;
    const voter = verifiers[0]!.operator;
    await staking.setSlasher(owner, true);
    await staking.slash([{ operator: voter, role: Role.Verifier, amount: VERIFIER_STAKE - 7n }], owner, 0);
    const batch = await postedBatch(world, { seats: [0, 1, 2], tamper: forged(0) });
    expect((await settlement.records(batch.id)).status, "its weight is the snapshot's").to.equal(Status.Attested);
    await expect(challengeReceipt(world, batch, 0))
      .to.emit(settlement, "BatchProvenWrong")
      .withArgs(batch.id, challenger, Fault.Receipt, true, SUBMITTER_SLASH + 2n * VOTER_SLASH + 7n);
  });

  it("liability_copiedChallenge_paysWhoeverComesFirstAndOnlyOnce", async () => {
    const world = await freshWorld();
    const { staking, settlement, challenger, bystanders } = world;
    const copier = bystanders[0]!;
    const batch = await postedBatch(world, { seats: [], tamper: forged(0) });
    await challengeReceipt({ ...world, challenger: copier }, batch, 0);
    await expect(challengeReceipt(world, batch, 0)).to.be.revertedWithCustomError(settlement, "WrongStatus");
    expect(await staking.credits(challenger)).to.equal(0n);
    expect(await staking.credits(copier)).to.equal((SUBMITTER_SLASH * BigInt(TERMS.rewardBps)) / 10_000n);
  });

  it("liability_otherRolesStake_isNotTouched", async () => {
    const world = await freshWorld();
    const { staking, operator, verifiers } = world;
    await staking.connect(operator).stake(Role.Verifier, opgWei(10));
    await staking.connect(verifiers[0]!.operator).stake(Role.Inference, opgWei(10));
    const batch = await postedBatch(world, { tamper: forged(0) });
    await challengeReceipt(world, batch, 0);
    expect(await staking.activeStake(operator, Role.Verifier)).to.equal(opgWei(10));
    expect(await staking.activeStake(verifiers[0]!.operator, Role.Inference)).to.equal(opgWei(10));
  });

  it("liability_operatorChallengesItself_losesMostOfIt", async () => {
    const world = await freshWorld();
    const { staking, opg, operator, settlement } = world;
    const batch = await postedBatch(world, { seats: [], tamper: forged(0) });
    const wealth = async () =>
      (await opg.balanceOf(operator)) +
      (await staking.credits(operator)) +
      (await staking.activeStake(operator, Role.Inference)) +
      (await settlement.accounts(operator)).balance;
    const before = await wealth();
    await challengeReceipt({ ...world, challenger: operator }, batch, 0);
    const most = BigInt(10_000 - TERMS.rewardBps);
    expect(before - (await wealth())).to.equal((SUBMITTER_SLASH * most) / 10_000n);
  });

  it("liability_votersChallengeWhatTheyApproved_loseMostOfIt", async () => {
    const world = await freshWorld();
    const { staking, verifiers } = world;
    const batch = await postedBatch(world, { tamper: forged(0) });
    const insider = verifiers[0]!.operator;
    await challengeReceipt({ ...world, challenger: insider }, batch, 0);
    const slashed = SUBMITTER_SLASH + 4n * VOTER_SLASH;
    const reward = await staking.credits(insider);
    expect(reward).to.equal((slashed * BigInt(TERMS.rewardBps)) / 10_000n);
    expect(reward < SUBMITTER_SLASH + VOTER_SLASH, "even for one voter and the operator together").to.equal(true);
  });

  it("liability_rejectedBatch_returnsNothingToTheOperator", async () => {
    const world = await freshWorld();
    const { settlement, operator } = world;
    const batch = await postedBatch(world, { seats: [], tamper: forged(0) });
    const before = await settlement.accounts(operator);
    await challengeReceipt(world, batch, 0);
    await settlement.reclaim(batch.header, [...batch.royalties]);
    expect(await settlement.accounts(operator)).to.deep.equal(before);
  });
});
