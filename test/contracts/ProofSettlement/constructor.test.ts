import { expect } from "chai";

import { NodeStaking__factory, ProofSettlement__factory } from "../../../typechain-types/index.ts";
import { freshWorld, type World } from "../../support/batches.ts";
import { DAY, HOUR, opgWei, TERMS } from "../../support/protocol.ts";

const MINIMUMS = { operatorStake: opgWei(1), seatStake: opgWei(2), seats: 3 };

async function deploy({ opg, nodes, owner }: World, unbonding: number, terms = {}, minimums = {}) {
  const staking = await new NodeStaking__factory(owner).deploy(opg, owner, unbonding);
  const factory = new ProofSettlement__factory(owner);
  return factory.deploy(opg, staking, nodes, owner, { ...MINIMUMS, ...minimums }, { ...TERMS, ...terms });
}

describe("ProofSettlement.constructor", () => {
  it("constructor_storesWhatItIsGiven", async () => {
    const world = await freshWorld();
    const settlement = await deploy(world, 7 * DAY);
    expect(await settlement.minOperatorStake()).to.equal(MINIMUMS.operatorStake);
    expect(await settlement.minSeatStake()).to.equal(MINIMUMS.seatStake);
    expect(await settlement.minSeats()).to.equal(MINIMUMS.seats);
    expect(await settlement.token()).to.equal(await world.opg.getAddress());
    expect(await settlement.registry()).to.equal(await world.nodes.getAddress());
    expect(await settlement.owner()).to.equal(await world.owner.getAddress());
    expect((await settlement.state()).toString()).to.equal("0,0,0,1,0");
    expect((await settlement.terms(1)).window).to.equal(TERMS.window);
  });

  it("constructor_unbondingShorterThanASetMayBeOld_reverts", async () => {
    const world = await freshWorld();
    const { settlement } = world;
    for (const unbonding of [DAY, DAY + HOUR]) {
      await expect(deploy(world, unbonding))
        .to.be.revertedWithCustomError(settlement, "UnbondingTooShort")
        .withArgs(unbonding, DAY + HOUR);
    }
  });

  it("constructor_accountabilityLongerThanStakeIsSureToStay_reverts", async () => {
    const world = await freshWorld();
    await expect(deploy(world, 3 * DAY + HOUR - 1)).to.be.revertedWithCustomError(world.settlement, "InvalidTerms");
    await deploy(world, 3 * DAY + HOUR);
  });

  it("constructor_invalidTerms_reverts", async () => {
    const world = await freshWorld();
    await expect(deploy(world, 7 * DAY, { rewardBps: 2_001 })).to.be.revertedWithCustomError(
      world.settlement,
      "InvalidTerms",
    );
  });

  it("constructor_seatsWithoutStake_reverts", async () => {
    const world = await freshWorld();
    await expect(deploy(world, 7 * DAY, {}, { seatStake: 0n }))
      .to.be.revertedWithCustomError(world.settlement, "SeatStakeTooLow")
      .withArgs(0n, 1n);
    await deploy(world, 7 * DAY, {}, { seatStake: 1n, operatorStake: 0n, seats: 0n });
  });

  it("constructor_deployedCode_fitsTheLimit", async () => {
    const { settlement, connection } = await freshWorld();
    const code = await connection.ethers.provider.getCode(settlement);
    expect((code.length - 2) / 2).to.be.at.most(24_576);
  });
});
