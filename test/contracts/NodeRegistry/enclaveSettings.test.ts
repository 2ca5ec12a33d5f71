import { expect } from "chai";

import { deployEnclaveStage, registerEnclave, startEnclave } from "../../support/enclaveStage.ts";
import { freshState } from "../../support/freshState.ts";
import { latestTimestamp } from "../../support/protocol.ts";

describe("NodeRegistry's settings for enclaves", () => {
  const state = freshState(deployEnclaveStage);

  it("addTEEType adds one to OpenGradient's two, once", async () => {
    const { nodes } = state();
    await expect(nodes.addTEEType(2, "DataNode")).to.emit(nodes, "TEETypeAdded").withArgs(2, "DataNode");
    const { ids, infos } = await nodes.getTEETypes();
    expect(ids).to.deep.equal([0n, 1n, 2n]);
    expect(infos.map(({ name }) => name)).to.deep.equal(["LLMProxy", "Validator", "DataNode"]);
    expect(await nodes.isValidTEEType(2)).to.equal(true);
    expect(await nodes.isValidTEEType(3)).to.equal(false);
    await expect(nodes.addTEEType(2, "again")).to.be.revertedWithCustomError(nodes, "TEETypeExists").withArgs(2);
  });

  it("setAttestationTtl holds for attestations to come, within an hour and 30 days", async () => {
    const stage = state();
    const { nodes } = stage;
    const before = await startEnclave(stage);
    await registerEnclave(stage, before);
    const { liveUntil } = (await nodes.enclave(before.teeId))[1];
    await expect(nodes.setAttestationTtl(7_200)).to.emit(nodes, "AttestationTtlSet").withArgs(7_200);
    const after = await startEnclave(stage);
    await registerEnclave(stage, after);
    expect((await nodes.enclave(before.teeId))[1].liveUntil).to.equal(liveUntil);
    expect((await nodes.enclave(after.teeId))[1].liveUntil).to.equal((await latestTimestamp(stage)) + 7_200);
    for (const ttl of [0, 3_599, 30 * 86_400 + 1]) {
      await expect(nodes.setAttestationTtl(ttl))
        .to.be.revertedWithCustomError(nodes, "InvalidTtl")
        .withArgs(ttl, 3_600, 30 * 86_400);
    }
  });

  it("setHeartbeatMaxAge decides who is active", async () => {
    const stage = state();
    const { nodes, connection } = stage;
    const enclave = await startEnclave(stage);
    await registerEnclave(stage, enclave);
    await connection.networkHelpers.time.increase(100);
    await expect(nodes.setHeartbeatMaxAge(50)).to.emit(nodes, "HeartbeatMaxAgeSet").withArgs(50);
    expect(await nodes.heartbeatMaxAge()).to.equal(50);
    expect(await nodes.isTEEActive(enclave.teeId)).to.equal(false);
    expect(await nodes.isTEEEnabled(enclave.teeId)).to.equal(true);
    await expect(nodes.setHeartbeatMaxAge(0)).to.be.revertedWithCustomError(nodes, "InvalidTtl");
  });

  it("setGuardian names who may revoke", async () => {
    const { nodes, challenger } = state();
    await expect(nodes.setGuardian(challenger)).to.emit(nodes, "GuardianSet").withArgs(challenger);
    expect(await nodes.guardian()).to.equal(challenger);
  });

  it("all of them are the owner's", async () => {
    const { nodes, stranger } = state();
    const strange = nodes.connect(stranger);
    for (const call of [
      strange.addTEEType(2, "x"),
      strange.setAttestationTtl(7_200),
      strange.setHeartbeatMaxAge(60),
      strange.setGuardian(stranger),
    ]) {
      await expect(call).to.be.revertedWithCustomError(nodes, "OwnableUnauthorizedAccount").withArgs(stranger);
    }
  });
});
