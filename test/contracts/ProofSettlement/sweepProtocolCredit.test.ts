import { expect } from "chai";

import { freshWorld, postedBatch } from "../../support/batches.ts";

describe("ProofSettlement.sweepProtocolCredit", () => {
  it("sweepProtocolCredit_byTheOwner_paysItOnceAndKeepsTheRestOfTheState", async () => {
    const world = await freshWorld();
    const { settlement, opg, owner, challenger, connection } = world;
    await postedBatch(world);
    const before = await settlement.state();
    const amount = before.protocolCredit;
    expect(amount > 0n).to.equal(true);
    const tx = settlement.connect(owner).sweepProtocolCredit(challenger);
    await expect(tx).to.emit(settlement, "ProtocolCreditSwept").withArgs(challenger, amount);
    await expect(tx).to.changeTokenBalances(connection.ethers, opg, [challenger, settlement], [amount, -amount]);
    const after = await settlement.state();
    expect([...after]).to.deep.equal([0n, ...before.slice(1)]);
    await expect(settlement.connect(owner).sweepProtocolCredit(challenger))
      .to.emit(settlement, "ProtocolCreditSwept")
      .withArgs(challenger, 0n);
  });

  it("sweepProtocolCredit_byAnyoneElse_reverts", async () => {
    const { settlement, operator } = await freshWorld();
    await expect(settlement.connect(operator).sweepProtocolCredit(operator))
      .to.be.revertedWithCustomError(settlement, "OwnableUnauthorizedAccount")
      .withArgs(operator);
  });
});
