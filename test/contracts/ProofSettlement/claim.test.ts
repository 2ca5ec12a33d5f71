import { expect } from "chai";
import { ethers } from "ethers";

import { chargesOf, freshWorld, postedBatch } from "../../support/batches.ts";

describe("ProofSettlement.claim", () => {
  it("claim_royalties_paysThemOnceToAnyAddress", async () => {
    const world = await freshWorld();
    const { settlement, opg, modelOwner, payer, connection } = world;
    const [first, second] = [await postedBatch(world), await postedBatch(world)];
    const amount = chargesOf(first).royalties + chargesOf(second).royalties;
    const tx = settlement.connect(modelOwner).claim(payer);
    await expect(tx).to.emit(settlement, "Claimed").withArgs(modelOwner, ethers.getAddress(payer), amount);
    await expect(tx).to.changeTokenBalances(connection.ethers, opg, [payer, settlement], [amount, -amount]);
    expect(await settlement.credits(modelOwner)).to.equal(0n);
    await expect(settlement.connect(modelOwner).claim(payer))
      .to.emit(settlement, "Claimed")
      .withArgs(modelOwner, ethers.getAddress(payer), 0n);
  });

  it("claim_byAStranger_paysNothing", async () => {
    const world = await freshWorld();
    const { settlement, opg, challenger, connection } = world;
    await postedBatch(world);
    const tx = settlement.connect(challenger).claim(challenger);
    await expect(tx).to.changeTokenBalances(connection.ethers, opg, [settlement, challenger], [0n, 0n]);
  });

  it("claim_toTheZeroAddress_revertsAndKeepsTheCredit", async () => {
    const world = await freshWorld();
    const { settlement, opg, modelOwner } = world;
    const batch = await postedBatch(world);
    await expect(settlement.connect(modelOwner).claim(ethers.ZeroAddress)).to.be.revertedWithCustomError(
      opg,
      "ERC20InvalidReceiver",
    );
    expect(await settlement.credits(modelOwner)).to.equal(chargesOf(batch).royalties);
  });
});
