import { expect } from "chai";
import { getAddress, hexlify, keccak256, ZeroAddress } from "ethers";

import { pcrHashOf } from "../../../simulator/enclave/measure.ts";
import { CertificateChain } from "../../../simulator/enclave/CertificateChain.ts";
import { testRoot } from "../../../simulator/enclave/testRoot.ts";
import { selfSignedTls } from "../../../simulator/enclave/tlsCertificate.ts";
import {
  challengeFor,
  deployEnclaveStage,
  GAS_CAP,
  LLM_PROXY,
  randomMeasurements,
  registerEnclave,
  startEnclave,
  synchronise,
} from "../../support/enclaveStage.ts";
import { freshState } from "../../support/freshState.ts";
import { addKey, nodeIdOf, registerKeyless } from "../../support/nodes.ts";
import { latestTimestamp, testKey } from "../../support/protocol.ts";
import { nextBlockAt } from "../../support/stage.ts";

const DAY = 86_400;

describe("NodeRegistry.registerEnclave", () => {
  const state = freshState(deployEnclaveStage);

  it("registers by one transaction below the gas cap, nothing staged before", async () => {
    const stage = state();
    const { nodes, operator, nodeId, measurements } = stage;
    const enclave = await startEnclave({ ...stage, authorities: new CertificateChain(testRoot()) });
    const sent = await registerEnclave(stage, enclave);
    const { gasUsed } = (await sent.wait())!;
    expect(gasUsed).to.be.lessThan(16_400_000n);

    const at = await latestTimestamp(stage);
    await expect(sent).to.emit(nodes, "TEERegistered").withArgs(enclave.teeId, operator, LLM_PROXY);
    await expect(sent)
      .to.emit(nodes, "EnclaveAttested")
      .withArgs(enclave.teeId, nodeId, getAddress(enclave.signer.address), pcrHashOf(measurements), 0, at + DAY);
    const [key, record] = await nodes.enclave(enclave.teeId);
    expect(key.toLowerCase()).to.equal(enclave.signer.address);
    expect(record.operator).to.equal(operator);
    expect(record.attestedAt).to.equal(at);
    expect(record.liveUntil).to.equal(at + DAY);
    expect(record.heartbeatAt).to.equal(at);
    expect(record.nodeId).to.equal(nodeId);
  });

  it("from then on, and not before, its key signs in mode TEE and in no other", async () => {
    const stage = state();
    const { nodes, operator } = stage;
    const enclave = await startEnclave(stage);
    await registerEnclave(stage, enclave);
    const at = await latestTimestamp(stage);
    const key = enclave.signer.address;
    expect(await nodes.findOperator(key, 2, at)).to.equal(operator);
    expect(await nodes.findOperator(key, 2, at - 1)).to.equal(ZeroAddress);
    expect(await nodes.findOperator(key, 2, at + DAY - 1)).to.equal(operator);
    expect(await nodes.findOperator(key, 2, at + DAY)).to.equal(ZeroAddress);
    expect(await nodes.findOperator(key, 0, at)).to.equal(ZeroAddress);
    expect(await nodes.findOperator(key, 1, at)).to.equal(ZeroAddress);
    expect(Object.values(await nodes.signers(key))).to.deep.equal([operator.address, BigInt(at), BigInt(at + DAY), 4n]);
  });

  it("a second enclave on the same host costs less than half, since the host's certificates are known", async () => {
    const stage = state();
    const sent = await registerEnclave(stage, await startEnclave(stage));
    expect((await sent.wait())!.gasUsed).to.be.lessThan(7_500_000n);
  });

  it("noChallenge_reverts", async () => {
    const stage = state();
    const { nodes, nodeId } = stage;
    const enclave = await startEnclave(stage);
    await expect(registerEnclave(stage, enclave, { document: enclave.attest(Buffer.alloc(32)) }))
      .to.be.revertedWithCustomError(nodes, "ChallengeMissing")
      .withArgs(nodeId);
  });

  it("documentWithAnotherNonce_reverts", async () => {
    const stage = state();
    const { nodes, operator, nodeId } = stage;
    const enclave = await startEnclave(stage);
    const expected = await challengeFor(nodes, operator, nodeId);
    for (const nonce of [
      undefined,
      Buffer.alloc(32),
      expected.subarray(1),
      Buffer.concat([expected, Buffer.alloc(1)]),
    ]) {
      await expect(registerEnclave(stage, enclave, { document: enclave.attest(nonce) }))
        .to.be.revertedWithCustomError(nodes, "WrongChallenge")
        .withArgs(hexlify(expected), hexlify(nonce ?? "0x"));
    }
  });

  it("documentOlderThanTenMinutes_reverts", async () => {
    const stage = state();
    const { nodes, operator, nodeId, clock } = stage;
    const enclave = await startEnclave(stage);
    const nonce = await challengeFor(nodes, operator, nodeId);
    await synchronise(stage, clock);
    const document = enclave.attest(nonce);
    const madeAt = clock.now / 1000;
    await nextBlockAt(stage, madeAt + 601);
    await expect(registerEnclave(stage, enclave, { document }))
      .to.be.revertedWithCustomError(nodes, "AttestationTooOld")
      .withArgs(madeAt, madeAt + 1);
  });

  it("imageNotApproved_reverts", async () => {
    const stage = state();
    const measurements = randomMeasurements();
    const enclave = await startEnclave(stage, { measurements });
    await expect(registerEnclave(stage, enclave))
      .to.be.revertedWithCustomError(stage.nodes, "PCRNotApproved")
      .withArgs(pcrHashOf(measurements), LLM_PROXY);
  });

  it("imageApprovedForAnotherType_reverts", async () => {
    const stage = state();
    await expect(registerEnclave(stage, await startEnclave(stage), { teeType: 1 }))
      .to.be.revertedWithCustomError(stage.nodes, "PCRNotApproved")
      .withArgs(pcrHashOf(stage.measurements), 1);
  });

  it("debugMode_reverts", async () => {
    const stage = state();
    const enclave = await startEnclave(stage, { debug: true });
    await expect(registerEnclave(stage, enclave)).to.be.revertedWithCustomError(stage.attestation, "DebugModeEnclave");
  });

  it("otherCertificateOrSigningKeyThanTheDocumentBinds_reverts", async () => {
    const stage = state();
    const { nodes, operator, nodeId, clock } = stage;
    const [enclave, other] = [await startEnclave(stage), await startEnclave(stage)];
    for (const [signingKey, certificate] of [
      [other.publicKeyDer, enclave.tlsCertificateDer],
      [enclave.publicKeyDer, other.tlsCertificateDer],
      [enclave.publicKeyDer, selfSignedTls().certificateDer],
    ] as const) {
      const nonce = await challengeFor(nodes, operator, nodeId);
      await synchronise(stage, clock);
      const call = nodes
        .connect(operator)
        .registerEnclave(nodeId, LLM_PROXY, 0, enclave.attest(nonce), signingKey, certificate, { gasLimit: GAS_CAP });
      await expect(call).to.be.revertedWithCustomError(nodes, "UserDataMismatch");
    }
  });

  it("keysOfAnotherSize_revert", async () => {
    const stage = state();
    const { nodes, operator, nodeId } = stage;
    const enclave = await startEnclave(stage);
    const register = (signingKey: Uint8Array, certificate: Uint8Array) =>
      nodes.connect(operator).registerEnclave(nodeId, LLM_PROXY, 0, "0x", signingKey, certificate);
    for (const length of [0, 293, 551]) {
      await expect(register(Buffer.alloc(length), enclave.tlsCertificateDer))
        .to.be.revertedWithCustomError(nodes, "InvalidSigningKey")
        .withArgs(length);
    }
    for (const length of [0, 2_049]) {
      await expect(register(enclave.publicKeyDer, Buffer.alloc(length)))
        .to.be.revertedWithCustomError(nodes, "InvalidTlsCertificate")
        .withArgs(length, 2_048);
    }
  });

  it("sameEnclaveTwice_reverts", async () => {
    const stage = state();
    const enclave = await startEnclave(stage);
    await registerEnclave(stage, enclave);
    await expect(registerEnclave(stage, enclave))
      .to.be.revertedWithCustomError(stage.nodes, "TEEAlreadyExists")
      .withArgs(enclave.teeId);
  });

  it("fifthEnclaveOfANode_reverts_untilOneIsEnded", async () => {
    const stage = state();
    const { nodes, operator } = stage;
    const enclaves = [];
    for (let i = 0; i < 4; i++) {
      const enclave = await startEnclave(stage);
      await registerEnclave(stage, enclave);
      enclaves.push(enclave);
    }
    const fifth = await startEnclave(stage);
    await expect(registerEnclave(stage, fifth)).to.be.revertedWithCustomError(nodes, "TooManyEnclaves").withArgs(4);
    await nodes.connect(operator).disableTEE(enclaves[1]!.teeId);
    await registerEnclave(stage, fifth);
    expect(await nodes.getEnabledTEEs(LLM_PROXY)).to.have.members(
      [enclaves[0]!, enclaves[2]!, enclaves[3]!, fifth].map(({ teeId }) => teeId),
    );
  });

  it("verifierThatIsNotInUse_reverts", async () => {
    const stage = state();
    const enclave = await startEnclave(stage);
    await expect(registerEnclave({ ...stage, verifier: 1 }, enclave))
      .to.be.revertedWithCustomError(stage.nodes, "VerifierNotInUse")
      .withArgs(1);
    await stage.nodes.removeVerifier(0);
    await expect(registerEnclave(stage, enclave))
      .to.be.revertedWithCustomError(stage.nodes, "VerifierNotInUse")
      .withArgs(0);
  });

  it("disabledNode_reverts", async () => {
    const stage = state();
    const { nodes, operator, nodeId } = stage;
    const enclave = await startEnclave(stage);
    await nodes.connect(operator).disable(nodeId);
    await expect(registerEnclave(stage, enclave))
      .to.be.revertedWithCustomError(nodes, "NodeIsDisabled")
      .withArgs(nodeId);
  });

  it("a node's keys of its own and its enclaves do not count against each other", async () => {
    const stage = state();
    const { nodes, operator, nodeId } = stage;
    for (let i = 1; i <= 4; ++i) await addKey(stage, operator, nodeId, testKey(i));
    const enclave = await startEnclave(stage);
    await registerEnclave(stage, enclave);
    expect(await nodes.isTEEActive(enclave.teeId)).to.equal(true);
  });

  it("teeId is keccak256 of the signing key, as OpenGradient's registry computes it", async () => {
    const { nodes } = state();
    const enclave = await startEnclave(state());
    expect(await nodes.computeTEEId(enclave.publicKeyDer)).to.equal(enclave.teeId);
    expect(keccak256(enclave.publicKeyDer)).to.equal(enclave.teeId);
  });

  it("several nodes of one operator have enclaves of their own", async () => {
    const stage = state();
    const { nodes, operator } = stage;
    await registerKeyless(stage, operator);
    const second = await nodeIdOf(stage, operator, 1);
    const [a, b] = [await startEnclave(stage), await startEnclave(stage)];
    await registerEnclave(stage, a);
    await registerEnclave(stage, b, { nodeId: second });
    expect((await nodes.enclave(b.teeId))[1].nodeId).to.equal(second);
    await nodes.connect(operator).disable(second);
    expect(await nodes.isTEEEnabled(a.teeId)).to.equal(true);
    expect(await nodes.isTEEEnabled(b.teeId)).to.equal(false);
  });
});
