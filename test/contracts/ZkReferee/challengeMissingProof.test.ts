import { expect } from "chai";

import {
  buildBatch,
  leafOf,
  OPERATOR_STAKE,
  post,
  postedBatch,
  SUBMITTER_SLASH,
  VERIFIER_STAKE,
  VOTER_SLASH,
  type BuiltBatch,
} from "../../support/batches.ts";
import { freshState } from "../../support/freshState.ts";
import { increaseTime, Role, TERMS } from "../../support/protocol.ts";
import { Fault, RefereeFault, Status } from "../../support/settlement.ts";
import { createZkWorld, provenReceipt, type ZkWorld } from "../../support/zkWorld.ts";
import type { TensorReceipt } from "../../../simulator/receipts/tensors.ts";

const challenge = ({ referee, challenger }: ZkWorld, batch: BuiltBatch, index = 0) =>
  referee.connect(challenger).challengeMissingProof(batch.header, leafOf(batch, index));

const withoutProof = ({ receipt, signature }: TensorReceipt): TensorReceipt => ({ receipt, signature });

describe("ZkReferee.challengeMissingProof", () => {
  const state = freshState(createZkWorld);

  it("challengeMissingProof_receiptNextToAnother_slashesAndPaysTheChallenger", async () => {
    const world = state();
    const { referee, settlement, staking, opg, challenger, operator, verifiers } = world;
    const receipts = [withoutProof(await provenReceipt(world)), withoutProof(await provenReceipt(world, { input: 2 }))];
    const batch = await postedBatch(world, { receipts });
    const slashed = SUBMITTER_SLASH + 4n * VOTER_SLASH;
    const reward = (slashed * BigInt(TERMS.rewardBps)) / 10_000n;
    const before = await opg.balanceOf(challenger);
    const tx = challenge(world, batch);
    await expect(tx)
      .to.emit(referee, "ReceiptRefuted")
      .withArgs(batch.id, receipts[0]!.receipt.requestId, challenger, RefereeFault.ProofMissing, reward);
    await expect(tx).to.emit(settlement, "BatchProvenWrong").withArgs(batch.id, referee, Fault.Receipt, true, slashed);
    expect((await opg.balanceOf(challenger)) - before).to.equal(reward);
    expect(await staking.credits(referee)).to.equal(0n);
    expect((await staking.pools(operator, Role.Inference)).own).to.equal(OPERATOR_STAKE - SUBMITTER_SLASH);
    for (const verifier of verifiers) {
      expect((await staking.pools(verifier.operator, Role.Verifier)).own).to.equal(VERIFIER_STAKE - VOTER_SLASH);
    }
  });

  it("challengeMissingProof_onlyReceipt_isAFault", async () => {
    const world = state();
    const batch = await postedBatch(world, { seats: [], receipts: [withoutProof(await provenReceipt(world))] });
    await challenge(world, batch);
    expect((await world.settlement.records(batch.id)).status).to.equal(Status.Rejected);
  });

  it("challengeMissingProof_proofOnTheLeft_isAFault", async () => {
    const world = state();
    // a plain receipt first moves leaf and proof to the second and third place
    const plain = await buildBatch(world, { size: 1 });
    const receipts = [
      ...plain.receipts,
      await provenReceipt(world),
      ...(await buildBatch(world, { size: 1 })).receipts,
    ];
    const batch = await postedBatch(world, { seats: [], receipts });
    expect(leafOf(batch, 1).right & 1n).to.equal(1n);
    await challenge(world, batch, 1);
    expect((await world.settlement.records(batch.id)).status).to.equal(Status.Rejected);
  });

  it("challengeMissingProof_countedProof_isAFault", async () => {
    const world = state();
    const receipts = [await provenReceipt(world), await provenReceipt(world, { input: 2 })];
    const batch = await postedBatch(world, {
      seats: [],
      receipts,
      // leafTotal is asked with −1 for proofs
      leafTotal: (index) => (index < 0 ? 1n << 32n : undefined),
    });
    await challenge(world, batch);
    expect((await world.settlement.records(batch.id)).status).to.equal(Status.Rejected);
  });

  it("challengeMissingProof_honestBatch_reverts", async () => {
    const world = state();
    const receipts = [await provenReceipt(world), ...(await buildBatch(world, { size: 2 })).receipts];
    const batch = await postedBatch(world, { receipts });
    await expect(challenge(world, batch)).to.be.revertedWithCustomError(world.referee, "NoFault");
    await expect(challenge(world, batch, 1))
      .to.be.revertedWithCustomError(world.referee, "NotZkml")
      .withArgs(0);
    expect((await world.settlement.records(batch.id)).punished).to.equal(false);
  });

  it("challengeMissingProof_cutPathOfAnHonestReceipt_reverts", async () => {
    const world = state();
    const batch = await postedBatch(world, { receipts: [await provenReceipt(world), await provenReceipt(world)] });
    const leaf = leafOf(batch, 0);
    for (const change of [{ path: "0x", right: 0n }, { path: leaf.path.slice(0, 2 + 46), right: 0n }, { right: 1n }]) {
      const { referee, settlement, challenger } = world;
      const tx = referee.connect(challenger).challengeMissingProof(batch.header, { ...leaf, ...change });
      await expect(tx).to.be.revertedWithCustomError(
        settlement,
        change.path && change.path !== "0x" ? "InvalidPathLength" : "NotInBatch",
      );
    }
  });

  it("challengeMissingProof_twice_reverts", async () => {
    const world = state();
    const receipts = [withoutProof(await provenReceipt(world)), withoutProof(await provenReceipt(world))];
    const batch = await postedBatch(world, { receipts });
    await challenge(world, batch, 0);
    await expect(challenge(world, batch, 1))
      .to.be.revertedWithCustomError(world.settlement, "WrongStatus")
      .withArgs(Status.Attested);
  });

  it("challengeMissingProof_afterAccountability_reverts", async () => {
    const world = state();
    const batch = await postedBatch(world, { receipts: [withoutProof(await provenReceipt(world))] });
    await increaseTime(world, TERMS.accountability + 1);
    await expect(challenge(world, batch)).to.be.revertedWithCustomError(world.settlement, "AccountabilityEnded");
  });

  it("challengeMissingProof_whileItIsNotTheReferee_reverts", async () => {
    const world = state();
    const batch = await buildBatch(world, { receipts: [withoutProof(await provenReceipt(world))] });
    await post(world, batch);
    await world.settlement.setReferee(world.owner);
    await expect(challenge(world, batch)).to.be.revertedWithCustomError(world.settlement, "NoFault");
  });
});
