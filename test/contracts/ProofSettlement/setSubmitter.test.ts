import { expect } from "chai";
import { ethers } from "ethers";

import { buildBatch, freshWorld, post } from "../../support/batches.ts";

describe("ProofSettlement.setSubmitter", () => {
  it("setSubmitter_anyOperator_storesTheKeyAndKeepsTheBalance", async () => {
    const { settlement, operator, payer } = await freshWorld();
    const before = await settlement.accounts(operator);
    await expect(settlement.connect(operator).setSubmitter(payer))
      .to.emit(settlement, "SubmitterSet")
      .withArgs(operator, ethers.getAddress(payer));
    const after = await settlement.accounts(operator);
    expect(after.submitter).to.equal(ethers.getAddress(payer));
    expect(after.balance).to.equal(before.balance);
  });

  it("setSubmitter_zero_stopsPosting", async () => {
    const world = await freshWorld();
    const batch = await buildBatch(world);
    await world.settlement.connect(world.operator).setSubmitter(ethers.ZeroAddress);
    await expect(post(world, batch))
      .to.be.revertedWithCustomError(world.settlement, "NotSubmitter")
      .withArgs(world.submitter, ethers.ZeroAddress);
  });

  it("setSubmitter_replaced_oldKeyCannotPost", async () => {
    const world = await freshWorld();
    const { settlement, operator, submitter, challenger } = world;
    const batch = await buildBatch(world);
    await settlement.connect(operator).setSubmitter(challenger);
    await expect(post(world, batch))
      .to.be.revertedWithCustomError(settlement, "NotSubmitter")
      .withArgs(submitter, challenger);
    await post({ ...world, submitter: challenger }, batch);
  });
});
