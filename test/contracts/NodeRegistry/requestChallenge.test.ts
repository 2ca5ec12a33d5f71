import { expect } from "chai";
import { AbiCoder, id, keccak256 } from "ethers";

import { challengeFor, deployEnclaveStage, LLM_PROXY } from "../../support/enclaveStage.ts";
import { freshState } from "../../support/freshState.ts";

describe("NodeRegistry.requestChallenge", () => {
  const state = freshState(deployEnclaveStage);

  it("emits and returns a challenge that is never the same", async () => {
    const { nodes, operator, nodeId } = state();
    const expected = await nodes.connect(operator).requestChallenge.staticCall(nodeId, LLM_PROXY);
    expect(expected).to.have.length(66);
    const first = await challengeFor(nodes, operator, nodeId);
    const second = await challengeFor(nodes, operator, nodeId);
    expect(first).not.to.deep.equal(second);
  });

  it("differs in the same block for two nodes, and for two types of one node", async () => {
    const { nodes, operator, otherOperator, nodeId } = state();
    await nodes.connect(otherOperator).register(0, otherOperator, "https://other.example");
    const [otherNode] = (await nodes.nodesOf(0, 1, 1)).nodeIds;
    const challenges = await Promise.all([
      nodes.connect(operator).requestChallenge.staticCall(nodeId, 0),
      nodes.connect(operator).requestChallenge.staticCall(nodeId, 1),
      nodes.connect(otherOperator).requestChallenge.staticCall(otherNode!, 0),
    ]);
    expect(new Set(challenges).size).to.equal(3);
  });

  it("callerIsNotTheOperator_reverts", async () => {
    const { nodes, stranger, operator, nodeId } = state();
    await expect(nodes.connect(stranger).requestChallenge(nodeId, LLM_PROXY))
      .to.be.revertedWithCustomError(nodes, "NotOperator")
      .withArgs(stranger, operator);
  });

  it("unknownNode_reverts", async () => {
    const { nodes, operator } = state();
    const unknown = keccak256(AbiCoder.defaultAbiCoder().encode(["bytes32"], [id("nobody")]));
    await expect(nodes.connect(operator).requestChallenge(unknown, LLM_PROXY))
      .to.be.revertedWithCustomError(nodes, "NodeNotFound")
      .withArgs(unknown);
  });

  it("unknownType_reverts", async () => {
    const { nodes, operator, nodeId } = state();
    await expect(nodes.connect(operator).requestChallenge(nodeId, 7))
      .to.be.revertedWithCustomError(nodes, "InvalidTEEType")
      .withArgs(7);
  });
});
