import { expect } from "chai";
import { MaxUint256, ZeroAddress } from "ethers";

import { freshState } from "../../support/freshState.ts";
import { addKey, registerKeyless } from "../../support/nodes.ts";
import { latestTimestamp, testKey } from "../../support/protocol.ts";
import { deployStage, nextBlockAt } from "../../support/stage.ts";

describe("NodeRegistry.findOperator", () => {
  const key = testKey(1);
  const state = freshState(async () => {
    const stage = await deployStage();
    const nodeId = await registerKeyless(stage, stage.operator);
    const from = (await latestTimestamp(stage)) + 10;
    await nextBlockAt(stage, from);
    await addKey(stage, stage.operator, nodeId, key, from + 100);
    return { ...stage, nodeId, from };
  });

  it("operatorOf_interval_isHalfOpen", async () => {
    const { nodes, operator, from } = state();
    expect(await nodes.findOperator(key, 0, from - 1)).to.equal(ZeroAddress);
    expect(await nodes.findOperator(key, 0, from)).to.equal(operator);
    expect(await nodes.findOperator(key, 0, from + 99)).to.equal(operator);
    expect(await nodes.findOperator(key, 0, from + 100)).to.equal(ZeroAddress);
    expect(await nodes.findOperator(key, 0, MaxUint256)).to.equal(ZeroAddress);
  });

  it("operatorOf_modesOfAKey_areVanillaAndZkml", async () => {
    const { nodes, operator, from } = state();
    for (const mode of [0, 1]) expect(await nodes.findOperator(key, mode, from)).to.equal(operator);
    for (const mode of [2, 3, 7, 8, 255]) expect(await nodes.findOperator(key, mode, from)).to.equal(ZeroAddress);
  });

  it("operatorOf_unknownKey_isZero", async () => {
    const { nodes, from } = state();
    expect(await nodes.findOperator(testKey(2), 0, from)).to.equal(ZeroAddress);
    expect(await nodes.findOperator(ZeroAddress, 0, 0)).to.equal(ZeroAddress);
  });

  it("operatorOf_pastOfARevokedKey_neverChanges", async () => {
    const stage = state();
    const { nodes, operator, nodeId, from } = stage;
    await nextBlockAt(stage, from + 1);
    await nodes.connect(operator).revokeSigner(key);
    await nodes.connect(operator).disable(nodeId);
    await nodes.connect(operator).enable(nodeId);
    expect(await nodes.findOperator(key, 0, from)).to.equal(operator);
  });
});
