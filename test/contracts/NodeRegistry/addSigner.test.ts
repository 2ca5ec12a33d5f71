import { expect } from "chai";
import { ethers } from "ethers";

import { fieldsOf } from "../../support/fieldsOf.ts";
import { freshState } from "../../support/freshState.ts";
import { addKey, FAR_FUTURE, registerKeyless } from "../../support/nodes.ts";
import { domainOf, latestTimestamp, signerConsent, testKey } from "../../support/protocol.ts";
import { deployStage, nextBlockAt } from "../../support/stage.ts";

/** VANILLA and ZKML. */
const SIGNER_MODES = 3n;

describe("NodeRegistry.addSigner", () => {
  const state = freshState(async () => {
    const stage = await deployStage();
    return { ...stage, nodeId: await registerKeyless(stage, stage.operator) };
  });
  const key = testKey(1);

  it("addSigner_withConsent_isValidFromNow", async () => {
    const stage = state();
    const { nodes, operator, nodeId } = stage;
    const now = (await latestTimestamp(stage)) + 10;
    await nextBlockAt(stage, now);
    await expect(addKey(stage, operator, nodeId, key, now + 1_000))
      .to.emit(nodes, "SignerAdded")
      .withArgs(nodeId, key, now + 1_000, SIGNER_MODES);
    expect(fieldsOf(await nodes.signers(key))).to.deep.equal({
      operator: operator.address,
      validFrom: BigInt(now),
      validUntil: BigInt(now + 1_000),
      modes: SIGNER_MODES,
    });
    expect(await nodes.nodeOfSigner(key)).to.equal(nodeId);
    expect(await nodes.signersOf(nodeId)).to.deep.equal([key.address]);
  });

  it("eip712Domain_isTheRegistrys", async () => {
    const { nodes } = state();
    const { name, version, chainId, verifyingContract } = await nodes.eip712Domain();
    expect({ name, version, chainId, verifyingContract }).to.deep.equal(await domainOf(nodes));
  });

  it("addSigner_consentOfSomebodyElse_reverts", async () => {
    const { nodes, operator, nodeId } = state();
    const consent = await signerConsent(nodes, nodeId, operator.address, testKey(2), FAR_FUTURE);
    await expect(nodes.connect(operator).addSigner(nodeId, key, FAR_FUTURE, consent))
      .to.be.revertedWithCustomError(nodes, "SignerConsentMissing")
      .withArgs(key);
  });

  it("addSigner_consentToOtherTerms_reverts", async () => {
    const stage = state();
    const { nodes, operator, otherOperator, nodeId } = stage;
    const otherNode = await registerKeyless(stage, otherOperator);
    const consents = [
      await signerConsent(nodes, otherNode, operator.address, key, FAR_FUTURE),
      await signerConsent(nodes, nodeId, otherOperator.address, key, FAR_FUTURE),
      await signerConsent(nodes, nodeId, operator.address, key, FAR_FUTURE - 1),
    ];
    for (const consent of consents) {
      await expect(nodes.connect(operator).addSigner(nodeId, key, FAR_FUTURE, consent))
        .to.be.revertedWithCustomError(nodes, "SignerConsentMissing")
        .withArgs(key);
    }
  });

  it("addSigner_malformedConsent_revertsWithTheSameError", async () => {
    const { nodes, operator, nodeId } = state();
    for (const consent of ["0x", "0x00", ethers.zeroPadValue("0x", 65), ethers.zeroPadValue("0x", 64)]) {
      await expect(nodes.connect(operator).addSigner(nodeId, key, FAR_FUTURE, consent))
        .to.be.revertedWithCustomError(nodes, "SignerConsentMissing")
        .withArgs(key);
    }
  });

  it("addSigner_zeroKeyByAnInvalidSignature_reverts", async () => {
    const { nodes, operator, nodeId } = state();
    await expect(
      nodes
        .connect(operator)
        .addSigner(nodeId, ethers.ZeroAddress, FAR_FUTURE, ethers.concat([ethers.zeroPadValue("0x", 64), "0x1b"])),
    )
      .to.be.revertedWithCustomError(nodes, "SignerConsentMissing")
      .withArgs(ethers.ZeroAddress);
  });

  it("addSigner_alreadyAdded_reverts", async () => {
    const stage = state();
    await addKey(stage, stage.operator, stage.nodeId, key);
    await expect(addKey(stage, stage.operator, stage.nodeId, key, FAR_FUTURE - 1))
      .to.be.revertedWithCustomError(stage.nodes, "SignerTaken")
      .withArgs(key);
  });

  it("addSigner_validUntilNow_reverts", async () => {
    const stage = state();
    const now = (await latestTimestamp(stage)) + 10;
    await nextBlockAt(stage, now);
    await expect(addKey(stage, stage.operator, stage.nodeId, key, now))
      .to.be.revertedWithCustomError(stage.nodes, "InvalidValidity")
      .withArgs(now);
  });

  it("addSigner_aFifthLiveKey_reverts", async () => {
    const stage = state();
    for (let i = 1; i <= 4; ++i) await addKey(stage, stage.operator, stage.nodeId, testKey(i));
    await expect(addKey(stage, stage.operator, stage.nodeId, testKey(5)))
      .to.be.revertedWithCustomError(stage.nodes, "TooManySigners")
      .withArgs(4);
  });

  it("addSigner_whenSomeHaveExpired_takesTheirPlaces", async () => {
    const stage = state();
    const { nodes, operator, nodeId } = stage;
    const expiry = (await latestTimestamp(stage)) + 100;
    for (const [number, validUntil] of [
      [1, expiry],
      [2, FAR_FUTURE],
      [3, expiry],
      [4, expiry],
    ] as const) {
      await addKey(stage, operator, nodeId, testKey(number), validUntil);
    }
    await nextBlockAt(stage, expiry);
    await addKey(stage, operator, nodeId, testKey(5));
    expect(await nodes.signersOf(nodeId)).to.deep.equal([testKey(2).address, testKey(5).address]);
  });

  it("addSigner_byAnyoneElse_reverts", async () => {
    const { nodes, operator, stranger, nodeId } = state();
    const consent = await signerConsent(nodes, nodeId, stranger.address, key, FAR_FUTURE);
    await expect(nodes.connect(stranger).addSigner(nodeId, key, FAR_FUTURE, consent))
      .to.be.revertedWithCustomError(nodes, "NotOperator")
      .withArgs(stranger, operator);
  });

  it("addSigner_unknownNode_reverts", async () => {
    const { nodes, operator } = state();
    await expect(nodes.connect(operator).addSigner(ethers.id("?"), key, FAR_FUTURE, "0x"))
      .to.be.revertedWithCustomError(nodes, "NodeNotFound")
      .withArgs(ethers.id("?"));
  });
});
