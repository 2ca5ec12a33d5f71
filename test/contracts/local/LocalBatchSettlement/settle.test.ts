import { expect } from "chai";
import { id } from "ethers";

import { freshState } from "../../../support/freshState.ts";
import { opgWei } from "../../../support/protocol.ts";
import { channelOf, claimOf, deployLocalStage, fund } from "../localStage.ts";

const TEN = opgWei(10);

describe("LocalBatchSettlement.settle", () => {
  const state = freshState(deployLocalStage);

  it("settle_byAnybody_paysTheReceiverAllChannelsAtOnce_once", async () => {
    const stage = state();
    const { batch, opg, receiver, stranger } = stage;
    const channels = [await channelOf(stage), await channelOf(stage, { salt: id("other") })];
    for (const [i, config] of channels.entries()) {
      await fund(stage, config, TEN, BigInt(i));
      await batch.connect(receiver).claim([await claimOf(stage, config, 100n)]);
    }
    await expect(batch.connect(stranger).settle(receiver, opg))
      .to.emit(batch, "Settled")
      .withArgs(receiver, opg, stranger, 200n);
    expect(await opg.balanceOf(receiver)).to.equal(200n);
    expect(await batch.receivers(receiver, opg)).to.deep.equal([200n, 200n]);
    await expect(batch.settle(receiver, opg)).not.to.emit(batch, "Settled");
    expect(await opg.balanceOf(receiver)).to.equal(200n);
  });

  it("settle_nothingClaimed_movesNothing", async () => {
    const stage = state();
    const { batch, opg, receiver, stranger } = stage;
    await fund(stage, await channelOf(stage), TEN);
    for (const nobody of [receiver, stranger]) {
      await expect(batch.settle(nobody, opg)).not.to.emit(batch, "Settled");
      expect(await opg.balanceOf(nobody)).to.equal(0n);
    }
  });
});
