import { expect } from "chai";
import { ZeroAddress } from "ethers";

import { freshState } from "../../support/freshState.ts";
import { opgWei, Role } from "../../support/protocol.ts";
import { deployStage } from "../../support/stage.ts";

describe("NodeStaking.claim", () => {
  const state = freshState(async () => {
    const stage = await deployStage();
    const { staking, operator, slasher, challenger } = stage;
    await staking.setSlasher(slasher, true);
    await staking.connect(operator).stake(Role.Inference, opgWei(100));
    await staking.connect(slasher).slash([{ operator, role: Role.Inference, amount: opgWei(50) }], challenger, 2_000);
    return stage;
  });

  it("claim_credit_isPaidToWhomeverItsOwnerNames", async () => {
    const { connection, staking, opg, challenger, payee } = state();
    const tx = staking.connect(challenger).claim(payee);
    await expect(tx).to.emit(staking, "Claimed").withArgs(challenger, payee, opgWei(10));
    await expect(tx).to.changeTokenBalances(connection.ethers, opg, [staking, payee], [-opgWei(10), opgWei(10)]);
    expect(await staking.credits(challenger)).to.equal(0n);
  });

  it("claim_twice_paysOnce", async () => {
    const { connection, staking, opg, challenger } = state();
    await staking.connect(challenger).claim(challenger);
    const again = staking.connect(challenger).claim(challenger);
    await expect(again).to.emit(staking, "Claimed").withArgs(challenger, challenger, 0n);
    await expect(again).to.changeTokenBalance(connection.ethers, opg, challenger, 0);
  });

  it("claim_withoutCredit_paysNothing", async () => {
    const { connection, staking, opg, stranger } = state();
    await expect(staking.connect(stranger).claim(stranger)).to.changeTokenBalance(connection.ethers, opg, stranger, 0);
  });

  it("claim_toZero_revertsAndKeepsTheCredit", async () => {
    const { staking, opg, challenger } = state();
    await expect(staking.connect(challenger).claim(ZeroAddress))
      .to.be.revertedWithCustomError(opg, "ERC20InvalidReceiver")
      .withArgs(ZeroAddress);
    expect(await staking.credits(challenger)).to.equal(opgWei(10));
  });
});
