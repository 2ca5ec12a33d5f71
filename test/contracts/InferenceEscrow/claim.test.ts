import { expect } from "chai";
import { ZeroAddress } from "ethers";

import { answerTo, deployEscrowStage, fulfil, lockedRequest } from "../../support/escrow.ts";
import { freshState } from "../../support/freshState.ts";
import { opgWei } from "../../support/protocol.ts";

describe("InferenceEscrow.claim, sweepProtocolCredit", () => {
  const state = freshState(async () => {
    const stage = await deployEscrowStage();
    await fulfil(stage, await lockedRequest(stage), await answerTo(stage, { fee: opgWei(4) }));
    return stage;
  });

  it("claim_credit_isPaidToWhomeverItsOwnerNames", async () => {
    const { connection, escrow, opg, operator, payee } = state();
    const tx = escrow.connect(operator).claim(payee);
    await expect(tx).to.emit(escrow, "Claimed").withArgs(operator, payee, opgWei("3.56"));
    await expect(tx).to.changeTokenBalances(
      connection.ethers,
      opg,
      [escrow, payee, operator],
      [-opgWei("3.56"), opgWei("3.56"), 0],
    );
  });

  it("claim_everyone_leavesOnlyTheProtocolsPart", async () => {
    const { escrow, opg, operator, modelOwner, payer } = state();
    for (const each of [operator, modelOwner, payer]) await escrow.connect(each).claim(each);
    expect(await opg.balanceOf(escrow)).to.equal(await escrow.protocolCredit());
  });

  it("claim_twice_paysOnce", async () => {
    const { connection, escrow, opg, operator } = state();
    await escrow.connect(operator).claim(operator);
    const again = escrow.connect(operator).claim(operator);
    await expect(again).to.emit(escrow, "Claimed").withArgs(operator, operator, 0n);
    await expect(again).to.changeTokenBalance(connection.ethers, opg, operator, 0);
  });

  it("claim_withoutCredit_paysNothing", async () => {
    const { connection, escrow, opg, stranger } = state();
    await expect(escrow.connect(stranger).claim(stranger)).to.changeTokenBalance(connection.ethers, opg, stranger, 0);
  });

  it("claim_toZero_revertsAndKeepsTheCredit", async () => {
    const { escrow, opg, operator } = state();
    await expect(escrow.connect(operator).claim(ZeroAddress))
      .to.be.revertedWithCustomError(opg, "ERC20InvalidReceiver")
      .withArgs(ZeroAddress);
    expect(await escrow.credits(operator)).to.equal(opgWei("3.56"));
  });

  it("sweepProtocolCredit_byOwner_paysItOnce", async () => {
    const { connection, escrow, opg, payee } = state();
    const tx = escrow.sweepProtocolCredit(payee);
    await expect(tx).to.emit(escrow, "ProtocolCreditSwept").withArgs(payee, opgWei("0.04"));
    await expect(tx).to.changeTokenBalance(connection.ethers, opg, payee, opgWei("0.04"));
    await expect(escrow.sweepProtocolCredit(payee)).to.emit(escrow, "ProtocolCreditSwept").withArgs(payee, 0n);
  });

  it("sweepProtocolCredit_byAnyoneElse_reverts", async () => {
    const { escrow, operator } = state();
    await expect(escrow.connect(operator).sweepProtocolCredit(operator))
      .to.be.revertedWithCustomError(escrow, "OwnableUnauthorizedAccount")
      .withArgs(operator);
  });
});
