import { expect } from "chai";
import { id, ZeroAddress } from "ethers";

import { freshState } from "../../support/freshState.ts";
import { ENDPOINT, registerKeyless } from "../../support/nodes.ts";
import { deployStage } from "../../support/stage.ts";

describe("NodeRegistry.update", () => {
  const state = freshState(async () => {
    const stage = await deployStage();
    return { ...stage, nodeId: await registerKeyless(stage, stage.operator) };
  });

  it("update_byItsOperator_changesPayoutAndEndpoint", async () => {
    const { nodes, operator, payee, nodeId } = state();
    await expect(nodes.connect(operator).update(nodeId, payee, "https://elsewhere.example"))
      .to.emit(nodes, "NodeUpdated")
      .withArgs(nodeId, payee, "https://elsewhere.example");
    const node = await nodes.node(nodeId);
    expect([node.operator, node.payout, node.endpoint]).to.deep.equal([
      operator.address,
      payee.address,
      "https://elsewhere.example",
    ]);
  });

  it("update_shorterEndpoint_leavesNothingOfTheOld", async () => {
    const { nodes, operator, nodeId } = state();
    await nodes.connect(operator).update(nodeId, operator, "x".repeat(200));
    await nodes.connect(operator).update(nodeId, operator, "y");
    expect((await nodes.node(nodeId)).endpoint).to.equal("y");
  });

  it("update_byAnyoneElse_reverts", async () => {
    const { nodes, owner, operator, stranger, nodeId } = state();
    for (const caller of [owner, stranger]) {
      await expect(nodes.connect(caller).update(nodeId, caller, ENDPOINT))
        .to.be.revertedWithCustomError(nodes, "NotOperator")
        .withArgs(caller, operator);
    }
  });

  it("update_unknownNode_reverts", async () => {
    const { nodes, operator } = state();
    await expect(nodes.connect(operator).update(id("nobody"), operator, ENDPOINT))
      .to.be.revertedWithCustomError(nodes, "NodeNotFound")
      .withArgs(id("nobody"));
  });

  it("update_invalidPayoutOrEndpoint_reverts", async () => {
    const { nodes, operator, nodeId } = state();
    await expect(nodes.connect(operator).update(nodeId, ZeroAddress, ENDPOINT)).to.be.revertedWithCustomError(
      nodes,
      "InvalidPayout",
    );
    await expect(nodes.connect(operator).update(nodeId, operator, ""))
      .to.be.revertedWithCustomError(nodes, "InvalidEndpoint")
      .withArgs(0, 256);
  });
});
