import { expect } from "chai";
import { ethers } from "ethers";

import { freshState } from "../../support/freshState.ts";
import { domainOf, opgWei } from "../../support/protocol.ts";
import { deployStage } from "../../support/stage.ts";

describe("OPG constructor", () => {
  const state = freshState(deployStage);

  it("constructor_names_succeeds", async () => {
    const { opg } = state();
    expect(await opg.name()).to.equal("OpenGradient");
    expect(await opg.symbol()).to.equal("OPG");
    expect(await opg.decimals()).to.equal(18);
  });

  it("constructor_supply_isOneBillionAndFitsUint96", async () => {
    const { opg } = state();
    expect(await opg.totalSupply()).to.equal(opgWei(1_000_000_000));
    expect(await opg.INITIAL_SUPPLY()).to.equal(await opg.totalSupply());
    expect((await opg.totalSupply()) < 2n ** 96n).to.equal(true);
  });

  it("constructor_wholeSupply_goesToHolder", async () => {
    const { opg, accounts } = state();
    let held = 0n;
    for (const account of accounts) held += await opg.balanceOf(account);
    expect(held).to.equal(await opg.totalSupply());
  });

  it("abi_mint_doesNotExist", () => {
    const names = state().opg.interface.fragments.map((each) => ("name" in each ? String(each.name) : each.type));
    expect(names.filter((name) => /mint|owner|pause|upgrade/i.test(name))).to.deep.equal([]);
  });

  it("DOMAIN_SEPARATOR_versionOne_equalsEthers", async () => {
    const { opg } = state();
    expect(await opg.DOMAIN_SEPARATOR()).to.equal(ethers.TypedDataEncoder.hashDomain(await domainOf(opg)));
  });

  it("eip712Domain_fields_areTheDomain", async () => {
    const { opg } = state();
    const domain = await opg.eip712Domain();
    expect([domain.name, domain.version, domain.verifyingContract]).to.deep.equal([
      "OpenGradient",
      "1",
      await opg.getAddress(),
    ]);
    expect(domain.chainId).to.equal((await domainOf(opg)).chainId);
  });
});
