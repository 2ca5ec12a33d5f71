import { expect } from "chai";

import type { Hex } from "../../../simulator/receipts/types.ts";
import {
  attest,
  buildBatch,
  challengeDuplicate,
  challengeReceipt,
  forged,
  freshWorld,
  hexAddress,
  leafOf,
  OPERATOR_DEPOSIT,
  OPERATOR_STAKE,
  post,
  postedBatch,
  SUBMITTER_SLASH,
  VOTER_SLASH,
  type BuiltBatch,
  type World,
} from "../../support/batches.ts";
import { increaseTime, registerNode, Role, TERMS, testKey } from "../../support/protocol.ts";
import { Fault, Status } from "../../support/settlement.ts";

/** `receipt` option that gives one of the receipts a request id. */
const withId = (at: number, requestId: Hex) => (index: number) => (index === at ? { requestId } : undefined);
const idOf = (batch: BuiltBatch, index: number) => batch.receipts[index]!.receipt.requestId;

/** A second operator that can post. */
async function rival(world: World): Promise<World> {
  const operator = world.bystanders[0]!;
  const nodeKey = testKey(50);
  await world.staking.connect(operator).stake(Role.Inference, OPERATOR_STAKE);
  await registerNode(world, operator, nodeKey);
  await world.settlement.connect(operator).setSubmitter(operator);
  await world.settlement.connect(operator).deposit(operator, OPERATOR_DEPOSIT);
  await increaseTime(world, 60);
  return { ...world, operator, operatorAddress: await hexAddress(operator), submitter: operator, nodeKey };
}

describe("ProofSettlement.challengeDuplicate", () => {
  it("challengeDuplicate_acrossBatches_slashesForTheLater", async () => {
    const world = await freshWorld();
    const { settlement, challenger } = world;
    const earlier = await postedBatch(world, { size: 5 });
    const later = await postedBatch(world, { size: 3, seats: [], receipt: withId(2, idOf(earlier, 4)) });
    await expect(challengeDuplicate(world, later, 2, earlier, 4))
      .to.emit(settlement, "BatchProvenWrong")
      .withArgs(later.id, challenger, Fault.Duplicate, false, SUBMITTER_SLASH);
    expect((await settlement.records(later.id)).status).to.equal(Status.Rejected);
    const record = await settlement.records(earlier.id);
    expect([record.status, record.punished]).to.deep.equal([Status.Attested, false]);
  });

  it("challengeDuplicate_sameSignedReceiptInTwoBatches_isAFault", async () => {
    const world = await freshWorld();
    const earlier = await postedBatch(world, { seats: [] });
    const later = await postedBatch(world, { seats: [], receipts: [...earlier.receipts].reverse() });
    await expect(challengeDuplicate(world, later, 0, earlier, 3)).to.emit(world.settlement, "BatchProvenWrong");
  });

  it("challengeDuplicate_sameReceiptsUnderAnotherHeader_isAFault", async () => {
    const world = await freshWorld();
    const earlier = await postedBatch(world, { size: 1, seats: [] });
    const later = await postedBatch(world, { seats: [], receipts: earlier.receipts });
    expect(later.header.root).to.equal(earlier.header.root);
    await expect(challengeDuplicate(world, later, 0, earlier, 0)).to.emit(world.settlement, "BatchProvenWrong");
  });

  it("challengeDuplicate_unevenTreeOfOneBatch_isAFault", async () => {
    const world = await freshWorld();
    const requestId = `0x${"77".repeat(32)}` as const;
    for (const [size, one, other] of [
      [2, 0, 1],
      [3, 2, 0],
      [5, 4, 3],
      [7, 6, 5],
      [17, 16, 0],
    ] as const) {
      const batch = await postedBatch(world, {
        size,
        seats: [],
        receipt: (i) => (i === one || i === other ? { requestId } : undefined),
      });
      await expect(challengeDuplicate(world, batch, one, batch, other), `${size} receipts`)
        .to.emit(world.settlement, "BatchProvenWrong")
        .withArgs(batch.id, world.challenger, Fault.Duplicate, false, SUBMITTER_SLASH);
    }
  });

  it("challengeDuplicate_sameReceiptTwiceInOneBatch_isAFault", async () => {
    const world = await freshWorld();
    const { receipts } = await buildBatch(world, { size: 3 });
    const batch = await postedBatch(world, { seats: [], receipts: [...receipts, receipts[0]!] });
    await expect(challengeDuplicate(world, batch, 0, batch, 3)).to.emit(world.settlement, "BatchProvenWrong");
  });

  it("challengeDuplicate_leafAgainstItself_reverts", async () => {
    const world = await freshWorld();
    for (const size of [1, 2, 3, 5, 8]) {
      const batch = await postedBatch(world, { size });
      for (const index of batch.receipts.keys()) {
        await expect(challengeDuplicate(world, batch, index, batch, index)).to.be.revertedWithCustomError(
          world.settlement,
          "NoFault",
        );
      }
    }
  });

  it("challengeDuplicate_leafAgainstItselfUnderAnotherPosition_reverts", async () => {
    const world = await freshWorld();
    const { settlement } = world;
    const batch = await postedBatch(world, { size: 5 });
    const leaf = leafOf(batch, 4);
    const longer = { ...leaf, path: leaf.path + leaf.path.slice(2) };
    const turned = { ...leaf, right: leaf.right ^ 1n };
    for (const twin of [longer, turned]) {
      await expect(settlement.challengeDuplicate(batch.header, leaf, batch.header, twin))
        .to.be.revertedWithCustomError(settlement, "NotInBatch")
        .withArgs(batch.id);
      await expect(settlement.challengeDuplicate(batch.header, twin, batch.header, leaf))
        .to.be.revertedWithCustomError(settlement, "NotInBatch")
        .withArgs(batch.id);
    }
    const surplus = { ...leaf, right: leaf.right | (1n << 200n) };
    await expect(settlement.challengeDuplicate(batch.header, leaf, batch.header, surplus))
      .to.be.revertedWithCustomError(settlement, "InvalidPathBits")
      .withArgs(surplus.right);
  });

  it("challengeDuplicate_otherRequests_reverts", async () => {
    const world = await freshWorld();
    const batch = await postedBatch(world);
    await expect(challengeDuplicate(world, batch, 0, batch, 1)).to.be.revertedWithCustomError(
      world.settlement,
      "NoFault",
    );
  });

  it("challengeDuplicate_theWrongWayRound_reverts", async () => {
    const world = await freshWorld();
    const earlier = await postedBatch(world);
    const later = await postedBatch(world, { receipt: withId(0, idOf(earlier, 0)) });
    await expect(challengeDuplicate(world, earlier, 0, later, 0)).to.be.revertedWithCustomError(
      world.settlement,
      "NoFault",
    );
  });

  it("challengeDuplicate_otherOperatorsRequest_reverts", async () => {
    const world = await freshWorld();
    const other = await rival(world);
    const [first, second] = [await postedBatch(world, { size: 1 }), await buildBatch(other, { size: 1 })];
    const framed = await postedBatch(other, { receipt: withId(0, idOf(first, 0)) });
    await post(other, second);
    const back = await postedBatch(world, { receipt: withId(0, idOf(second, 0)) });
    await expect(challengeDuplicate(world, framed, 0, first, 0)).to.be.revertedWithCustomError(
      world.settlement,
      "NoFault",
    );
    await expect(challengeDuplicate(world, back, 0, second, 0)).to.be.revertedWithCustomError(
      world.settlement,
      "NoFault",
    );
  });

  it("challengeDuplicate_leafThatIsNotInItsBatch_reverts", async () => {
    const world = await freshWorld();
    const earlier = await postedBatch(world);
    const later = await postedBatch(world, { receipt: withId(0, idOf(earlier, 0)) });
    const fake = { ...later, receipts: [earlier.receipts[0]!, ...later.receipts.slice(1)] };
    await expect(challengeDuplicate(world, fake, 0, earlier, 0))
      .to.be.revertedWithCustomError(world.settlement, "NotInBatch")
      .withArgs(later.id);
    const fakeEarlier = { ...earlier, receipts: [later.receipts[0]!, ...earlier.receipts.slice(1)] };
    await expect(challengeDuplicate(world, later, 0, fakeEarlier, 0))
      .to.be.revertedWithCustomError(world.settlement, "NotInBatch")
      .withArgs(earlier.id);
  });

  it("challengeDuplicate_earlierBatchNeverPosted_reverts", async () => {
    const world = await freshWorld();
    const invented = await buildBatch(world);
    const batch = await postedBatch(world, { receipt: withId(0, idOf(invented, 0)) });
    await expect(challengeDuplicate(world, batch, 0, invented, 0))
      .to.be.revertedWithCustomError(world.settlement, "WrongStatus")
      .withArgs(Status.None);
  });

  it("challengeDuplicate_earlierBatchRejected_reverts", async () => {
    const world = await freshWorld();
    const { settlement } = world;
    const rejected = await postedBatch(world, { seats: [], tamper: forged(3) });
    await challengeReceipt(world, rejected, 3);
    const again = await postedBatch(world, { receipts: rejected.receipts.slice(0, 3) });
    const refused = () =>
      expect(challengeDuplicate(world, again, 0, rejected, 0))
        .to.be.revertedWithCustomError(settlement, "WrongStatus")
        .withArgs(Status.Rejected);
    await refused();
    await settlement.reclaim(rejected.header, [...rejected.royalties]);
    await refused();
  });

  it("challengeDuplicate_earlierBatchFinalThoughPunished_isAFault", async () => {
    const world = await freshWorld();
    const earlier = await postedBatch(world, { tamper: forged(3) });
    await challengeReceipt(world, earlier, 3);
    const later = await postedBatch(world, { seats: [], receipts: earlier.receipts.slice(0, 2) });
    await expect(challengeDuplicate(world, later, 1, earlier, 1)).to.emit(world.settlement, "BatchProvenWrong");
  });

  it("challengeDuplicate_earlierBatchPastItsAccountability_isAFault", async () => {
    const world = await freshWorld();
    const earlier = await postedBatch(world);
    await increaseTime(world, TERMS.accountability + 1);
    await world.settlement.snapshot();
    const later = await postedBatch(world, {
      seats: [],
      receipt: withId(0, idOf(earlier, 0)),
      header: { setId: 2 },
    });
    await expect(challengeDuplicate(world, later, 0, earlier, 0)).to.emit(world.settlement, "BatchProvenWrong");
  });

  it("challengeDuplicate_again_reverts", async () => {
    const world = await freshWorld();
    const earlier = await postedBatch(world);
    const later = await postedBatch(world, { seats: [], receipts: [...earlier.receipts] });
    await challengeDuplicate(world, later, 0, earlier, 0);
    await expect(challengeDuplicate(world, later, 1, earlier, 1))
      .to.be.revertedWithCustomError(world.settlement, "WrongStatus")
      .withArgs(Status.Rejected);
  });

  describe("voters", () => {
    it("challengeDuplicate_votersHadSeenTheEarlier_slashesThem", async () => {
      const world = await freshWorld();
      const earlier = await postedBatch(world);
      const later = await postedBatch(world, { receipt: withId(0, idOf(earlier, 0)) });
      expect(later.header.seen).to.equal(1);
      await expect(challengeDuplicate(world, later, 0, earlier, 0))
        .to.emit(world.settlement, "BatchProvenWrong")
        .withArgs(later.id, world.challenger, Fault.Duplicate, true, SUBMITTER_SLASH + 4n * VOTER_SLASH);
    });

    it("challengeDuplicate_twinPostedAfterTheyLooked_doesNotSlashThem", async () => {
      const world = await freshWorld();
      await postedBatch(world);
      const approved = await buildBatch(world);
      // the operator slips the twin in just before the batch that the voters approved
      const twin = await postedBatch(world, { seats: [], receipts: approved.receipts.slice(0, 1) });
      await post(world, approved);
      expect(approved.header.seen).to.equal(1);
      expect((await world.settlement.records(twin.id)).sequence).to.equal(2n);
      await expect(challengeDuplicate(world, approved, 0, twin, 0))
        .to.emit(world.settlement, "BatchProvenWrong")
        .withArgs(approved.id, world.challenger, Fault.Duplicate, true, SUBMITTER_SLASH);
    });

    it("challengeDuplicate_twinPostedAfterTheyLooked_doesNotSlashLaterVotesEither", async () => {
      const world = await freshWorld();
      const approved = await buildBatch(world);
      const twin = await postedBatch(world, { seats: [], receipts: approved.receipts.slice(0, 1) });
      await post(world, approved, []);
      await attest(world, approved);
      await expect(challengeDuplicate(world, approved, 0, twin, 0))
        .to.emit(world.settlement, "BatchProvenWrong")
        .withArgs(approved.id, world.challenger, Fault.Duplicate, true, SUBMITTER_SLASH);
    });

    it("challengeDuplicate_insideOneBatch_slashesThem", async () => {
      const world = await freshWorld();
      const { receipts } = await buildBatch(world, { size: 3 });
      const batch = await postedBatch(world, { receipts: [...receipts, receipts[0]!], header: { seen: 0 } });
      await expect(challengeDuplicate(world, batch, 3, batch, 0))
        .to.emit(world.settlement, "BatchProvenWrong")
        .withArgs(batch.id, world.challenger, Fault.Duplicate, true, SUBMITTER_SLASH + 4n * VOTER_SLASH);
    });
  });
});
