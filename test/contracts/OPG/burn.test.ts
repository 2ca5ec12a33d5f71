import { expect } from "chai";
import { ZeroAddress } from "ethers";

import { freshState } from "../../support/freshState.ts";
import { opgWei } from "../../support/protocol.ts";
import { deployStage } from "../../support/stage.ts";

describe("OPG.burn, burnFrom", () => {
  const state = freshState(deployStage);

  it("burn_part_lowersSupplyAndBalance", async () => {
    const { opg, payer: holder } = state();
    const supply = await opg.totalSupply();
    await expect(opg.connect(holder).burn(opgWei(5)))
      .to.emit(opg, "Transfer")
      .withArgs(holder, ZeroAddress, opgWei(5));
    expect(await opg.totalSupply()).to.equal(supply - opgWei(5));
    expect(await opg.balanceOf(holder)).to.equal(opgWei(999_995));
  });

  it("burn_moreThanHeld_reverts", async () => {
    const { opg, payer: holder } = state();
    const held = await opg.balanceOf(holder);
    await expect(opg.connect(holder).burn(held + 1n))
      .to.be.revertedWithCustomError(opg, "ERC20InsufficientBalance")
      .withArgs(holder, held, held + 1n);
  });

  it("burnFrom_withAllowance_spendsIt", async () => {
    const { opg, payer: holder, stranger: burner } = state();
    await opg.connect(holder).approve(burner, 10n);
    await opg.connect(burner).burnFrom(holder, 4n);
    expect(await opg.allowance(holder, burner)).to.equal(6n);
    expect(await opg.balanceOf(holder)).to.equal(opgWei(1_000_000) - 4n);
  });

  it("burnFrom_withoutAllowance_reverts", async () => {
    const { opg, payer: holder, stranger: burner } = state();
    await expect(opg.connect(burner).burnFrom(holder, 1n))
      .to.be.revertedWithCustomError(opg, "ERC20InsufficientAllowance")
      .withArgs(burner, 0n, 1n);
  });
});
