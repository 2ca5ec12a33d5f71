import { expect } from "chai";

import { attest, BOND, chargesOf, freshWorld, OPERATOR_DEPOSIT, postedBatch } from "../../support/batches.ts";

describe("ProofSettlement.withdraw", () => {
  it("withdraw_wholeBalance_paysTheOperator", async () => {
    const { settlement, opg, operator, connection } = await freshWorld();
    const tx = settlement.connect(operator).withdraw(OPERATOR_DEPOSIT);
    await expect(tx).to.emit(settlement, "Withdrawn").withArgs(operator, OPERATOR_DEPOSIT);
    await expect(tx).to.changeTokenBalances(
      connection.ethers,
      opg,
      [operator, settlement],
      [OPERATOR_DEPOSIT, -OPERATOR_DEPOSIT],
    );
    const account = await settlement.accounts(operator);
    expect(account.balance).to.equal(0n);
    expect(account.submitter, "the hot key stays").to.not.equal(await operator.getAddress());
  });

  it("withdraw_moreThanTheBalance_reverts", async () => {
    const { settlement, operator } = await freshWorld();
    await expect(settlement.connect(operator).withdraw(OPERATOR_DEPOSIT + 1n))
      .to.be.revertedWithCustomError(settlement, "InsufficientBalance")
      .withArgs(OPERATOR_DEPOSIT, OPERATOR_DEPOSIT + 1n);
  });

  it("withdraw_bySubmitter_getsNothingOfTheOperators", async () => {
    const { settlement, submitter } = await freshWorld();
    await expect(settlement.connect(submitter).withdraw(1n))
      .to.be.revertedWithCustomError(settlement, "InsufficientBalance")
      .withArgs(0n, 1n);
  });

  it("withdraw_whatAPendingBatchHolds_reverts", async () => {
    const world = await freshWorld();
    const { settlement, operator } = world;
    const batch = await postedBatch(world, { seats: [] });
    const free = OPERATOR_DEPOSIT - chargesOf(batch).due - BOND;
    await expect(settlement.connect(operator).withdraw(free + 1n))
      .to.be.revertedWithCustomError(settlement, "InsufficientBalance")
      .withArgs(free, free + 1n);
    await settlement.connect(operator).withdraw(free);

    await attest(world, batch);
    expect((await settlement.accounts(operator)).balance, "the bond comes back, the fees do not").to.equal(BOND);
    await settlement.connect(operator).withdraw(BOND);
  });
});
