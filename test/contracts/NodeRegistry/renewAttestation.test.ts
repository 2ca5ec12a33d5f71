import { expect } from "chai";
import { ZeroAddress } from "ethers";

import { pcrHashOf } from "../../../simulator/enclave/measure.ts";
import {
  attestAs,
  challengeFor,
  deployRegisteredEnclave,
  randomMeasurements,
  renewAttestation,
  startEnclave,
  synchronise,
} from "../../support/enclaveStage.ts";
import { freshState } from "../../support/freshState.ts";
import { latestTimestamp } from "../../support/protocol.ts";
import { nextBlockAt } from "../../support/stage.ts";

const HOUR = 3_600;
const DAY = 24 * HOUR;

describe("NodeRegistry.renewAttestation", () => {
  const state = freshState(deployRegisteredEnclave);

  it("prolongs a live enclave without a gap, and costs a quarter while its certificates are known", async () => {
    const stage = state();
    const { nodes, enclave, operator } = stage;
    const begun = await latestTimestamp(stage);
    await nextBlockAt(stage, begun + HOUR);
    const sent = await renewAttestation(stage, enclave);
    const at = await latestTimestamp(stage);
    expect((await sent.wait())!.gasUsed).to.be.lessThan(4_200_000n);
    const [, record] = await nodes.enclave(enclave.teeId);
    expect(record.attestedAt).to.equal(begun);
    expect(record.liveUntil).to.equal(at + DAY);
    expect(await nodes.findOperator(enclave.signer.address, 2, begun + DAY + 1)).to.equal(operator);
  });

  it("takes a new leaf certificate, since those of AWS last three hours", async () => {
    const stage = state();
    const { nodes, enclave } = stage;
    const [, { leaf }] = await nodes.enclave(enclave.teeId);
    await nextBlockAt(stage, (await latestTimestamp(stage)) + 4 * HOUR);
    await renewAttestation(stage, enclave);
    expect((await nodes.enclave(enclave.teeId))[1].leaf).not.to.equal(leaf);
  });

  it("afterItWoreOut_reverts", async () => {
    const stage = state();
    const { nodes, enclave } = stage;
    const { liveUntil } = (await nodes.enclave(enclave.teeId))[1];
    await nextBlockAt(stage, liveUntil - 2n);
    await renewAttestation(stage, enclave);
    await nextBlockAt(stage, liveUntil + BigInt(DAY) + 10n);
    await expect(renewAttestation(stage, enclave))
      .to.be.revertedWithCustomError(nodes, "TEENotEnabled")
      .withArgs(enclave.teeId);
  });

  it("ofAnEndedEnclave_reverts", async () => {
    const stage = state();
    const { nodes, enclave, operator } = stage;
    await nodes.connect(operator).disableTEE(enclave.teeId);
    await expect(renewAttestation(stage, enclave)).to.be.revertedWithCustomError(nodes, "TEENotEnabled");
  });

  it("byAnotherEnclave_reverts", async () => {
    const stage = state();
    const { nodes, enclave } = stage;
    const other = await startEnclave(stage);
    await expect(renewAttestation(stage, other, { teeId: enclave.teeId })).to.be.revertedWithCustomError(
      nodes,
      "UserDataMismatch",
    );
    await expect(renewAttestation(stage, other))
      .to.be.revertedWithCustomError(nodes, "TEENotFound")
      .withArgs(other.teeId);
  });

  it("fromAnotherImage_reverts_evenWhereThatIsApproved", async () => {
    const stage = state();
    const { nodes, enclave, operator, nodeId, clock } = stage;
    const measurements = randomMeasurements();
    await nodes.approvePCR(measurements, "2.0.0", 0);
    const nonce = await challengeFor(nodes, operator, nodeId);
    await synchronise(stage, clock);
    await expect(renewAttestation(stage, enclave, { document: attestAs(stage, enclave, measurements, nonce) }))
      .to.be.revertedWithCustomError(nodes, "PCRNotApproved")
      .withArgs(pcrHashOf(measurements), 0);
  });

  it("byAStranger_reverts", async () => {
    const stage = state();
    const { nodes, enclave, stranger, operator } = stage;
    await expect(nodes.connect(stranger).renewAttestation(enclave.teeId, 0, "0x"))
      .to.be.revertedWithCustomError(nodes, "NotOperator")
      .withArgs(stranger, operator);
  });

  it("sameDocumentTwice_reverts", async () => {
    const stage = state();
    const { nodes, enclave, operator, nodeId, clock } = stage;
    const nonce = await challengeFor(nodes, operator, nodeId);
    await synchronise(stage, clock);
    const document = enclave.attest(nonce);
    await renewAttestation(stage, enclave, { document });
    await expect(renewAttestation(stage, enclave, { document }))
      .to.be.revertedWithCustomError(nodes, "ChallengeMissing")
      .withArgs(nodeId);
    await challengeFor(nodes, operator, nodeId);
    await expect(renewAttestation(stage, enclave, { document })).to.be.revertedWithCustomError(nodes, "WrongChallenge");
  });

  it("does not reach back: what was not live before stays so", async () => {
    const stage = state();
    const { nodes, enclave } = stage;
    const [, { attestedAt }] = await nodes.enclave(enclave.teeId);
    await renewAttestation(stage, enclave);
    expect(await nodes.findOperator(enclave.signer.address, 2, attestedAt - 1n)).to.equal(ZeroAddress);
  });
});
