import { expect } from "chai";
import { ethers } from "ethers";

import type { Hex } from "../../../simulator/receipts/types.ts";
import {
  BOND,
  buildBatch,
  challengeReceipt,
  chargesOf,
  forged,
  freshWorld,
  hexAddress,
  OPERATOR_DEPOSIT,
  OPERATOR_STAKE,
  post,
  postedBatch,
  royaltyWord,
  SUBMITTER_SLASH,
  votesOf,
  type World,
} from "../../support/batches.ts";
import { DAY, HOUR, increaseTime, latestTimestamp, opgWei, Role, TERMS } from "../../support/protocol.ts";
import { Status } from "../../support/settlement.ts";

const at = (world: World, timestamp: number | bigint) =>
  world.connection.networkHelpers.time.setNextBlockTimestamp(timestamp);

describe("ProofSettlement.submitBatch", () => {
  describe("outcome", () => {
    it("submitBatch_allVotes_isFinalAndPaysEveryone", async () => {
      const world = await freshWorld();
      const { settlement, modelOwner, operator } = world;
      const batch = await buildBatch(world);
      const { protocol, verifiers, royalties, due } = chargesOf(batch);
      const share = verifiers / 4n / 10n ** 9n;
      const given = share * 4n * 10n ** 9n;

      const tx = post(world, batch);
      await expect(tx).to.emit(settlement, "BatchAttested").withArgs(batch.id, 0b1111n);
      await expect(tx).to.emit(settlement, "RoyaltyCredited").withArgs(modelOwner, royalties, batch.id);
      await expect(tx)
        .to.emit(settlement, "BatchFinalised")
        .withArgs(batch.id, Status.Attested, protocol + verifiers - given, given, royalties);

      const { approvals, postedAt, sequence, terms, status, punished } = await settlement.records(batch.id);
      expect([approvals, sequence, terms, status]).to.deep.equal([0b1111n, 1n, 1n, Status.Attested]);
      expect(postedAt).to.equal(await latestTimestamp(world));
      expect(punished).to.equal(false);
      expect((await settlement.accounts(operator)).balance).to.equal(OPERATOR_DEPOSIT - due);
      expect(await settlement.credits(modelOwner)).to.equal(royalties);
      for (let seat = 0; seat < 4; seat++) expect(await settlement.seatCredits(seat)).to.equal(share * 10n ** 9n);
      const state = await settlement.state();
      expect(state.protocolCredit).to.equal(protocol + verifiers - given);
      expect(state.sequence).to.equal(1n);
    });

    it("submitBatch_posted_emitsItsWholeHeader", async () => {
      const world = await freshWorld();
      await postedBatch(world);
      const batch = await postedBatch(world, { seats: [] });
      const [event] = await world.settlement.queryFilter(
        world.settlement.filters.BatchSubmitted(batch.id, world.operator),
      );
      expect(event!.args.sequence).to.equal(2n);
      for (const [field, value] of Object.entries(batch.header)) {
        const emitted = event!.args.batch[field as keyof typeof batch.header];
        expect(String(emitted).toLowerCase(), field).to.equal(String(value));
      }
    });

    it("submitBatch_returnsTheBatchId", async () => {
      const world = await freshWorld();
      const batch = await buildBatch(world);
      const { seats, signatures } = votesOf(world, batch.id);
      const posting = world.settlement.connect(world.submitter).submitBatch;
      expect(await posting.staticCall(batch.header, [...batch.royalties], seats, signatures)).to.equal(batch.id);
    });

    it("submitBatch_noVotes_isPendingAndLocksTheBond", async () => {
      const world = await freshWorld();
      const { settlement, operator, modelOwner } = world;
      const batch = await buildBatch(world);
      const tx = post(world, batch, []);
      await expect(tx).to.not.emit(settlement, "BatchAttested");
      await expect(tx).to.not.emit(settlement, "BatchFinalised");
      const record = await settlement.records(batch.id);
      expect([record.status, record.approvals]).to.deep.equal([Status.Pending, 0n]);
      expect((await settlement.accounts(operator)).balance).to.equal(OPERATOR_DEPOSIT - chargesOf(batch).due - BOND);
      expect(await settlement.credits(modelOwner), "nobody is paid yet").to.equal(0n);
      expect((await settlement.state()).protocolCredit).to.equal(0n);
    });

    it("submitBatch_tooFewVotes_isPendingAndKeepsThem", async () => {
      const world = await freshWorld();
      const { settlement, operator } = world;
      const batch = await buildBatch(world);
      const tx = post(world, batch, [1, 3]);
      await expect(tx).to.emit(settlement, "BatchAttested").withArgs(batch.id, 0b1010n);
      await expect(tx).to.not.emit(settlement, "BatchFinalised");
      const record = await settlement.records(batch.id);
      expect([record.status, record.approvals]).to.deep.equal([Status.Pending, 0b1010n]);
      expect((await settlement.accounts(operator)).balance).to.equal(OPERATOR_DEPOSIT - chargesOf(batch).due - BOND);
      expect(await settlement.seatCredits(1)).to.equal(0n);
    });

    it("submitBatch_exactlyTwoThirds_isFinal_oneWeiLess_isNot", async () => {
      const world = await freshWorld();
      const { settlement, staking, verifiers } = world;
      await settlement.connect(verifiers[3]!.operator).vacateSeat(3);
      await increaseTime(world, 600);
      await settlement.snapshot();
      const exact = await postedBatch(world, { seats: [0, 1], header: { setId: 2 } });
      expect((await settlement.records(exact.id)).status).to.equal(Status.Attested);

      await staking.connect(verifiers[2]!.operator).stake(Role.Verifier, 1n);
      await increaseTime(world, 600);
      await settlement.snapshot();
      const short = await postedBatch(world, { seats: [0, 1], header: { setId: 3 } });
      expect((await settlement.records(short.id)).status).to.equal(Status.Pending);
    });

    it("submitBatch_paidByTheVotesPosted_sharesByStakeAndRoundsToTheProtocol", async () => {
      const world = await freshWorld();
      const { settlement, staking, verifiers } = world;
      await staking.connect(verifiers[1]!.operator).stake(Role.Verifier, opgWei(33_333));
      await increaseTime(world, 600);
      await settlement.snapshot();
      const batch = await postedBatch(world, { seats: [0, 1, 3], header: { setId: 2 } });
      const charges = chargesOf(batch);
      const gwei = (stake: number) => (charges.verifiers * opgWei(stake)) / opgWei(333_333) / 10n ** 9n;
      const [plain, more] = [gwei(100_000) * 10n ** 9n, gwei(133_333) * 10n ** 9n];
      expect(await settlement.seatCredits(0)).to.equal(plain);
      expect(await settlement.seatCredits(1)).to.equal(more);
      expect(await settlement.seatCredits(2), "did not vote").to.equal(0n);
      expect(await settlement.seatCredits(3)).to.equal(plain);
      const dust = charges.verifiers - plain * 2n - more;
      expect(dust > 0n).to.equal(true);
      expect((await settlement.state()).protocolCredit).to.equal(charges.protocol + dust);
    });

    it("submitBatch_feesBelowOneGwei_verifiersPartGoesToTheProtocol", async () => {
      const world = await freshWorld();
      const batch = await postedBatch(world, { size: 1, receipt: () => ({ fee: 1_000_000n }), royalties: [] });
      expect((await world.settlement.records(batch.id)).status).to.equal(Status.Attested);
      expect(await world.settlement.seatCredits(0)).to.equal(0n);
      expect((await world.settlement.state()).protocolCredit).to.equal(chargesOf(batch).due);
    });

    it("submitBatch_noFees_isFinalAndChargesNothing", async () => {
      const world = await freshWorld();
      const batch = await postedBatch(world, { receipt: () => ({ fee: 0n }), royalties: [] });
      expect((await world.settlement.records(batch.id)).status).to.equal(Status.Attested);
      expect((await world.settlement.accounts(world.operator)).balance).to.equal(OPERATOR_DEPOSIT);
    });

    it("submitBatch_severalRoyalties_creditsEachOwner", async () => {
      const world = await freshWorld();
      const { settlement, bystanders, modelOwner } = world;
      const royalties = [
        royaltyWord(await hexAddress(modelOwner), 5n),
        royaltyWord(await hexAddress(bystanders[0]!), 6n),
        royaltyWord(await hexAddress(modelOwner), 7n),
      ];
      await postedBatch(world, { royalties });
      expect(await settlement.credits(modelOwner), "an owner may stand twice").to.equal(12n);
      expect(await settlement.credits(bystanders[0]!)).to.equal(6n);
    });
  });

  describe("who", () => {
    it("submitBatch_byTheOperatorItself_reverts", async () => {
      const world = await freshWorld();
      const { settlement, operator, submitter } = world;
      await expect(post({ ...world, submitter: operator }, await buildBatch(world)))
        .to.be.revertedWithCustomError(settlement, "NotSubmitter")
        .withArgs(operator, submitter);
    });

    it("submitBatch_copiedFromTheMempool_revertsAndTheOriginalStillPosts", async () => {
      const world = await freshWorld();
      const { settlement, challenger, submitter } = world;
      const batch = await buildBatch(world);
      await expect(post({ ...world, submitter: challenger }, batch))
        .to.be.revertedWithCustomError(settlement, "NotSubmitter")
        .withArgs(challenger, submitter);
      await post(world, batch);
    });

    it("submitBatch_copiedReceiptsUnderAnotherOperator_doNotBlockTheOriginal", async () => {
      const world = await freshWorld();
      const { settlement, staking, bystanders } = world;
      const thief = bystanders[0]!;
      await staking.connect(thief).stake(Role.Inference, OPERATOR_STAKE);
      await settlement.connect(thief).setSubmitter(thief);
      await settlement.connect(thief).deposit(thief, OPERATOR_DEPOSIT);
      const batch = await buildBatch(world);
      const copied = await buildBatch(world, {
        receipts: batch.receipts,
        header: { operator: await hexAddress(thief) },
      });
      await post({ ...world, submitter: thief }, copied, []);
      await post(world, batch);
      await expect(challengeReceipt(world, copied, 0), "and the copy is a fault of its own").to.emit(
        settlement,
        "BatchProvenWrong",
      );
    });

    it("submitBatch_stakeBelowTheMinimum_reverts", async () => {
      const world = await freshWorld();
      const { settlement, staking, operator } = world;
      await staking.connect(operator).unstake(Role.Inference, OPERATOR_STAKE - opgWei(1_000));
      await postedBatch(world);
      await staking.connect(operator).unstake(Role.Inference, 1n);
      const batch = await buildBatch(world);
      await expect(post(world, batch), "unbonding stake does not count")
        .to.be.revertedWithCustomError(settlement, "InsufficientStake")
        .withArgs(opgWei(1_000) - 1n, opgWei(1_000));
    });

    it("submitBatch_stakeOfAnotherRole_reverts", async () => {
      const world = await freshWorld();
      const { settlement, verifiers } = world;
      const verifier = verifiers[0]!.operator;
      await settlement.connect(verifier).setSubmitter(verifier);
      const batch = await buildBatch(world, { header: { operator: await hexAddress(verifier) } });
      await expect(post({ ...world, submitter: verifier }, batch))
        .to.be.revertedWithCustomError(settlement, "InsufficientStake")
        .withArgs(0n, opgWei(1_000));
    });
  });

  describe("header", () => {
    it("submitBatch_zeroRootOrCount_reverts", async () => {
      const world = await freshWorld();
      for (const header of [{ root: ethers.ZeroHash as Hex }, { count: 0 }]) {
        await expect(post(world, await buildBatch(world, { header }))).to.be.revertedWithCustomError(
          world.settlement,
          "EmptyBatch",
        );
      }
    });

    it("submitBatch_twice_reverts", async () => {
      const world = await freshWorld();
      for (const seats of [[], [0, 1, 2, 3]]) {
        const batch = await postedBatch(world, { seats });
        await expect(post(world, batch))
          .to.be.revertedWithCustomError(world.settlement, "AlreadyPosted")
          .withArgs(batch.id);
      }
    });

    it("submitBatch_rejectedBatchAgain_revertsEvenAfterReclaim", async () => {
      const world = await freshWorld();
      const { settlement } = world;
      const batch = await postedBatch(world, { seats: [], tamper: forged(0) });
      await challengeReceipt(world, batch, 0);
      await expect(post(world, batch)).to.be.revertedWithCustomError(settlement, "AlreadyPosted").withArgs(batch.id);
      await settlement.reclaim(batch.header, [...batch.royalties]);
      await expect(post(world, batch)).to.be.revertedWithCustomError(settlement, "AlreadyPosted").withArgs(batch.id);
    });

    it("submitBatch_receiptsFromTheFuture_reverts", async () => {
      const world = await freshWorld();
      const now = BigInt(await latestTimestamp(world)) + 100n;
      const late = await buildBatch(world, { receipt: () => ({ servedAt: now + 1n }) });
      await at(world, now);
      await expect(post(world, late))
        .to.be.revertedWithCustomError(world.settlement, "ServedOutOfRange")
        .withArgs(now + 1n, now + 1n, now - BigInt(TERMS.receiptDeadline), now);
      await at(world, now + 1n);
      await post(world, late);
    });

    it("submitBatch_receiptsOlderThanTheDeadline_reverts", async () => {
      const world = await freshWorld();
      const now = BigInt(await latestTimestamp(world)) + 100n;
      const servedAt = now - BigInt(TERMS.receiptDeadline);
      const receipt = (index: number) => (index === 1 ? { servedAt } : undefined);
      const [first, second] = [await buildBatch(world, { receipt }), await buildBatch(world, { receipt })];
      await at(world, now);
      await post(world, first);
      await at(world, now + 1n);
      await expect(post(world, second))
        .to.be.revertedWithCustomError(world.settlement, "ServedOutOfRange")
        .withArgs(servedAt, second.header.servedTo, servedAt + 1n, now + 1n);
    });

    it("submitBatch_timesTheWrongWayRound_reverts", async () => {
      const world = await freshWorld();
      const now = BigInt(await latestTimestamp(world)) + 100n;
      const batch = await buildBatch(world, { header: { servedFrom: now - 1n, servedTo: now - 2n } });
      await at(world, now);
      await expect(post(world, batch))
        .to.be.revertedWithCustomError(world.settlement, "ServedOutOfRange")
        .withArgs(now - 1n, now - 2n, now - BigInt(TERMS.receiptDeadline), now);
    });

    it("submitBatch_votersSawTheFuture_reverts", async () => {
      const world = await freshWorld();
      await postedBatch(world);
      await expect(post(world, await buildBatch(world, { header: { seen: 2 } })))
        .to.be.revertedWithCustomError(world.settlement, "SequenceAhead")
        .withArgs(2n, 1n);
    });
  });

  describe("money", () => {
    it("submitBatch_otherRoyaltiesThanInTheHeader_reverts", async () => {
      const world = await freshWorld();
      const batch = await buildBatch(world);
      const more = royaltyWord(await hexAddress(world.modelOwner), chargesOf(batch).royalties + 1n);
      for (const royalties of [[more], [], [...batch.royalties, ...batch.royalties]]) {
        const actual = ethers.keccak256(ethers.concat(royalties));
        await expect(post(world, { ...batch, royalties }))
          .to.be.revertedWithCustomError(world.settlement, "RoyaltiesMismatch")
          .withArgs(batch.header.royaltiesHash, actual);
      }
    });

    it("submitBatch_royaltiesAboveTheirPart_reverts", async () => {
      const world = await freshWorld();
      const owner = await hexAddress(world.modelOwner);
      const fees = opgWei(1);
      const maximum = (fees * BigInt(TERMS.maxRoyaltyBps)) / 10_000n;
      const receipt = () => ({ fee: fees / 4n });
      await postedBatch(world, { receipt, royalties: [royaltyWord(owner, maximum)] });
      const split = [royaltyWord(owner, maximum), royaltyWord(world.payer, 1n)];
      await expect(post(world, await buildBatch(world, { receipt, royalties: split })))
        .to.be.revertedWithCustomError(world.settlement, "RoyaltiesTooHigh")
        .withArgs(maximum + 1n, maximum);
    });

    it("submitBatch_royaltySumBeyond96Bits_doesNotWrap", async () => {
      const world = await freshWorld();
      const half = royaltyWord(world.payer, 2n ** 95n);
      await expect(post(world, await buildBatch(world, { royalties: [half, half] })))
        .to.be.revertedWithCustomError(world.settlement, "RoyaltiesTooHigh")
        .withArgs(2n ** 96n, (value: bigint) => value > 0n);
    });

    it("submitBatch_balanceBelowWhatIsDue_reverts", async () => {
      const world = await freshWorld();
      const { settlement, operator } = world;
      const batch = await buildBatch(world);
      const { due } = chargesOf(batch);
      await settlement.connect(operator).withdraw(OPERATOR_DEPOSIT - due + 1n);
      await expect(post(world, batch))
        .to.be.revertedWithCustomError(settlement, "InsufficientBalance")
        .withArgs(due - 1n, due);
      await settlement.deposit(operator, 1n);
      await expect(post(world, batch, [0]), "without a quorum the bond is due too")
        .to.be.revertedWithCustomError(settlement, "InsufficientBalance")
        .withArgs(due, due + BOND);
      await post(world, batch);
      expect((await settlement.accounts(operator)).balance).to.equal(0n);
    });

    it("submitBatch_slashedBelowTheMinimum_cannotPostOn", async () => {
      const world = await freshWorld();
      const { settlement, staking, operator } = world;
      await staking.connect(operator).unstake(Role.Inference, OPERATOR_STAKE - opgWei(1_500));
      const batch = await postedBatch(world, { seats: [], tamper: forged(0) });
      await challengeReceipt(world, batch, 0);
      // a slash takes what stays before what leaves
      const left = await staking.activeStake(operator, Role.Inference);
      expect(left).to.equal(opgWei(1_500) - SUBMITTER_SLASH);
      await expect(post(world, await buildBatch(world)))
        .to.be.revertedWithCustomError(settlement, "InsufficientStake")
        .withArgs(left, opgWei(1_000));
    });
  });

  describe("verifier set", () => {
    it("submitBatch_unknownSet_reverts", async () => {
      const world = await freshWorld();
      for (const setId of [0, 2]) {
        await expect(post(world, await buildBatch(world, { header: { setId } }), []))
          .to.be.revertedWithCustomError(world.settlement, "SetNotUsable")
          .withArgs(setId);
      }
    });

    it("submitBatch_setOlderThanADay_reverts", async () => {
      const world = await freshWorld();
      const { takenAt } = await world.settlement.snapshots(1);
      await world.connection.networkHelpers.time.increaseTo(takenAt + BigInt(DAY) - 60n);
      const [inTime, late] = [await buildBatch(world), await buildBatch(world)];
      await at(world, takenAt + BigInt(DAY));
      await post(world, inTime);
      await at(world, takenAt + BigInt(DAY) + 1n);
      await expect(post(world, late)).to.be.revertedWithCustomError(world.settlement, "SetNotUsable").withArgs(1n);
    });

    it("submitBatch_supersededSet_isUsableForAnHourMore", async () => {
      const world = await freshWorld();
      await increaseTime(world, 600);
      await world.settlement.snapshot();
      const { supersededAt } = await world.settlement.snapshots(1);
      const [inTime, late] = [await buildBatch(world), await buildBatch(world)];
      await at(world, supersededAt + BigInt(HOUR));
      await post(world, inTime);
      await at(world, supersededAt + BigInt(HOUR) + 1n);
      await expect(post(world, late)).to.be.revertedWithCustomError(world.settlement, "SetNotUsable").withArgs(1n);
      await postedBatch(world, { header: { setId: 2 } });
    });

    it("submitBatch_supersededSet_graceDoesNotOutliveItsDay", async () => {
      const world = await freshWorld();
      const { takenAt } = await world.settlement.snapshots(1);
      await at(world, takenAt + BigInt(DAY) - 60n);
      await world.settlement.snapshot();
      const batch = await buildBatch(world);
      await at(world, takenAt + BigInt(DAY) + 1n);
      await expect(post(world, batch)).to.be.revertedWithCustomError(world.settlement, "SetNotUsable").withArgs(1n);
    });
  });
});
