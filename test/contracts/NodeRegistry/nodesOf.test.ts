import { expect } from "chai";
import { id, MaxUint256, ZeroAddress } from "ethers";

import { freshState } from "../../support/freshState.ts";
import { ENDPOINT, nodeIdOf } from "../../support/nodes.ts";
import { Role } from "../../support/protocol.ts";
import { deployStage } from "../../support/stage.ts";

describe("NodeRegistry.nodesOf, nodeCount, node", () => {
  const state = freshState(async () => {
    const stage = await deployStage();
    const { nodes, operator } = stage;
    const ids: string[] = [];
    for (let i = 0; i < 3; ++i) {
      await nodes.connect(operator).register(Role.Inference, operator, `${ENDPOINT}/${i}`);
      ids.push(await nodeIdOf(stage, operator, i));
    }
    await nodes.connect(operator).register(Role.Data, operator, ENDPOINT);
    return { ...stage, ids };
  });

  it("nodesOf_pages_coverAllInOrder", async () => {
    const { nodes, ids } = state();
    const [first, records] = await nodes.nodesOf(Role.Inference, 0, 2);
    const [second] = await nodes.nodesOf(Role.Inference, 2, 2);
    expect([...first, ...second]).to.deep.equal(ids);
    expect(records.map((each) => each.endpoint)).to.deep.equal([`${ENDPOINT}/0`, `${ENDPOINT}/1`]);
  });

  it("nodesOf_beyondTheEnd_isEmptyAndNeverReverts", async () => {
    const { nodes } = state();
    for (const [offset, limit] of [
      [3, 1],
      [0, 0],
      [MaxUint256, MaxUint256],
    ] as const) {
      const [page] = await nodes.nodesOf(Role.Inference, offset, limit);
      expect(page).to.deep.equal([]);
    }
    const [all] = await nodes.nodesOf(Role.Inference, 1, MaxUint256);
    expect(all.length).to.equal(2);
  });

  it("nodesOf_disabledNodes_stayListed", async () => {
    const { nodes, operator, ids } = state();
    await nodes.connect(operator).disable(ids[1]!);
    const [page, records] = await nodes.nodesOf(Role.Inference, 0, 10);
    expect(page).to.deep.equal(ids);
    expect(records.map((each) => each.enabled)).to.deep.equal([true, false, true]);
  });

  it("nodeCount_isPerRole", async () => {
    const { nodes } = state();
    const counts = await Promise.all(Object.values(Role).map((role) => nodes.nodeCount(role)));
    expect(counts).to.deep.equal([3n, 1n, 0n]);
  });

  it("node_unknown_isAllZero", async () => {
    const { nodes } = state();
    const record = await nodes.node(id("?"));
    expect([record.operator, record.enabled, record.endpoint]).to.deep.equal([ZeroAddress, false, ""]);
  });
});
