import { expect } from "chai";

import {
  attest,
  buildBatch,
  challengeReceipt,
  forged,
  freshWorld,
  leafOf,
  postedBatch,
  type BuiltBatch,
  type World,
} from "../../support/batches.ts";
import { increaseTime, TERMS } from "../../support/protocol.ts";

const isAttested = ({ settlement }: World, batch: BuiltBatch, index = 1) =>
  settlement.isAttested(batch.header, leafOf(batch, index));

describe("ProofSettlement.isAttested", () => {
  it("isAttested_everyReceiptOfAnAttestedBatch", async () => {
    const world = await freshWorld();
    for (const size of [1, 2, 3, 7, 8]) {
      const batch = await postedBatch(world, { size });
      for (const index of batch.receipts.keys()) {
        expect(await isAttested(world, batch, index), `${index} of ${size}`).to.equal(true);
      }
    }
  });

  it("isAttested_onlyFromTheQuorumOn", async () => {
    const world = await freshWorld();
    const batch = await buildBatch(world);
    expect(await isAttested(world, batch), "never posted").to.equal(false);
    const posted = await postedBatch(world, { seats: [0] });
    expect(await isAttested(world, posted), "pending").to.equal(false);
    await attest(world, posted, [1, 2]);
    expect(await isAttested(world, posted)).to.equal(true);
  });

  it("isAttested_unchallengedBatch_isNot", async () => {
    const world = await freshWorld();
    const batch = await postedBatch(world, { seats: [] });
    await increaseTime(world, TERMS.window + 1);
    await world.settlement.finalise(batch.header, [...batch.royalties]);
    expect(await isAttested(world, batch)).to.equal(false);
  });

  it("isAttested_provenWrong_noReceiptOfItIsAnyMore", async () => {
    const world = await freshWorld();
    const batch = await postedBatch(world, { tamper: forged(0) });
    expect(await isAttested(world, batch)).to.equal(true);
    await challengeReceipt(world, batch, 0);
    for (const index of batch.receipts.keys()) expect(await isAttested(world, batch, index)).to.equal(false);
    const rejected = await postedBatch(world, { seats: [], tamper: forged(0) });
    await challengeReceipt(world, rejected, 0);
    expect(await isAttested(world, rejected)).to.equal(false);
  });

  it("isAttested_anythingChanged_isNot", async () => {
    const world = await freshWorld();
    const { settlement } = world;
    const batch = await postedBatch(world);
    const leaf = leafOf(batch, 1);
    const { receipt, sig } = leaf;
    const word = `0x${"12".repeat(32)}`;
    for (const changed of [
      { ...leaf, receipt: { ...receipt, outputHash: word } },
      { ...leaf, receipt: { ...receipt, fee: receipt.fee + 1n } },
      { ...leaf, receipt: { ...receipt, payer: `0x${"12".repeat(20)}` } },
      { ...leaf, sig: { ...sig, r: word } },
      { ...leaf, sig: { ...sig, vs: word } },
      { ...leaf, right: leaf.right ^ 1n },
      { ...leaf, path: "0x", right: 0n },
      { ...leaf, path: leafOf(batch, 0).path },
    ]) {
      expect(await settlement.isAttested(batch.header, changed)).to.equal(false);
    }
    const other = await postedBatch(world);
    expect(await settlement.isAttested(other.header, leaf), "another batch").to.equal(false);
    const fees = batch.header.fees + 1n;
    expect(await settlement.isAttested({ ...batch.header, fees }, leaf), "another header").to.equal(false);
  });

  it("isAttested_malformedPath_reverts", async () => {
    const world = await freshWorld();
    const { settlement } = world;
    const batch = await postedBatch(world);
    const leaf = leafOf(batch, 1);
    await expect(settlement.isAttested(batch.header, { ...leaf, right: 1n << 4n }))
      .to.be.revertedWithCustomError(settlement, "InvalidPathBits")
      .withArgs(1n << 4n);
    await expect(settlement.isAttested(batch.header, { ...leaf, path: "0x00" }))
      .to.be.revertedWithCustomError(settlement, "InvalidPathLength")
      .withArgs(1n);
  });

  it("isAttested_treeThatDoesNotAddUpToTheHeader_isNot", async () => {
    const world = await freshWorld();
    const batch = await postedBatch(world, { header: { count: 3 } });
    expect(await isAttested(world, batch)).to.equal(false);
  });
});
