import { expect } from "chai";
import { ethers } from "ethers";

import type { TensorReceipt } from "../../../simulator/receipts/tensors.ts";
import { Mode, type Hex } from "../../../simulator/receipts/types.ts";
import { inBatchOrder } from "../../../simulator/settlement/batchBlob.ts";
import {
  BOND,
  buildBatch,
  challengeDuplicate,
  chargesOf,
  hexAddress,
  leafOf,
  OPERATOR_DEPOSIT,
  post,
  postedBatch,
  royaltyWord,
  signedReceipt,
  type BatchOptions,
  type BuiltBatch,
} from "../../support/batches.ts";
import { freshState } from "../../support/freshState.ts";
import { increaseTime, registerNode, TERMS, testKey } from "../../support/protocol.ts";
import { Status } from "../../support/settlement.ts";
import { createZkWorld, provenArguments, provenReceipt, ZK_PRICE, type ZkWorld } from "../../support/zkWorld.ts";

const settle = (
  { referee, challenger }: ZkWorld,
  batch: BuiltBatch,
  receipts: ReturnType<typeof provenArguments> = provenArguments(batch),
) => referee.connect(challenger).settleProven(batch.header, [...batch.royalties], receipts);

/** Posted without votes. */
const pending = (world: ZkWorld, receipts: readonly TensorReceipt[], options: BatchOptions = {}) =>
  postedBatch(world, { ...options, seats: [], receipts });

describe("ZkReferee.settleProven", () => {
  const state = freshState(createZkWorld);

  it("settleProven_severalModels_isAttestedAtOnceAndReturnsTheBond", async () => {
    const world = state();
    const { referee, settlement, operator, modelOwner } = world;
    const [, second] = world.zkModels;
    const receipts = inBatchOrder([
      await provenReceipt(world),
      await provenReceipt(world, { model: second, input: 2 }),
      await provenReceipt(world, { input: 3 }),
    ]);
    const royalties = [royaltyWord(await hexAddress(modelOwner), royaltyOf(receipts))];
    const batch = await pending(world, receipts, { royalties });
    const { protocol, verifiers, royalties: owed, due } = chargesOf(batch);
    expect((await settlement.accounts(operator)).balance).to.equal(OPERATOR_DEPOSIT - due - BOND);
    const tx = settle(world, batch);
    await expect(tx).to.emit(referee, "BatchProven").withArgs(batch.id, 3);
    await expect(tx)
      .to.emit(settlement, "BatchFinalised")
      .withArgs(batch.id, Status.Attested, protocol + verifiers, 0n, owed);
    expect(await settlement.credits(modelOwner)).to.equal(owed);
    expect((await settlement.accounts(operator)).balance).to.equal(OPERATOR_DEPOSIT - due);
    for (const index of [0, 1, 2]) {
      expect(await settlement.isAttested(batch.header, leafOf(batch, index))).to.equal(true);
    }
  });

  it("settleProven_oneReceipt_works", async () => {
    const world = state();
    const batch = await pending(world, [await provenReceipt(world)]);
    await settle(world, batch);
    expect((await world.settlement.records(batch.id)).status).to.equal(Status.Attested);
  });

  it("settleProven_requestOfAnEarlierBatch_canStillBeChallenged", async () => {
    const world = state();
    const earlier = await pending(world, [await provenReceipt(world)]);
    const { requestId } = earlier.receipts[0]!.receipt;
    const later = await pending(world, [await provenReceipt(world, { input: 2, receipt: { requestId } })]);
    await settle(world, later);
    await challengeDuplicate(world, later, 0, earlier, 0);
    expect(await world.settlement.isAttested(later.header, leafOf(later, 0))).to.equal(false);
  });

  it("settleProven_oneBadProof_reverts", async () => {
    const world = state();
    const right = await provenReceipt(world);
    const bad = await provenReceipt(world, { input: 2, context: { requestId: ethers.id("other") as Hex } });
    const batch = await pending(world, [right, bad]);
    await expect(settle(world, batch)).to.be.revertedWithCustomError(world.referee, "InvalidProof");
  });

  it("settleProven_swappedProofs_reverts", async () => {
    const world = state();
    const [a, b] = [await provenReceipt(world), await provenReceipt(world, { input: 2 })];
    const swap = (to: TensorReceipt, from: TensorReceipt) => ({
      ...to,
      tensors: { ...to.tensors!, proof: from.tensors!.proof! },
    });
    const batch = await pending(world, [swap(a, b), swap(b, a)]);
    await expect(settle(world, batch)).to.be.revertedWithCustomError(world.referee, "InvalidProof");
  });

  it("settleProven_otherLeavesThanTheTrees_reverts", async () => {
    const world = state();
    const receipts = [await provenReceipt(world), await provenReceipt(world, { input: 2 })];
    const batch = await pending(world, receipts);
    const all = provenArguments(batch);
    const other = provenArguments({ receipts: [await provenReceipt(world)] });
    for (const given of [[], all.slice(0, 1), [...all].reverse(), [all[0]!, all[0]!], [all[0]!, ...other]]) {
      await expect(settle(world, batch, given))
        .to.be.revertedWithCustomError(world.referee, "NotThisBatch")
        .withArgs(batch.id);
    }
    const unproven = [{ ...all[0]!, proof: all[1]!.proof }, all[1]!];
    await expect(settle(world, batch, unproven), "a proof that the tree does not hold").to.be.revertedWithCustomError(
      world.referee,
      "NotThisBatch",
    );
  });

  it("settleProven_underAnotherBatchsHeader_reverts", async () => {
    const world = state();
    const batch = await pending(world, [await provenReceipt(world)]);
    const other = await pending(world, [await provenReceipt(world)]);
    await expect(settle(world, { ...batch, header: other.header }))
      .to.be.revertedWithCustomError(world.referee, "NotThisBatch")
      .withArgs(other.id);
  });

  it("settleProven_headerWithOtherTotals_reverts", async () => {
    const world = state();
    const receipts = [await provenReceipt(world), await provenReceipt(world, { input: 2 })];
    const batch = await pending(world, receipts, { header: { fees: 1n }, royalties: [] });
    await expect(settle(world, batch)).to.be.revertedWithCustomError(world.referee, "NotThisBatch");
  });

  it("settleProven_requestTwice_reverts", async () => {
    const world = state();
    const [, second] = world.zkModels;
    const first = await provenReceipt(world);
    const { requestId } = first.receipt;
    const again = await provenReceipt(world, { model: second, input: 2, receipt: { requestId } });
    const batch = await pending(world, [first, again]);
    await expect(settle(world, batch))
      .to.be.revertedWithCustomError(world.referee, "DuplicateRequest")
      .withArgs(requestId);
  });

  it("settleProven_signedBySomebodyElse_reverts", async () => {
    const world = state();
    const stranger = testKey(70);
    await registerNode(world, world.bystanders[0]!, stranger);
    const { receipt, tensors } = await provenReceipt(world);
    for (const key of [stranger, testKey(71)]) {
      const batch = await pending(world, [{ ...signedReceipt(world, receipt, key), tensors }]);
      await expect(settle(world, batch))
        .to.be.revertedWithCustomError(world.referee, "InvalidSigner")
        .withArgs(receipt.requestId, key.address);
    }
  });

  it("settleProven_servedOutsideTheHeader_reverts", async () => {
    const world = state();
    const signed = await provenReceipt(world);
    const servedTo = signed.receipt.servedAt - 1n;
    const batch = await pending(world, [signed], { header: { servedFrom: servedTo, servedTo } });
    await expect(settle(world, batch)).to.be.revertedWithCustomError(world.referee, "ServedOutOfRange");
  });

  it("settleProven_receiptOfAnotherMode_reverts", async () => {
    const world = state();
    const { receipt, tensors } = await provenReceipt(world);
    const plain = { ...signedReceipt(world, { ...receipt, mode: Mode.Vanilla }), tensors };
    const batch = await pending(world, [plain]);
    // the tree of a plain receipt has no proof
    await expect(settle(world, batch)).to.be.revertedWithCustomError(world.referee, "NotThisBatch");
  });

  it("settleProven_wordsThatAreNotTheHashes_reverts", async () => {
    const world = state();
    const signed = await provenReceipt(world, { receipt: { outputHash: ethers.id("else") as Hex } });
    const batch = await pending(world, [signed]);
    await expect(settle(world, batch)).to.be.revertedWithCustomError(world.referee, "WordsMismatch");
  });

  it("settleProven_feeBelowThePrice_reverts", async () => {
    const world = state();
    const batch = await pending(world, [await provenReceipt(world, { receipt: { fee: ZK_PRICE - 1n } })]);
    await expect(settle(world, batch))
      .to.be.revertedWithCustomError(world.referee, "PriceNotMet")
      .withArgs(batch.receipts[0]!.receipt.requestId, ZK_PRICE);
  });

  it("settleProven_royaltiesThatAreNotTheRegistrys_reverts", async () => {
    const world = state();
    const owner = await hexAddress(world.modelOwner);
    const signed = await provenReceipt(world);
    const owed = royaltyOf([signed]);
    const lists = [
      [],
      [royaltyWord(owner, owed - 1n)],
      [royaltyWord(owner, owed + 1n)],
      [royaltyWord(await hexAddress(world.operator), owed)],
      [royaltyWord(owner, owed), royaltyWord(await hexAddress(world.operator), 1n)],
    ];
    for (const royalties of lists) {
      const batch = await pending(world, [signed], { royalties });
      await expect(settle(world, batch)).to.be.revertedWithCustomError(world.referee, "RoyaltiesMismatch");
    }
  });

  it("settleProven_modelThatCannotBeUsedAnyMore_reverts", async () => {
    const world = state();
    const batch = await pending(world, [await provenReceipt(world)]);
    await world.models.retireShape(1);
    await expect(settle(world, batch)).to.be.revertedWithCustomError(world.models, "ShapeNotUsable");
  });

  it("settleProven_notPending_reverts", async () => {
    const world = state();
    const { settlement } = world;
    const receipts = [await provenReceipt(world)];
    const unknown = await buildBatch(world, { receipts });
    await expect(settle(world, unknown)).to.be.revertedWithCustomError(settlement, "WrongStatus").withArgs(Status.None);
    await post(world, unknown);
    await expect(settle(world, unknown))
      .to.be.revertedWithCustomError(settlement, "WrongStatus")
      .withArgs(Status.Attested);
    const settled = await pending(world, [await provenReceipt(world)]);
    await settle(world, settled);
    await expect(settle(world, settled), "twice")
      .to.be.revertedWithCustomError(settlement, "WrongStatus")
      .withArgs(Status.Attested);
  });

  it("settleProven_afterTheWindow_isNoMoreThanUnchallenged", async () => {
    const world = state();
    const batch = await pending(world, [await provenReceipt(world)]);
    await increaseTime(world, TERMS.window + 1);
    await settle(world, batch);
    expect((await world.settlement.records(batch.id)).status).to.equal(Status.Unchallenged);
  });

  it("settleProven_whileItIsNotTheReferee_reverts", async () => {
    const world = state();
    const batch = await pending(world, [await provenReceipt(world)]);
    await world.settlement.setReferee(ethers.ZeroAddress);
    await expect(settle(world, batch)).to.be.revertedWithCustomError(world.settlement, "WindowOpen");
  });
});

/** A tenth of the fees, rounded once a model. */
function royaltyOf(receipts: readonly TensorReceipt[]): bigint {
  const fees = new Map<Hex, bigint>();
  for (const { receipt } of receipts) fees.set(receipt.modelId, (fees.get(receipt.modelId) ?? 0n) + receipt.fee);
  return [...fees.values()].reduce((sum, fee) => sum + fee / 10n, 0n);
}
