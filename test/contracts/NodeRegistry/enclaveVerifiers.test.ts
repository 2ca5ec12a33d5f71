import { expect } from "chai";
import { ethers, ZeroAddress } from "ethers";
import { network } from "hardhat";

import { NodeRegistry__factory, NodeStaking__factory, OPG__factory } from "../../../typechain-types/index.ts";
import { deployVerifier } from "../../support/attestation.ts";
import {
  deployRegisteredEnclave,
  registerEnclave,
  renewAttestation,
  startEnclave,
} from "../../support/enclaveStage.ts";
import { freshState } from "../../support/freshState.ts";
import { latestTimestamp } from "../../support/protocol.ts";
import { nextBlockAt } from "../../support/stage.ts";

describe("NodeRegistry.addVerifier and removeVerifier", () => {
  const state = freshState(deployRegisteredEnclave);

  it("shows the root, and that it is a test's", async () => {
    const { nodes, attestation, owner } = state();
    const { verifier: second } = await deployVerifier(owner);
    await expect(nodes.addVerifier(second))
      .to.emit(nodes, "VerifierAdded")
      .withArgs(1, second, await second.root(), true);
    const list = await nodes.verifiers();
    expect(list.map(({ verifier, removedAt, testRoot }) => [verifier, removedAt, testRoot])).to.deep.equal([
      [await attestation.getAddress(), 0n, true],
      [await second.getAddress(), 0n, true],
    ]);
  });

  it("roots rotate: one is added, enclaves move over, the old one goes", async () => {
    const stage = state();
    const { nodes, enclave, owner } = stage;
    await nodes.addVerifier((await deployVerifier(owner)).verifier);
    await renewAttestation({ ...stage, verifier: 1 }, enclave);
    await nodes.removeVerifier(0);
    expect(await nodes.isTEEActive(enclave.teeId)).to.equal(true);
    expect((await nodes.enclave(enclave.teeId))[1].verifier).to.equal(1);
  });

  it("removing disables whatever the verifier let in, from this second on", async () => {
    const stage = state();
    const { nodes, enclave, operator, attestation } = stage;
    const at = (await latestTimestamp(stage)) + 100;
    await nextBlockAt(stage, at);
    await expect(nodes.removeVerifier(0)).to.emit(nodes, "VerifierRemoved").withArgs(0, attestation);
    expect(await nodes.findOperator(enclave.signer.address, 2, at - 1)).to.equal(operator);
    expect(await nodes.findOperator(enclave.signer.address, 2, at)).to.equal(ZeroAddress);
    expect(await nodes.isTEEActive(enclave.teeId)).to.equal(false);
    await expect(registerEnclave(stage, await startEnclave(stage))).to.be.revertedWithCustomError(
      nodes,
      "VerifierNotInUse",
    );
  });

  it("sameVerifierTwice_reverts", async () => {
    const { nodes, attestation } = state();
    await expect(nodes.addVerifier(attestation))
      .to.be.revertedWithCustomError(nodes, "VerifierExists")
      .withArgs(attestation);
  });

  it("removedOrUnknown_reverts", async () => {
    const { nodes } = state();
    await nodes.removeVerifier(0);
    for (const index of [0, 1]) {
      await expect(nodes.removeVerifier(index))
        .to.be.revertedWithCustomError(nodes, "VerifierNotInUse")
        .withArgs(index);
    }
  });

  it("adding is the owner's, removing the guardian's too", async () => {
    const { nodes, owner, challenger, stranger } = state();
    const { verifier: second } = await deployVerifier(owner);
    await nodes.setGuardian(challenger);
    await expect(nodes.connect(challenger).addVerifier(second)).to.be.revertedWithCustomError(
      nodes,
      "OwnableUnauthorizedAccount",
    );
    await expect(nodes.connect(stranger).removeVerifier(0))
      .to.be.revertedWithCustomError(nodes, "NotGuardian")
      .withArgs(stranger);
    await nodes.connect(challenger).removeVerifier(0);
  });

  it("aTestRoot_isRefusedOnAPublicChain", async () => {
    const connection = await network.create({ network: "default", override: { chainId: 8453 } });
    try {
      const owner = (await connection.ethers.getSigners())[0]!;
      const opg = await new OPG__factory(owner).deploy(owner);
      const staking = await new NodeStaking__factory(owner).deploy(opg, owner, 604_800);
      const nodes = await new NodeRegistry__factory(owner).deploy(staking, owner);
      // ours would not even deploy here: this one answers every question by 1
      const code = "0x600160005260206000f3";
      const verifier = ethers.getCreateAddress({ from: owner.address, nonce: await owner.getNonce() });
      await owner.sendTransaction({ data: `0x69${code.slice(2)}600052600a6016f3` });
      await expect(nodes.addVerifier(verifier))
        .to.be.revertedWithCustomError(nodes, "TestRootOnPublicChain")
        .withArgs(8453);
    } finally {
      await connection.close();
    }
  });
});
