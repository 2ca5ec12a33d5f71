import { expect } from "chai";

import { Mode } from "../../../simulator/receipts/types.ts";
import {
  buildBatch,
  challengeReceipt,
  forged,
  freshWorld,
  leafOf,
  post,
  postedBatch,
  signedReceipt,
  SUBMITTER_SLASH,
  type BuiltBatch,
  type World,
} from "../../support/batches.ts";
import { increaseTime, latestTimestamp, registerNode, testKey } from "../../support/protocol.ts";
import { Fault, Status } from "../../support/settlement.ts";

async function expectProven(world: World, batch: BuiltBatch, index: number, claimedTotal?: bigint): Promise<void> {
  await expect(challengeReceipt(world, batch, index, claimedTotal))
    .to.emit(world.settlement, "BatchProvenWrong")
    .withArgs(batch.id, world.challenger, Fault.Receipt, false, SUBMITTER_SLASH);
}

async function expectNoFault(world: World, batch: BuiltBatch, index: number): Promise<void> {
  await expect(challengeReceipt(world, batch, index)).to.be.revertedWithCustomError(world.settlement, "NoFault");
}

describe("ProofSettlement.challengeReceipt", () => {
  describe("faults", () => {
    it("challengeReceipt_signatureOfNobody_isAFault", async () => {
      const world = await freshWorld();
      await expectProven(world, await postedBatch(world, { seats: [], tamper: forged(2) }), 2);
    });

    it("challengeReceipt_strangersKey_isAFault", async () => {
      const world = await freshWorld();
      const batch = await postedBatch(world, { seats: [], key: (i) => (i === 1 ? testKey(99) : undefined) });
      await expectProven(world, batch, 1);
    });

    it("challengeReceipt_keyOfAnotherOperator_isAFault", async () => {
      const world = await freshWorld();
      await registerNode(world, world.bystanders[0]!, testKey(99));
      await increaseTime(world, 60);
      const batch = await postedBatch(world, { seats: [], key: (i) => (i === 1 ? testKey(99) : undefined) });
      await expectProven(world, batch, 1);
    });

    it("challengeReceipt_changedAfterSigning_isAFault", async () => {
      const world = await freshWorld();
      const batch = await postedBatch(world, {
        seats: [],
        tamper: (i, { receipt, signature }) =>
          i === 3 ? { receipt: { ...receipt, outputHash: receipt.inputHash }, signature } : { receipt, signature },
      });
      await expectProven(world, batch, 3);
    });

    it("challengeReceipt_teeReceiptByAnOrdinaryKey_isAFault", async () => {
      const world = await freshWorld();
      const receipt = (i: number) => (i === 0 ? { mode: Mode.Tee } : undefined);
      const batch = await postedBatch(world, { seats: [], receipt });
      await expectProven(world, batch, 0);
      await expect(challengeReceipt(world, batch, 1), "once a batch").to.be.revertedWithCustomError(
        world.settlement,
        "WrongStatus",
      );
    });

    it("challengeReceipt_modeThatDoesNotExist_isAFault", async () => {
      const world = await freshWorld();
      const batch = await postedBatch(world, { seats: [], receipt: () => ({ mode: 255 as Mode }) });
      await expectProven(world, batch, 0);
    });

    it("challengeReceipt_servedOutsideTheHeadersTimes_isAFault", async () => {
      const world = await freshWorld();
      const servedAt = BigInt(await latestTimestamp(world)) - 100n;
      const receipt = (i: number) => ({ servedAt: servedAt + BigInt(i) });
      const early = await postedBatch(world, { seats: [], receipt, header: { servedFrom: servedAt + 1n } });
      await expectNoFault(world, early, 1);
      await expectProven(world, early, 0);
      const late = await postedBatch(world, { seats: [], receipt, header: { servedTo: servedAt + 2n } });
      await expectNoFault(world, late, 2);
      await expectProven(world, late, 3);
    });

    it("challengeReceipt_signedBeforeTheKeyWasAdded_isAFault", async () => {
      const world = await freshWorld();
      const key = testKey(99);
      await registerNode(world, world.operator, key);
      const { validFrom } = await world.nodes.signers(key);
      await increaseTime(world, 10);
      const batch = await postedBatch(world, {
        seats: [],
        key: () => key,
        receipt: (i) => ({ servedAt: validFrom - 1n + BigInt(i) }),
      });
      await expectNoFault(world, batch, 1);
      await expectProven(world, batch, 0);
    });

    it("challengeReceipt_keyRevoked_faultsOnlyWhatWasServedLater", async () => {
      const world = await freshWorld();
      await increaseTime(world, 100);
      await world.nodes.connect(world.operator).revokeSigner(world.nodeKey);
      const revokedAt = BigInt(await latestTimestamp(world));
      await increaseTime(world, 100);
      const batch = await postedBatch(world, {
        seats: [],
        receipt: (i) => ({ servedAt: revokedAt - 2n + BigInt(i) }),
      });
      await expectNoFault(world, batch, 0);
      await expectNoFault(world, batch, 1);
      await expectProven(world, batch, 2);
    });

    it("challengeReceipt_revocationAfterPosting_doesNotReachBack", async () => {
      const world = await freshWorld();
      const batch = await postedBatch(world, { seats: [] });
      await world.nodes.connect(world.operator).revokeSigner(world.nodeKey);
      for (const index of batch.receipts.keys()) await expectNoFault(world, batch, index);
    });

    it("challengeReceipt_keyExpired_faultsWhatWasServedLater", async () => {
      const world = await freshWorld();
      const key = testKey(99);
      const validUntil = (await latestTimestamp(world)) + 100;
      await registerNode(world, world.operator, key, validUntil);
      await increaseTime(world, 200);
      const batch = await postedBatch(world, {
        seats: [],
        key: () => key,
        receipt: (i) => ({ servedAt: BigInt(validUntil - 1 + i) }),
      });
      await expectNoFault(world, batch, 0);
      await expectProven(world, batch, 1);
    });

    it("challengeReceipt_parentCountsAnotherTotal_isAFault", async () => {
      const world = await freshWorld();
      const fee = 1_000n;
      for (const [index, total] of [
        [0, (fee << 32n) | 2n],
        [1, ((fee + 1n) << 32n) | 1n],
        [4, (fee - 1n) << 32n],
      ] as const) {
        const batch = await buildBatch(world, {
          size: 5,
          receipt: () => ({ fee }),
          leafTotal: (i) => (i === index ? total : undefined),
          royalties: [],
        });
        await post(world, batch, []);
        await expectNoFault(world, batch, 2);
        await expectProven(world, batch, index);
      }
    });

    it("challengeReceipt_onlyReceiptCountedOtherwiseByTheHeader_isAFault", async () => {
      const world = await freshWorld();
      for (const header of [{ count: 2 }, { fees: 0n }, { fees: 10n ** 20n }]) {
        const batch = await postedBatch(world, { size: 1, seats: [], header, royalties: [] });
        const claimed = (batch.header.fees << 32n) | BigInt(batch.header.count);
        await expectProven(world, batch, 0, claimed);
      }
    });
  });

  describe("refused", () => {
    it("challengeReceipt_honestBatch_reverts", async () => {
      const world = await freshWorld();
      const batch = await postedBatch(world, { size: 5 });
      for (const index of batch.receipts.keys()) await expectNoFault(world, batch, index);
    });

    it("challengeReceipt_onlyReceiptWithAFalseClaim_reverts", async () => {
      const world = await freshWorld();
      const batch = await postedBatch(world, { size: 1 });
      const honest = batch.tree.root.total;
      for (const claimed of [0n, honest - 1n, honest + 1n, 2n ** 128n - 1n]) {
        await expect(challengeReceipt(world, batch, 0, claimed))
          .to.be.revertedWithCustomError(world.settlement, "NotInBatch")
          .withArgs(batch.id);
      }
      await expectNoFault(world, batch, 0);
    });

    it("challengeReceipt_falseClaimInALargerTree_reverts", async () => {
      const world = await freshWorld();
      const batch = await postedBatch(world, { size: 5 });
      for (const index of batch.receipts.keys()) {
        const { total } = batch.tree.levels[0]![index]!;
        for (const claimed of [0n, total - 1n, total + (1n << 32n)]) {
          await expect(challengeReceipt(world, batch, index, claimed))
            .to.be.revertedWithCustomError(world.settlement, "NotInBatch")
            .withArgs(batch.id);
        }
      }
    });

    it("challengeReceipt_receiptOfNoBatch_reverts", async () => {
      const world = await freshWorld();
      const batch = await postedBatch(world);
      const receipts = [...batch.receipts];
      receipts[1] = signedReceipt(world, {}, testKey(99));
      await expect(challengeReceipt(world, { ...batch, receipts }, 1))
        .to.be.revertedWithCustomError(world.settlement, "NotInBatch")
        .withArgs(batch.id);
    });

    it("challengeReceipt_receiptWithAnotherSignature_reverts", async () => {
      const world = await freshWorld();
      const batch = await postedBatch(world);
      const receipts = batch.receipts.map((signed, i) => forged(0)(i, signed));
      await expect(challengeReceipt(world, { ...batch, receipts }, 0))
        .to.be.revertedWithCustomError(world.settlement, "NotInBatch")
        .withArgs(batch.id);
    });

    it("challengeReceipt_unknownOrRejectedBatch_reverts", async () => {
      const world = await freshWorld();
      const { settlement } = world;
      await expect(challengeReceipt(world, await buildBatch(world, { tamper: forged(0) }), 0))
        .to.be.revertedWithCustomError(settlement, "WrongStatus")
        .withArgs(Status.None);
      const rejected = await postedBatch(world, { seats: [], tamper: forged(0) });
      await challengeReceipt(world, rejected, 0);
      await settlement.reclaim(rejected.header, [...rejected.royalties]);
      await expect(challengeReceipt(world, rejected, 0))
        .to.be.revertedWithCustomError(settlement, "WrongStatus")
        .withArgs(Status.Rejected);
    });

    it("challengeReceipt_malformedPath_reverts", async () => {
      const world = await freshWorld();
      const { settlement } = world;
      const batch = await postedBatch(world, { seats: [], tamper: forged(0) });
      const leaf = leafOf(batch, 0);
      const { total } = batch.tree.levels[0]![0]!;
      for (const path of [`${leaf.path}00`, leaf.path.slice(0, -2), "0x00"]) {
        await expect(settlement.challengeReceipt(batch.header, { ...leaf, path }, total))
          .to.be.revertedWithCustomError(settlement, "InvalidPathLength")
          .withArgs(path.length / 2 - 1);
      }
      for (const right of [0b100n, 1n << 255n]) {
        await expect(settlement.challengeReceipt(batch.header, { ...leaf, right }, total))
          .to.be.revertedWithCustomError(settlement, "InvalidPathBits")
          .withArgs(right);
      }
      for (const path of ["0x", leaf.path.slice(0, 2 + 96), leaf.path + leaf.path.slice(2)]) {
        await expect(settlement.challengeReceipt(batch.header, { ...leaf, path }, total))
          .to.be.revertedWithCustomError(settlement, "NotInBatch")
          .withArgs(batch.id);
      }
    });

    it("challengeReceipt_siblingTotalTooLarge_reverts", async () => {
      const world = await freshWorld();
      const batch = await postedBatch(world, { seats: [] });
      const leaf = leafOf(batch, 0);
      const path = `${leaf.path.slice(0, 66)}${"ff".repeat(16)}${leaf.path.slice(98)}`;
      await expect(
        world.settlement.challengeReceipt(batch.header, { ...leaf, path }, batch.tree.levels[0]![0]!.total),
      ).to.be.revertedWithCustomError(world.settlement, "TotalOverflow");
    });
  });
});
