import { expect } from "chai";
import { ZeroAddress } from "ethers";

import {
  deployRegisteredEnclave,
  registerEnclave,
  renewAttestation,
  startEnclave,
} from "../../support/enclaveStage.ts";
import { freshState } from "../../support/freshState.ts";
import { latestTimestamp } from "../../support/protocol.ts";
import { nextBlockAt } from "../../support/stage.ts";

describe("NodeRegistry.disableTEE", () => {
  const state = freshState(deployRegisteredEnclave);

  it("ends the enclave's receipts now; what it signed before stays valid", async () => {
    const stage = state();
    const { nodes, enclave, operator } = stage;
    const at = (await latestTimestamp(stage)) + 50;
    await nextBlockAt(stage, at);
    await expect(nodes.connect(operator).disableTEE(enclave.teeId))
      .to.emit(nodes, "TEEDisabled")
      .withArgs(enclave.teeId);
    expect(await nodes.findOperator(enclave.signer.address, 2, at - 1)).to.equal(operator);
    expect(await nodes.findOperator(enclave.signer.address, 2, at)).to.equal(ZeroAddress);
    expect(await nodes.getTEEsByType(0)).to.deep.equal([]);
    expect((await nodes.getTEE(enclave.teeId)).enabled).to.equal(false);
  });

  it("is the operator's, the owner's and the guardian's", async () => {
    const stage = state();
    const { nodes, enclave, operator, owner, challenger } = stage;
    await nodes.setGuardian(challenger);
    for (const caller of [operator, owner, challenger]) {
      await nodes.connect(caller).disableTEE.staticCall(enclave.teeId);
    }
  });

  it("byAStranger_whileItLives_reverts", async () => {
    const { nodes, enclave, stranger } = state();
    await expect(nodes.connect(stranger).disableTEE(enclave.teeId))
      .to.be.revertedWithCustomError(nodes, "EnclaveIsLive")
      .withArgs(enclave.teeId);
  });

  it("is anybody's once the attestation has worn out", async () => {
    const { nodes, enclave, stranger, connection } = state();
    const { liveUntil } = (await nodes.enclave(enclave.teeId))[1];
    await connection.networkHelpers.time.increaseTo(liveUntil);
    await nodes.connect(stranger).disableTEE(enclave.teeId);
    expect(await nodes.getTEEsByType(0)).to.deep.equal([]);
    expect((await nodes.enclave(enclave.teeId))[1].liveUntil).to.equal(liveUntil);
  });

  it("is anybody's once a certificate at any level above it was revoked", async () => {
    const { nodes, enclave, attestation, stranger, connection } = state();
    let hash = (await nodes.enclave(enclave.teeId))[1].leaf;
    const levels = [];
    for (;;) {
      const { id, parent } = await attestation.certificateOf(hash);
      levels.push(id);
      if (BigInt(parent) === 0n) break;
      hash = parent;
    }
    expect(levels).to.have.length(5);
    for (const id of levels) {
      const snapshot = await connection.networkHelpers.takeSnapshot();
      await attestation.revokeCertificate(id);
      await nodes.connect(stranger).disableTEE(enclave.teeId);
      await snapshot.restore();
    }
    await expect(nodes.connect(stranger).disableTEE(enclave.teeId)).to.be.revertedWithCustomError(
      nodes,
      "EnclaveIsLive",
    );
  });

  it("twice_reverts", async () => {
    const { nodes, enclave, operator } = state();
    await nodes.connect(operator).disableTEE(enclave.teeId);
    await expect(nodes.connect(operator).disableTEE(enclave.teeId))
      .to.be.revertedWithCustomError(nodes, "TEENotEnabled")
      .withArgs(enclave.teeId);
  });

  it("is for ever: the same enclave is not registered again", async () => {
    const stage = state();
    const { nodes, enclave, operator } = stage;
    await nodes.connect(operator).disableTEE(enclave.teeId);
    await expect(registerEnclave(stage, enclave)).to.be.revertedWithCustomError(nodes, "TEEAlreadyExists");
    await expect(renewAttestation(stage, enclave)).to.be.revertedWithCustomError(nodes, "TEENotEnabled");
  });

  it("keeps the list of the others whole, whichever goes", async () => {
    const stage = state();
    const { nodes, enclave, operator } = stage;
    const enclaves = [enclave];
    for (let i = 0; i < 3; i++) {
      enclaves.push(await startEnclave(stage));
      await registerEnclave(stage, enclaves.at(-1)!);
    }
    const left = new Set(enclaves.map(({ teeId }) => teeId));
    for (const i of [1, 3, 0, 2]) {
      const { teeId } = enclaves[i]!;
      await nodes.connect(operator).disableTEE(teeId);
      left.delete(teeId);
      expect(await nodes.getTEEsByType(0)).to.have.members([...left]);
    }
  });
});
