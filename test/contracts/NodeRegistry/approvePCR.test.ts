import { expect } from "chai";

import { pcrHashOf } from "../../../simulator/enclave/measure.ts";
import { deployEnclaveStage, LLM_PROXY, randomMeasurements } from "../../support/enclaveStage.ts";
import { freshState } from "../../support/freshState.ts";
import { latestTimestamp } from "../../support/protocol.ts";

describe("NodeRegistry.approvePCR", () => {
  const state = freshState(deployEnclaveStage);

  it("lets an image run enclaves of one type, and shows it", async () => {
    const stage = state();
    const { nodes, measurements } = stage;
    const added = randomMeasurements();
    const pcrHash = pcrHashOf(added);
    await expect(nodes.approvePCR(added, "2.0.0", 1))
      .to.emit(nodes, "PCRApproved")
      .withArgs(pcrHash, 1, "2.0.0");
    expect(await nodes.isPCRApproved(1, pcrHash)).to.equal(true);
    expect(await nodes.isPCRApproved(LLM_PROXY, pcrHash)).to.equal(false);
    expect(await nodes.computePCRHash(added)).to.equal(pcrHash);
    expect((await nodes.getApprovedPCRs()).map(({ pcrHash, teeType }) => [pcrHash, teeType])).to.deep.equal([
      [pcrHashOf(measurements), 0n],
      [pcrHash, 1n],
    ]);
    const image = (await nodes.images())[1]!;
    expect([image.version, image.approvedAt, image.revokedAt]).to.deep.equal([
      "2.0.0",
      BigInt(await latestTimestamp(stage)),
      0n,
    ]);
  });

  it("zeroMeasurements_areDebugModes_andRevert", async () => {
    const { nodes } = state();
    const zero = Buffer.alloc(48);
    for (const [index, pcr] of (["pcr0", "pcr1", "pcr2"] as const).entries()) {
      await expect(nodes.approvePCR({ ...randomMeasurements(), [pcr]: zero }, "debug", LLM_PROXY))
        .to.be.revertedWithCustomError(nodes, "InvalidPCR")
        .withArgs(index, 48);
    }
    // any bit of the 48 bytes counts
    const last = Buffer.concat([Buffer.alloc(47), Buffer.from([1])]);
    await nodes.approvePCR({ pcr0: last, pcr1: last, pcr2: last }, "last bit", LLM_PROXY);
  });

  it("measurementsOfAnotherLength_revert, so that no other three make the same hash", async () => {
    const { nodes, measurements } = state();
    const { pcr0, pcr1, pcr2 } = measurements;
    const moved = { pcr0: Buffer.concat([pcr0, pcr1.subarray(0, 1)]), pcr1: pcr1.subarray(1), pcr2 };
    await expect(nodes.approvePCR(moved, "moved", 1))
      .to.be.revertedWithCustomError(nodes, "InvalidPCR")
      .withArgs(0, 49);
  });

  it("approvedOrRevokedBefore_reverts", async () => {
    const { nodes, measurements } = state();
    const approve = () => nodes.approvePCR(measurements, "again", LLM_PROXY);
    const expected = [pcrHashOf(measurements), LLM_PROXY];
    await expect(approve())
      .to.be.revertedWithCustomError(nodes, "PCRAlreadyExists")
      .withArgs(...expected);
    await nodes.revokePCR(pcrHashOf(measurements), LLM_PROXY);
    await expect(approve())
      .to.be.revertedWithCustomError(nodes, "PCRAlreadyExists")
      .withArgs(...expected);
  });

  it("unknownType_reverts", async () => {
    const { nodes } = state();
    await expect(nodes.approvePCR(randomMeasurements(), "1", 9))
      .to.be.revertedWithCustomError(nodes, "InvalidTEEType")
      .withArgs(9);
  });

  it("anybodyButTheOwner_reverts, the guardian too", async () => {
    const { nodes, stranger, challenger } = state();
    await nodes.setGuardian(challenger);
    for (const caller of [stranger, challenger]) {
      await expect(nodes.connect(caller).approvePCR(randomMeasurements(), "1", LLM_PROXY))
        .to.be.revertedWithCustomError(nodes, "OwnableUnauthorizedAccount")
        .withArgs(caller);
    }
  });
});
