import { expect } from "chai";
import { id, ZeroAddress } from "ethers";

import { freshState } from "../../support/freshState.ts";
import { addKey, FAR_FUTURE, registerKeyless } from "../../support/nodes.ts";
import { latestTimestamp, testKey } from "../../support/protocol.ts";
import { deployStage, nextBlockAt } from "../../support/stage.ts";

const KEYS = [1, 2, 3].map(testKey);

describe("NodeRegistry.disable, enable", () => {
  const state = freshState(async () => {
    const stage = await deployStage();
    const nodeId = await registerKeyless(stage, stage.operator);
    for (const key of KEYS) await addKey(stage, stage.operator, nodeId, key);
    return { ...stage, nodeId };
  });

  it("disable_endsEveryKeyNow", async () => {
    const stage = state();
    const { nodes, operator, nodeId } = stage;
    const now = (await latestTimestamp(stage)) + 100;
    await nextBlockAt(stage, now);
    const tx = nodes.connect(operator).disable(nodeId);
    await expect(tx).to.emit(nodes, "NodeDisabled").withArgs(nodeId);
    for (const key of KEYS) {
      await expect(tx).to.emit(nodes, "SignerRevoked").withArgs(nodeId, key);
      expect(await nodes.findOperator(key, 0, now)).to.equal(ZeroAddress);
      expect(await nodes.findOperator(key, 0, now - 1)).to.equal(operator);
    }
    expect(await nodes.signersOf(nodeId)).to.deep.equal([]);
    expect((await nodes.node(nodeId)).enabled).to.equal(false);
  });

  it("disable_expiredKey_keepsItsEnd", async () => {
    const stage = state();
    const { nodes, operator, nodeId } = stage;
    const expiry = (await latestTimestamp(stage)) + 100;
    await addKey(stage, operator, nodeId, testKey(4), expiry);
    await nextBlockAt(stage, expiry + 100);
    await nodes.connect(operator).disable(nodeId);
    expect((await nodes.signers(testKey(4))).validUntil).to.equal(expiry);
  });

  it("disable_twice_reverts", async () => {
    const { nodes, operator, nodeId } = state();
    await nodes.connect(operator).disable(nodeId);
    await expect(nodes.connect(operator).disable(nodeId))
      .to.be.revertedWithCustomError(nodes, "NodeIsDisabled")
      .withArgs(nodeId);
  });

  it("disable_orEnable_byAnyoneElse_reverts", async () => {
    const { nodes, owner, operator, stranger, nodeId } = state();
    for (const caller of [owner, stranger]) {
      for (const call of [nodes.connect(caller).disable(nodeId), nodes.connect(caller).enable(nodeId)]) {
        await expect(call).to.be.revertedWithCustomError(nodes, "NotOperator").withArgs(caller, operator);
      }
    }
  });

  it("disable_orEnable_unknownNode_reverts", async () => {
    const { nodes, operator } = state();
    for (const call of [nodes.connect(operator).disable(id("?")), nodes.connect(operator).enable(id("?"))]) {
      await expect(call).to.be.revertedWithCustomError(nodes, "NodeNotFound").withArgs(id("?"));
    }
  });

  it("enable_afterDisable_takesNewKeysOnly", async () => {
    const stage = state();
    const { nodes, operator, nodeId } = stage;
    await nodes.connect(operator).disable(nodeId);
    await expect(nodes.connect(operator).enable(nodeId)).to.emit(nodes, "NodeEnabled").withArgs(nodeId);
    expect((await nodes.node(nodeId)).enabled).to.equal(true);
    await expect(addKey(stage, operator, nodeId, KEYS[0]!))
      .to.be.revertedWithCustomError(nodes, "SignerTaken")
      .withArgs(KEYS[0]);
    await addKey(stage, operator, nodeId, testKey(9));
    const now = await latestTimestamp(stage);
    expect(await nodes.findOperator(testKey(9), 0, now)).to.equal(operator);
    expect(await nodes.findOperator(KEYS[0]!, 0, now)).to.equal(ZeroAddress);
  });

  it("addSigner_whileDisabled_reverts", async () => {
    const stage = state();
    const { nodes, operator, nodeId } = stage;
    await nodes.connect(operator).disable(nodeId);
    await expect(addKey(stage, operator, nodeId, testKey(9), FAR_FUTURE))
      .to.be.revertedWithCustomError(nodes, "NodeIsDisabled")
      .withArgs(nodeId);
  });
});
