import { expect } from "chai";

import { NodeRegistry__factory } from "../../../typechain-types/index.ts";
import {
  challengeFor,
  deployEnclaveStage,
  GAS_CAP,
  LLM_PROXY,
  registerEnclave,
  startEnclave,
  synchronise,
  type EnclaveStage,
} from "../../support/enclaveStage.ts";
import { freshState } from "../../support/freshState.ts";
import { FAR_FUTURE, registerKeyless } from "../../support/nodes.ts";

async function attested(stage: EnclaveStage) {
  const { nodes, operator, nodeId, clock } = stage;
  const enclave = await startEnclave(stage);
  const nonce = await challengeFor(nodes, operator, nodeId);
  await synchronise(stage, clock);
  return { enclave, document: enclave.attest(nonce) };
}

describe("attacks on the registration of enclaves", () => {
  const state = freshState(deployEnclaveStage);

  it("documentSeenInTheMempool_registersNothingForAnotherOperator", async () => {
    const stage = state();
    const { nodes, otherOperator } = stage;
    const { enclave, document } = await attested(stage);
    const otherNode = await registerKeyless(stage, otherOperator);
    const stolen = { nodeId: otherNode, operator: otherOperator, document };
    await expect(registerEnclave(stage, enclave, stolen)).to.be.revertedWithCustomError(nodes, "ChallengeMissing");
    await challengeFor(nodes, otherOperator, otherNode);
    await expect(registerEnclave(stage, enclave, stolen)).to.be.revertedWithCustomError(nodes, "WrongChallenge");
    // and the victim's still counts
    await registerEnclave(stage, enclave, { document });
  });

  it("documentForANodeOfAnother_isNotTakenFromAnotherCaller", async () => {
    const stage = state();
    const { nodes, stranger, operator } = stage;
    const { enclave, document } = await attested(stage);
    await expect(registerEnclave(stage, enclave, { operator: stranger, document }))
      .to.be.revertedWithCustomError(nodes, "NotOperator")
      .withArgs(stranger, operator);
  });

  it("documentReplayedOnAnotherRegistry_reverts", async () => {
    const stage = state();
    const { staking, owner, operator, attestation, measurements, nodeId } = stage;
    const { enclave, document } = await attested(stage);
    const twin = await new NodeRegistry__factory(owner).deploy(staking, owner);
    await twin.addVerifier(attestation);
    await twin.approvePCR(measurements, "1.0.0", LLM_PROXY);
    await twin.connect(operator).register(0, operator, "https://node.example");
    const [twinNode] = (await twin.nodesOf(0, 0, 1)).nodeIds;
    expect(twinNode).not.to.equal(nodeId);
    await challengeFor(twin, operator, twinNode!);
    const { publicKeyDer, tlsCertificateDer } = enclave;
    await expect(
      twin
        .connect(operator)
        .registerEnclave(twinNode!, LLM_PROXY, 0, document, publicKeyDer, tlsCertificateDer, { gasLimit: GAS_CAP }),
    ).to.be.revertedWithCustomError(twin, "WrongChallenge");
  });

  it("documentReplayedOnAnotherChain_reverts, though everything there has the same address", async () => {
    const stage = state();
    const { enclave, document } = await attested(stage);
    const other = await deployEnclaveStage({ chainId: 1337 });
    try {
      expect(await other.nodes.getAddress()).to.equal(await stage.nodes.getAddress());
      expect(await other.attestation.getAddress()).to.equal(await stage.attestation.getAddress());
      await other.nodes.approvePCR(stage.measurements, "1.0.0", LLM_PROXY);
      // its clock may be behind the first chain's
      await other.connection.networkHelpers.time.increase(60);
      await challengeFor(other.nodes, other.operator, other.nodeId);
      await expect(registerEnclave(other, enclave, { document })).to.be.revertedWithCustomError(
        other.nodes,
        "WrongChallenge",
      );
    } finally {
      await other.connection.close();
    }
  });

  it("challengeIsGoneOnceUsed, soTheDocumentIsGoodOnce", async () => {
    const stage = state();
    const { nodes, nodeId } = stage;
    const { enclave, document } = await attested(stage);
    await registerEnclave(stage, enclave, { document });
    const other = await startEnclave(stage);
    await expect(registerEnclave(stage, other, { document }))
      .to.be.revertedWithCustomError(nodes, "ChallengeMissing")
      .withArgs(nodeId);
  });

  it("aNewChallenge_replacesTheOneBefore", async () => {
    const stage = state();
    const { enclave, document } = await attested(stage);
    await challengeFor(stage.nodes, stage.operator, stage.nodeId);
    await expect(registerEnclave(stage, enclave, { document })).to.be.revertedWithCustomError(
      stage.nodes,
      "WrongChallenge",
    );
  });

  it("nodeThatMovedSinceTheChallenge_getsNothing: payout and endpoint are bound", async () => {
    const stage = state();
    const { nodes, operator, nodeId, payee } = stage;
    for (const [payout, endpoint] of [
      [payee.address, "https://node.example"],
      [operator.address, "https://elsewhere.example"],
    ] as const) {
      const { enclave, document } = await attested(stage);
      await nodes.connect(operator).update(nodeId, payout, endpoint);
      await expect(registerEnclave(stage, enclave, { document })).to.be.revertedWithCustomError(
        nodes,
        "WrongChallenge",
      );
      await nodes.connect(operator).update(nodeId, operator, "https://node.example");
    }
  });

  it("challengeForOneType_isNotGoodForAnother", async () => {
    const stage = state();
    await stage.nodes.approvePCR(stage.measurements, "1.0.0", 1);
    const { enclave, document } = await attested(stage);
    await expect(registerEnclave(stage, enclave, { document, teeType: 1 })).to.be.revertedWithCustomError(
      stage.nodes,
      "WrongChallenge",
    );
  });

  it("failedRegistration_doesNotUseUpTheChallenge", async () => {
    const stage = state();
    const { enclave, document } = await attested(stage);
    const other = await startEnclave(stage);
    await expect(registerEnclave(stage, other, { document })).to.be.revertedWithCustomError(
      stage.nodes,
      "UserDataMismatch",
    );
    await registerEnclave(stage, enclave, { document });
  });

  it("malleatedSignature_isTheSameEnclave_andRegistersItOnce", async () => {
    const stage = state();
    const { nodes } = stage;
    const { enclave, document } = await attested(stage);
    const n = BigInt(
      "0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
    );
    const s = BigInt(`0x${document.subarray(-48).toString("hex")}`);
    const twin = Buffer.from(document);
    Buffer.from((n - s).toString(16).padStart(96, "0"), "hex").copy(twin, twin.length - 48);
    await registerEnclave(stage, enclave, { document: twin });
    await challengeFor(nodes, stage.operator, stage.nodeId);
    await expect(registerEnclave(stage, enclave, { document })).to.be.revertedWithCustomError(
      nodes,
      "TEEAlreadyExists",
    );
  });

  it("keyOfAnEnclave_isNobodysOrdinaryKey, andTheOtherWayRound", async () => {
    const stage = state();
    const { nodes, operator, otherOperator, nodeId } = stage;
    const { enclave, document } = await attested(stage);
    await registerEnclave(stage, enclave, { document });
    const otherNode = await registerKeyless(stage, otherOperator);
    // whoever could make it sign a consent would still not get it
    const { signer } = enclave;
    const consent = `0x${"00".repeat(65)}`;
    await expect(nodes.connect(otherOperator).addSigner(otherNode, signer.address, FAR_FUTURE, consent))
      .to.be.revertedWithCustomError(nodes, "SignerTaken")
      .withArgs((await nodes.enclave(enclave.teeId))[0]);
    await expect(nodes.connect(operator).revokeSigner(signer.address)).to.be.revert(stage.connection.ethers);
    expect(await nodes.signersOf(nodeId)).to.deep.equal([]);
  });
});
