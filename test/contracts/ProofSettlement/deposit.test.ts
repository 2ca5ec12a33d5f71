import { expect } from "chai";

import { freshWorld, OPERATOR_DEPOSIT } from "../../support/batches.ts";
import { opgWei } from "../../support/protocol.ts";

describe("ProofSettlement.deposit", () => {
  it("deposit_byAnyone_addsToTheOperatorsBalance", async () => {
    const { settlement, opg, operator, challenger, submitter, connection } = await freshWorld();
    const amount = opgWei(7);
    const tx = settlement.connect(challenger).deposit(operator, amount);
    await expect(tx).to.emit(settlement, "Deposited").withArgs(operator, challenger, amount);
    await expect(tx).to.changeTokenBalances(connection.ethers, opg, [challenger, settlement], [-amount, amount]);
    const account = await settlement.accounts(operator);
    expect(account.balance).to.equal(OPERATOR_DEPOSIT + amount);
    expect(account.submitter, "the payer gets no right to post").to.equal(await submitter.getAddress());
  });

  it("deposit_withoutAllowance_reverts", async () => {
    const { settlement, opg, operator, challenger } = await freshWorld();
    await opg.connect(challenger).approve(settlement, 1n);
    await expect(settlement.connect(challenger).deposit(operator, 2n))
      .to.be.revertedWithCustomError(opg, "ERC20InsufficientAllowance")
      .withArgs(settlement, 1n, 2n);
    expect((await settlement.accounts(operator)).balance).to.equal(OPERATOR_DEPOSIT);
  });

  it("deposit_moreThan96Bits_reverts", async () => {
    const { settlement, operator, challenger } = await freshWorld();
    const amount = 2n ** 96n - OPERATOR_DEPOSIT;
    await expect(settlement.connect(challenger).deposit(operator, amount))
      .to.be.revertedWithCustomError(settlement, "SafeCastOverflowedUintDowncast")
      .withArgs(96, 2n ** 96n);
  });
});
