import { expect } from "chai";
import { ZeroAddress } from "ethers";

import { freshState } from "../../support/freshState.ts";
import { registerKeyless } from "../../support/nodes.ts";
import { opgWei, Role } from "../../support/protocol.ts";
import { deployStage } from "../../support/stage.ts";
import { NodeRegistry__factory } from "../../../typechain-types/index.ts";

describe("NodeRegistry.setMinimumStake, constructor", () => {
  const state = freshState(deployStage);

  it("constructor_settings_areStored", async () => {
    const { nodes, staking, owner } = state();
    expect(await nodes.staking()).to.equal(staking);
    expect(await nodes.owner()).to.equal(owner);
  });

  it("constructor_zeroOwner_reverts", async () => {
    const { nodes, staking, owner } = state();
    await expect(new NodeRegistry__factory(owner).deploy(staking, ZeroAddress))
      .to.be.revertedWithCustomError(nodes, "OwnableInvalidOwner")
      .withArgs(ZeroAddress);
  });

  it("setMinimumStake_byOwner_isPerRole", async () => {
    const { nodes } = state();
    await expect(nodes.setMinimumStake(Role.Data, opgWei(5)))
      .to.emit(nodes, "MinimumStakeSet")
      .withArgs(Role.Data, opgWei(5));
    expect(await nodes.minimumStake(Role.Data)).to.equal(opgWei(5));
    expect(await nodes.minimumStake(Role.Inference)).to.equal(0n);
  });

  it("setMinimumStake_registeredNodes_stay", async () => {
    const stage = state();
    const nodeId = await registerKeyless(stage, stage.operator);
    await stage.nodes.setMinimumStake(Role.Inference, opgWei(5));
    expect((await stage.nodes.node(nodeId)).enabled).to.equal(true);
  });

  it("setMinimumStake_byAnyoneElse_reverts", async () => {
    const { nodes, operator } = state();
    await expect(nodes.connect(operator).setMinimumStake(Role.Data, 0))
      .to.be.revertedWithCustomError(nodes, "OwnableUnauthorizedAccount")
      .withArgs(operator);
  });
});
