import { expect } from "chai";
import { ethers, type Signer } from "ethers";

import { Mode, type Hex, type Receipt, type SignedReceipt } from "../../../simulator/receipts/types.ts";
import { tensorHash } from "../../../simulator/zkml/tensorHash.ts";
import { hexAddress, leafOf, postedBatch, signedReceipt, type BuiltBatch } from "../../support/batches.ts";
import { freshState } from "../../support/freshState.ts";
import { increaseTime, latestTimestamp, TERMS } from "../../support/protocol.ts";
import { RefereeFault, Status } from "../../support/settlement.ts";
import { createZkWorld, provenReceipt, refutation, type ProvenOptions, type ZkWorld } from "../../support/zkWorld.ts";

type Refutation = Awaited<ReturnType<typeof refutation>>;

const refute = (
  { referee, challenger }: ZkWorld,
  batch: BuiltBatch,
  { inWords, outWords, proof }: Refutation,
  { index = 0, caller = challenger }: { index?: number; caller?: Signer } = {},
) => referee.connect(caller).refute(batch.header, leafOf(batch, index), inWords, outWords, proof);

/** A VANILLA receipt of a zk model for the input that seed 1 makes. */
async function plainReceipt(world: ZkWorld, fields: Partial<Receipt>): Promise<SignedReceipt> {
  const { modelId } = world.zkModels[0];
  const servedAt = BigInt(await latestTimestamp(world)) - 5n;
  const { inWords, outWords } = await answer(world);
  const hashes = { inputHash: tensorHash(inWords), outputHash: tensorHash(outWords) };
  return signedReceipt(world, { modelId, servedAt, ...hashes, ...fields });
}

/** What the model says, whatever for. */
async function answer(world: ZkWorld) {
  return (await provenReceipt(world, { context: { requestId: ethers.ZeroHash as Hex } })).tensors!;
}

const WRONG = { outputHash: ethers.id("wrong output") as Hex };

describe("ZkReferee.refute", () => {
  const state = freshState(createZkWorld);

  async function wrongBatch(world: ZkWorld, seats?: number[]): Promise<BuiltBatch> {
    const receipts = [await plainReceipt(world, WRONG), await plainReceipt(world, {})];
    return postedBatch(world, { receipts, ...(seats && { seats }) });
  }

  it("refute_wrongOutputOfAVanillaReceipt_slashesAndPaysTheChallenger", async () => {
    const world = state();
    const { referee, settlement, opg, challenger } = world;
    const batch = await wrongBatch(world);
    const { receipt } = batch.receipts[0]!;
    const before = await opg.balanceOf(challenger);
    const tx = refute(world, batch, await refutation(world, receipt, challenger));
    await expect(tx).to.emit(settlement, "BatchProvenWrong");
    const [event] = await referee.queryFilter(referee.filters.ReceiptRefuted(batch.id));
    expect([event!.args.requestId, event!.args.fault]).to.deep.equal([receipt.requestId, RefereeFault.OutputRefuted]);
    expect((await opg.balanceOf(challenger)) - before)
      .to.equal(event!.args.reward)
      .and.to.be.greaterThan(0n);
    expect((await settlement.records(batch.id)).punished).to.equal(true);
  });

  it("refute_wrongOutputOfAPendingBatch_rejectsIt", async () => {
    const world = state();
    const batch = await wrongBatch(world, []);
    await refute(world, batch, await refutation(world, batch.receipts[0]!.receipt, world.challenger));
    expect((await world.settlement.records(batch.id)).status).to.equal(Status.Rejected);
  });

  it("refute_zkmlReceiptWithAnotherOutput_isAFaultToo", async () => {
    const world = state();
    const signed = await provenReceipt(world, { receipt: WRONG });
    const batch = await postedBatch(world, { seats: [], receipts: [signed] });
    await refute(world, batch, await refutation(world, signed.receipt, world.challenger));
    expect((await world.settlement.records(batch.id)).status).to.equal(Status.Rejected);
  });

  it("refute_honestReceipt_reverts", async () => {
    const world = state();
    const receipts = [await plainReceipt(world, {}), await provenReceipt(world)];
    const batch = await postedBatch(world, { receipts: [receipts[1]!, receipts[0]!] });
    for (const index of [0, 1]) {
      const right = await refutation(world, batch.receipts[index]!.receipt, world.challenger);
      await expect(refute(world, batch, right, { index })).to.be.revertedWithCustomError(world.referee, "NoFault");
      // the same proof under a false output
      const outWords = [right.outWords[0]! + 1n, right.outWords[1]!];
      await expect(refute(world, batch, { ...right, outWords }, { index }))
        .to.be.revertedWithCustomError(world.referee, "InvalidProof")
        .withArgs(batch.receipts[index]!.receipt.requestId);
    }
    expect((await world.settlement.records(batch.id)).punished).to.equal(false);
  });

  it("refute_byAProofForSomethingElse_reverts", async () => {
    const world = state();
    const batch = await wrongBatch(world);
    const { receipt } = batch.receipts[0]!;
    const [first, second] = world.zkModels;
    const others: ProvenOptions[] = [
      { context: { requestId: batch.receipts[1]!.receipt.requestId } },
      { context: { consumer: await hexAddress(world.settlement) } },
      { context: { requester: receipt.payer } },
      { context: { chainId: 1n } },
      { context: { modelId: second.modelId } },
      // another model says something else, bound to the receipt's
      { model: second, context: { modelId: first.modelId } },
    ];
    for (const options of others) {
      const proof = await refutation(world, receipt, world.challenger, options);
      await expect(refute(world, batch, proof)).to.be.revertedWithCustomError(world.referee, "InvalidProof");
    }
  });

  it("refute_byAProofOfAnotherInput_reverts", async () => {
    const world = state();
    const batch = await wrongBatch(world);
    const proof = await refutation(world, batch.receipts[0]!.receipt, world.challenger, { input: 2 });
    await expect(refute(world, batch, proof)).to.be.revertedWithCustomError(world.referee, "NoFault");
    const mixed = await refutation(world, batch.receipts[0]!.receipt, world.challenger);
    await expect(refute(world, batch, { ...mixed, proof: proof.proof })).to.be.revertedWithCustomError(
      world.referee,
      "InvalidProof",
    );
  });

  it("refute_byACopiedTransaction_reverts", async () => {
    const world = state();
    const batch = await wrongBatch(world);
    const proof = await refutation(world, batch.receipts[0]!.receipt, world.challenger);
    await expect(refute(world, batch, proof, { caller: world.operator })).to.be.revertedWithCustomError(
      world.referee,
      "InvalidProof",
    );
    await refute(world, batch, proof);
  });

  it("refute_receiptOfAModelWithoutCommitment_reverts", async () => {
    const world = state();
    const signed = await plainReceipt(world, { ...WRONG, modelId: world.modelId });
    const batch = await postedBatch(world, { receipts: [signed] });
    const proof = await refutation(world, signed.receipt, world.challenger);
    await expect(refute(world, batch, proof)).to.be.revertedWithCustomError(world.models, "ZkNotUsable");
  });

  it("refute_receiptThatIsNotInTheBatch_reverts", async () => {
    const world = state();
    const batch = await wrongBatch(world);
    const honest = await postedBatch(world, { receipts: [await plainReceipt(world, {})] });
    const proof = await refutation(world, batch.receipts[0]!.receipt, world.challenger);
    await expect(refute(world, { ...batch, header: honest.header }, proof))
      .to.be.revertedWithCustomError(world.settlement, "NotInBatch")
      .withArgs(honest.id);
  });

  it("refute_twice_reverts", async () => {
    const world = state();
    const batch = await wrongBatch(world);
    const proof = await refutation(world, batch.receipts[0]!.receipt, world.challenger);
    await refute(world, batch, proof);
    await expect(refute(world, batch, proof))
      .to.be.revertedWithCustomError(world.settlement, "WrongStatus")
      .withArgs(Status.Attested);
  });

  it("refute_afterAccountability_reverts", async () => {
    const world = state();
    const batch = await wrongBatch(world);
    const proof = await refutation(world, batch.receipts[0]!.receipt, world.challenger);
    await increaseTime(world, TERMS.accountability + 1);
    await expect(refute(world, batch, proof)).to.be.revertedWithCustomError(world.settlement, "AccountabilityEnded");
  });

  it("refute_hashOfAText_cannotBeMatched", async () => {
    const world = state();
    const signed = await plainReceipt(world, { mode: Mode.Vanilla, inputHash: ethers.id("{}") as Hex, ...WRONG });
    const batch = await postedBatch(world, { receipts: [signed] });
    const proof = await refutation(world, signed.receipt, world.challenger);
    await expect(refute(world, batch, proof)).to.be.revertedWithCustomError(world.referee, "NoFault");
  });
});
