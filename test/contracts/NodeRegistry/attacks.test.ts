import { expect } from "chai";
import { ZeroAddress } from "ethers";

import { freshState } from "../../support/freshState.ts";
import { addKey, FAR_FUTURE, registerKeyless } from "../../support/nodes.ts";
import { domainOf, latestTimestamp, signerConsent, testKey } from "../../support/protocol.ts";
import { deployStage, nextBlockAt } from "../../support/stage.ts";
import { NodeRegistry__factory } from "../../../typechain-types/index.ts";

const CONSENT_TYPES = {
  SignerConsent: [
    { name: "nodeId", type: "bytes32" },
    { name: "operator", type: "address" },
    { name: "validUntil", type: "uint40" },
  ],
};

describe("NodeRegistry attacks", () => {
  const key = testKey(1);
  const state = freshState(async () => {
    const stage = await deployStage();
    return { ...stage, nodeId: await registerKeyless(stage, stage.operator) };
  });

  it("consentSeenInTheMempool_isWorthlessToAnotherOperator", async () => {
    const stage = state();
    const { nodes, operator, otherOperator, nodeId } = stage;
    const otherNode = await registerKeyless(stage, otherOperator);
    const consent = await signerConsent(nodes, nodeId, operator.address, key, FAR_FUTURE);
    await expect(nodes.connect(otherOperator).addSigner(otherNode, key, FAR_FUTURE, consent))
      .to.be.revertedWithCustomError(nodes, "SignerConsentMissing")
      .withArgs(key);
    await nodes.connect(operator).addSigner(nodeId, key, FAR_FUTURE, consent);
  });

  it("consentReplayed_afterRevocation_reverts", async () => {
    const { nodes, operator, nodeId } = state();
    const consent = await signerConsent(nodes, nodeId, operator.address, key, FAR_FUTURE);
    await nodes.connect(operator).addSigner(nodeId, key, FAR_FUTURE, consent);
    await nodes.connect(operator).revokeSigner(key);
    await expect(nodes.connect(operator).addSigner(nodeId, key, FAR_FUTURE, consent))
      .to.be.revertedWithCustomError(nodes, "SignerTaken")
      .withArgs(key);
  });

  it("consentForAnotherChainOrRegistry_reverts", async () => {
    const { nodes, staking, owner, operator, nodeId } = state();
    const twin = await new NodeRegistry__factory(owner).deploy(staking, owner);
    const message = { nodeId, operator: operator.address, validUntil: FAR_FUTURE };
    for (const domain of [{ ...(await domainOf(nodes)), chainId: 8453n }, await domainOf(twin)]) {
      const consent = await key.signTypedData(domain, CONSENT_TYPES, message);
      await expect(nodes.connect(operator).addSigner(nodeId, key, FAR_FUTURE, consent))
        .to.be.revertedWithCustomError(nodes, "SignerConsentMissing")
        .withArgs(key);
    }
  });

  it("revokedKey_neverMovesToAnotherOperator", async () => {
    const stage = state();
    const { nodes, operator, otherOperator, nodeId } = stage;
    await addKey(stage, operator, nodeId, key);
    const from = await latestTimestamp(stage);
    await nextBlockAt(stage, from + 1);
    await nodes.connect(operator).revokeSigner(key);
    const otherNode = await registerKeyless(stage, otherOperator);
    await expect(addKey(stage, otherOperator, otherNode, key))
      .to.be.revertedWithCustomError(nodes, "SignerTaken")
      .withArgs(key);
    expect(await nodes.findOperator(key, 0, from)).to.equal(operator);
  });

  it("keyAddedLate_signsNothingDatedBefore", async () => {
    const stage = state();
    const before = await latestTimestamp(stage);
    await nextBlockAt(stage, before + 1);
    await addKey(stage, stage.operator, stage.nodeId, key);
    expect(await stage.nodes.findOperator(key, 0, before)).to.equal(ZeroAddress);
  });

  it("liveKeysOfOneNode_areNotFilledByAnother", async () => {
    const stage = state();
    const { nodes, operator, otherOperator, nodeId } = stage;
    const otherNode = await registerKeyless(stage, otherOperator);
    for (let i = 1; i <= 4; ++i) await addKey(stage, otherOperator, otherNode, testKey(i));
    await addKey(stage, operator, nodeId, testKey(5));
    expect(await nodes.signersOf(nodeId)).to.deep.equal([testKey(5).address]);
  });
});
