import { expect } from "chai";
import { ZeroAddress } from "ethers";

import { pcrHashOf } from "../../../simulator/enclave/measure.ts";
import {
  deployRegisteredEnclave,
  heartbeatOf,
  LLM_PROXY,
  registerEnclave,
  startEnclave,
} from "../../support/enclaveStage.ts";
import { freshState } from "../../support/freshState.ts";
import { latestTimestamp } from "../../support/protocol.ts";
import { nextBlockAt } from "../../support/stage.ts";

describe("NodeRegistry.revokePCR", () => {
  const state = freshState(deployRegisteredEnclave);

  it("disables whatever runs the image from this second on, and nothing it signed before", async () => {
    const stage = state();
    const { nodes, enclave, operator, measurements } = stage;
    const second = await startEnclave(stage);
    await registerEnclave(stage, second);
    const at = (await latestTimestamp(stage)) + 100;
    await nextBlockAt(stage, at);
    await expect(nodes.revokePCR(pcrHashOf(measurements), LLM_PROXY))
      .to.emit(nodes, "PCRRevoked")
      .withArgs(pcrHashOf(measurements), LLM_PROXY);
    for (const { signer, teeId } of [enclave, second]) {
      expect(await nodes.findOperator(signer.address, 2, at - 1)).to.equal(operator);
      expect(await nodes.findOperator(signer.address, 2, at)).to.equal(ZeroAddress);
      expect(await nodes.isLiveAt(teeId, at)).to.equal(false);
      expect(await nodes.isTEEActive(teeId)).to.equal(false);
      expect((await nodes.signers(signer.address)).validUntil).to.equal(at);
    }
    expect(await nodes.getActiveTEEs(LLM_PROXY)).to.deep.equal([]);
    expect(await nodes.getEnabledTEEs(LLM_PROXY)).to.deep.equal([]);
    expect(await nodes.isPCRApproved(LLM_PROXY, pcrHashOf(measurements))).to.equal(false);
    expect(await nodes.getApprovedPCRs()).to.deep.equal([]);
  });

  it("costs the same however many enclaves run it", async () => {
    const stage = state();
    const { nodes, measurements, connection } = stage;
    const snapshot = await connection.networkHelpers.takeSnapshot();
    const revoke = async () => (await (await nodes.revokePCR(pcrHashOf(measurements), LLM_PROXY)).wait())!.gasUsed;
    const one = await revoke();
    await snapshot.restore();
    for (let i = 0; i < 3; i++) await registerEnclave(stage, await startEnclave(stage));
    expect(await revoke()).to.equal(one);
  });

  it("a heartbeat before it does not vouch for what is dated after it", async () => {
    const stage = state();
    const { nodes, enclave, measurements, operator } = stage;
    const at = (await latestTimestamp(stage)) + 100;
    const signature = await heartbeatOf(stage, enclave, at);
    await nextBlockAt(stage, at);
    await nodes.heartbeat(enclave.teeId, at, signature);
    await nextBlockAt(stage, at);
    await nodes.revokePCR(pcrHashOf(measurements), LLM_PROXY);
    expect(await nodes.findOperator(enclave.signer.address, 2, at - 1)).to.equal(operator);
    expect(await nodes.findOperator(enclave.signer.address, 2, at)).to.equal(ZeroAddress);
  });

  it("anybody may then take its enclaves off the list", async () => {
    const { nodes, enclave, measurements, stranger } = state();
    await nodes.revokePCR(pcrHashOf(measurements), LLM_PROXY);
    await nodes.connect(stranger).disableTEE(enclave.teeId);
    expect(await nodes.getTEEsByType(LLM_PROXY)).to.deep.equal([]);
  });

  it("is the guardian's too, and nobody else's", async () => {
    const { nodes, measurements, challenger, stranger } = state();
    await expect(nodes.connect(stranger).revokePCR(pcrHashOf(measurements), LLM_PROXY))
      .to.be.revertedWithCustomError(nodes, "NotGuardian")
      .withArgs(stranger);
    await nodes.setGuardian(challenger);
    await nodes.connect(challenger).revokePCR(pcrHashOf(measurements), LLM_PROXY);
  });

  it("notApproved_reverts", async () => {
    const { nodes, measurements } = state();
    await expect(nodes.revokePCR(pcrHashOf(measurements), 1))
      .to.be.revertedWithCustomError(nodes, "PCRNotApproved")
      .withArgs(pcrHashOf(measurements), 1);
  });
});
