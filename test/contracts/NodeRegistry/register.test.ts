import { expect } from "chai";
import { ZeroAddress } from "ethers";

import { fieldsOf } from "../../support/fieldsOf.ts";
import { freshState } from "../../support/freshState.ts";
import { ENDPOINT, nodeIdOf } from "../../support/nodes.ts";
import { latestTimestamp, opgWei, Role } from "../../support/protocol.ts";
import { deployStage } from "../../support/stage.ts";

describe("NodeRegistry.register", () => {
  const state = freshState(deployStage);

  it("register_first_storesTheNode", async () => {
    const stage = state();
    const { nodes, operator, payee } = stage;
    const nodeId = await nodeIdOf(stage, operator, 0);
    await expect(nodes.connect(operator).register(Role.Data, payee, ENDPOINT))
      .to.emit(nodes, "NodeRegistered")
      .withArgs(nodeId, operator, Role.Data, payee, ENDPOINT);
    expect(fieldsOf(await nodes.node(nodeId))).to.deep.equal({
      operator: operator.address,
      role: BigInt(Role.Data),
      enabled: true,
      registeredAt: BigInt(await latestTimestamp(stage)),
      payout: payee.address,
      endpoint: ENDPOINT,
    });
  });

  it("register_more_getIdsOfTheirOwn", async () => {
    const stage = state();
    const { nodes, operator, otherOperator } = stage;
    const register = (who = operator) => nodes.connect(who).register(Role.Inference, who, ENDPOINT);
    await register();
    await register();
    await register(otherOperator);
    const ids = [
      await nodeIdOf(stage, operator, 0),
      await nodeIdOf(stage, operator, 1),
      await nodeIdOf(stage, otherOperator, 0),
    ];
    const [listed] = await nodes.nodesOf(Role.Inference, 0, 10);
    expect(listed).to.deep.equal(ids);
  });

  it("register_withExactlyTheMinimumStake_succeeds", async () => {
    const { nodes, staking, operator } = state();
    await nodes.setMinimumStake(Role.Inference, opgWei(50));
    await staking.connect(operator).stake(Role.Inference, opgWei(50));
    await expect(nodes.connect(operator).register(Role.Inference, operator, ENDPOINT)).to.emit(nodes, "NodeRegistered");
  });

  it("register_belowTheMinimumStake_reverts", async () => {
    const { nodes, staking, operator } = state();
    await nodes.setMinimumStake(Role.Inference, opgWei(50));
    await staking.connect(operator).stake(Role.Inference, opgWei(50) - 1n);
    await staking.connect(operator).stake(Role.Data, opgWei(50));
    await expect(nodes.connect(operator).register(Role.Inference, operator, ENDPOINT))
      .to.be.revertedWithCustomError(nodes, "InsufficientStake")
      .withArgs(opgWei(50) - 1n, opgWei(50));
  });

  it("register_stakeThatIsLeaving_doesNotCount", async () => {
    const { nodes, staking, operator } = state();
    await nodes.setMinimumStake(Role.Inference, opgWei(50));
    await staking.connect(operator).stake(Role.Inference, opgWei(50));
    await staking.connect(operator).unstake(Role.Inference, 1n);
    await expect(nodes.connect(operator).register(Role.Inference, operator, ENDPOINT))
      .to.be.revertedWithCustomError(nodes, "InsufficientStake")
      .withArgs(opgWei(50) - 1n, opgWei(50));
  });

  it("register_zeroPayout_reverts", async () => {
    const { nodes, operator } = state();
    await expect(nodes.connect(operator).register(Role.Inference, ZeroAddress, ENDPOINT)).to.be.revertedWithCustomError(
      nodes,
      "InvalidPayout",
    );
  });

  it("register_endpointOfNoOrTooManyBytes_reverts", async () => {
    const { nodes, operator } = state();
    for (const length of [0, 257]) {
      await expect(nodes.connect(operator).register(Role.Inference, operator, "x".repeat(length)))
        .to.be.revertedWithCustomError(nodes, "InvalidEndpoint")
        .withArgs(length, 256);
    }
    await nodes.connect(operator).register(Role.Inference, operator, "x".repeat(256));
  });

  it("register_unknownRole_reverts", async () => {
    const { connection, nodes, operator } = state();
    await expect(nodes.connect(operator).register(3, operator, ENDPOINT)).to.be.revertedWithoutReason(
      connection.ethers,
    );
  });
});
