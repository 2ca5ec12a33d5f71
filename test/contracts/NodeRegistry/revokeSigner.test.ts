import { expect } from "chai";
import { ZeroAddress, ZeroHash } from "ethers";

import { freshState } from "../../support/freshState.ts";
import { addKey, registerKeyless } from "../../support/nodes.ts";
import { latestTimestamp, testKey } from "../../support/protocol.ts";
import { deployStage, nextBlockAt } from "../../support/stage.ts";

describe("NodeRegistry.revokeSigner", () => {
  const state = freshState(async () => {
    const stage = await deployStage();
    const nodeId = await registerKeyless(stage, stage.operator);
    for (const number of [1, 2, 3]) await addKey(stage, stage.operator, nodeId, testKey(number));
    return { ...stage, nodeId };
  });

  it("revokeSigner_endsTheKeyNowAndNotBefore", async () => {
    const stage = state();
    const { nodes, operator, nodeId } = stage;
    const now = (await latestTimestamp(stage)) + 100;
    await nextBlockAt(stage, now);
    await expect(nodes.connect(operator).revokeSigner(testKey(1)))
      .to.emit(nodes, "SignerRevoked")
      .withArgs(nodeId, testKey(1));
    expect(await nodes.findOperator(testKey(1), 0, now - 1)).to.equal(operator);
    expect(await nodes.findOperator(testKey(1), 0, now)).to.equal(ZeroAddress);
    expect(await nodes.signersOf(nodeId)).to.deep.equal([testKey(3).address, testKey(2).address]);
  });

  it("revokeSigner_inTheSecondItWasAdded_wasNeverValid", async () => {
    const stage = state();
    const { connection, nodes, operator, nodeId } = stage;
    const now = (await latestTimestamp(stage)) + 10;
    await connection.networkHelpers.time.setNextBlockTimestamp(now);
    await addKey(stage, operator, nodeId, testKey(4));
    await connection.networkHelpers.time.setNextBlockTimestamp(now);
    await nodes.connect(operator).revokeSigner(testKey(4));
    expect(await nodes.findOperator(testKey(4), 0, now)).to.equal(ZeroAddress);
  });

  it("revokeSigner_others_areUntouched", async () => {
    const stage = state();
    const { nodes, operator } = stage;
    await nodes.connect(operator).revokeSigner(testKey(2));
    const now = await latestTimestamp(stage);
    for (const number of [1, 3]) expect(await nodes.findOperator(testKey(number), 0, now)).to.equal(operator);
  });

  it("revokeSigner_twice_reverts", async () => {
    const { nodes, operator } = state();
    await nodes.connect(operator).revokeSigner(testKey(1));
    await expect(nodes.connect(operator).revokeSigner(testKey(1)))
      .to.be.revertedWithCustomError(nodes, "SignerNotLive")
      .withArgs(testKey(1));
  });

  it("revokeSigner_expired_keepsItsEnd", async () => {
    const stage = state();
    const { nodes, operator, nodeId } = stage;
    const expiry = (await latestTimestamp(stage)) + 100;
    await addKey(stage, operator, nodeId, testKey(4), expiry);
    await nextBlockAt(stage, expiry + 100);
    await nodes.connect(operator).revokeSigner(testKey(4));
    expect((await nodes.signers(testKey(4))).validUntil).to.equal(expiry);
  });

  it("revokeSigner_byAnyoneElse_reverts", async () => {
    const { nodes, owner, operator, otherOperator } = state();
    for (const caller of [owner, otherOperator]) {
      await expect(nodes.connect(caller).revokeSigner(testKey(1)))
        .to.be.revertedWithCustomError(nodes, "NotOperator")
        .withArgs(caller, operator);
    }
  });

  it("revokeSigner_unknownKey_reverts", async () => {
    const { nodes, operator } = state();
    await expect(nodes.connect(operator).revokeSigner(testKey(9)))
      .to.be.revertedWithCustomError(nodes, "NodeNotFound")
      .withArgs(ZeroHash);
  });
});
