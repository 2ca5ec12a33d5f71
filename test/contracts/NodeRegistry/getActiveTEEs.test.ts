import { expect } from "chai";
import { AbiCoder, hexlify, Interface } from "ethers";

import { pcrHashOf } from "../../../simulator/enclave/measure.ts";
import { deployRegisteredEnclave, registerEnclave, startEnclave } from "../../support/enclaveStage.ts";
import { freshState } from "../../support/freshState.ts";
import { ENDPOINT, registerKeyless } from "../../support/nodes.ts";
import { latestTimestamp } from "../../support/protocol.ts";

/** What OpenGradient's newer clients decode, and its TypeScript SDK with ten fields (reference, 1.3 and 2.1). */
const TEN_FIELDS =
  "tuple(address owner,address paymentAddress,string endpoint,bytes publicKey,bytes tlsCertificate,bytes32 pcrHash,uint8 teeType,bool enabled,uint256 registeredAt,uint256 lastHeartbeatAt";
const OHTTP =
  "tuple(uint8 keyId,uint16 kemId,uint16 kdfId,uint16 aeadId,bytes publicKey,bytes keyConfig,uint256 registeredAt) ohttpConfig";

describe("NodeRegistry's reads of OpenGradient's TEERegistry", () => {
  const state = freshState(deployRegisteredEnclave);

  it("getActiveTEEs returns eleven fields, of which clients of ten fields read the first ten", async () => {
    const stage = state();
    const { nodes, operator, enclave, measurements, connection } = stage;
    const at = BigInt(await latestTimestamp(stage));
    const call = { to: await nodes.getAddress(), data: `0x4b6014da${"00".repeat(32)}` };
    const raw = await connection.ethers.provider.call(call);
    const sealing = hexlify(enclave.sealingPublicKey);
    const ten = [
      operator.address,
      operator.address,
      ENDPOINT,
      hexlify(enclave.publicKeyDer),
      hexlify(enclave.tlsCertificateDer),
      pcrHashOf(measurements),
      0n,
      true,
      at,
      at,
    ];
    const ohttp = [1n, 0x20n, 1n, 3n, sealing, `0x010020${sealing.slice(2)}000400010003`, at];
    const coder = AbiCoder.defaultAbiCoder();
    const [eleven] = coder.decode([`${TEN_FIELDS},${OHTTP})[]`], raw).toArray(true) as [unknown[][]];
    expect(eleven).to.deep.equal([[...ten, ohttp]]);
    const [old] = coder.decode([`${TEN_FIELDS})[]`], raw).toArray(true) as [unknown[][]];
    expect(old).to.deep.equal([ten]);
  });

  it("has the selectors that its clients call", () => {
    const ours = new Interface(state().nodes.interface.fragments);
    const theirs = new Interface([
      "function getActiveTEEs(uint8)",
      "function getTEE(bytes32)",
      "function getEnabledTEEs(uint8)",
      "function getTEEsByType(uint8)",
      "function getTEEsByOwner(address)",
      "function isTEEEnabled(bytes32)",
      "function isTEEActive(bytes32)",
      "function getTEEPublicKey(bytes32)",
      "function computeTEEId(bytes)",
      "function isPCRApproved(uint8,bytes32)",
      "function computePCRHash((bytes,bytes,bytes))",
      "function getApprovedPCRs()",
      "function getTEETypes()",
      "function isValidTEEType(uint8)",
      "function heartbeatMaxAge()",
      "function heartbeat(bytes32,uint256,bytes)",
      "function approvePCR((bytes,bytes,bytes),string,uint8)",
      "function revokePCR(bytes32,uint8)",
      "function addTEEType(uint8,string)",
      "function setHeartbeatMaxAge(uint256)",
      "function disableTEE(bytes32)",
    ]);
    theirs.forEachFunction(({ name, selector }) => {
      expect(ours.getFunction(selector)?.name, name).to.equal(name);
    });
  });

  it("shows what is in service only: live, of an approved image, with a fresh heartbeat", async () => {
    const stage = state();
    const { nodes, enclave, connection } = stage;
    const endpoints = async () => (await nodes.getActiveTEEs(0)).length;
    expect(await endpoints()).to.equal(1);
    await connection.networkHelpers.time.increase(1_000);
    const second = await startEnclave(stage);
    await registerEnclave(stage, second);
    await connection.networkHelpers.time.increase(1_000);
    expect((await nodes.getActiveTEEs(0)).map(({ publicKey }) => publicKey)).to.deep.equal([
      hexlify(second.publicKeyDer),
    ]);
    expect(await nodes.getEnabledTEEs(0)).to.have.members([enclave.teeId, second.teeId]);
    await connection.networkHelpers.time.increase(86_400);
    expect(await nodes.getEnabledTEEs(0)).to.deep.equal([]);
    expect(await nodes.getTEEsByType(0)).to.have.members([enclave.teeId, second.teeId]);
  });

  it("follows the node's payout and endpoint", async () => {
    const { nodes, operator, nodeId, payee, enclave } = state();
    await nodes.connect(operator).update(nodeId, payee, "https://moved.example");
    const { paymentAddress, endpoint } = await nodes.getTEE(enclave.teeId);
    expect([paymentAddress, endpoint]).to.deep.equal([payee.address, "https://moved.example"]);
  });

  it("getTEEPublicKey and getTEE know enclaves that were ended, and no others", async () => {
    const { nodes, operator, enclave } = state();
    await nodes.connect(operator).disableTEE(enclave.teeId);
    expect(await nodes.getTEEPublicKey(enclave.teeId)).to.equal(hexlify(enclave.publicKeyDer));
    const unknown = `0x${"22".repeat(32)}`;
    for (const call of [nodes.getTEE(unknown), nodes.getTEEPublicKey(unknown)]) {
      await expect(call).to.be.revertedWithCustomError(nodes, "TEENotFound").withArgs(unknown);
    }
    expect(await nodes.isTEEActive(unknown)).to.equal(false);
    expect(await nodes.isTEEEnabled(unknown)).to.equal(false);
  });

  it("getTEEsByOwner, enclavesOf and types", async () => {
    const stage = state();
    const { nodes, operator, otherOperator, enclave, measurements } = stage;
    const otherNode = await registerKeyless(stage, otherOperator);
    await nodes.approvePCR(measurements, "1.0.0", 1);
    const other = await startEnclave(stage);
    await registerEnclave(stage, other, { nodeId: otherNode, operator: otherOperator, teeType: 1 });
    expect(await nodes.getTEEsByOwner(operator)).to.deep.equal([enclave.teeId]);
    expect(await nodes.getTEEsByOwner(otherOperator)).to.deep.equal([other.teeId]);
    expect(await nodes.getTEEsByType(1)).to.deep.equal([other.teeId]);
    expect(await nodes.enclavesOf(0, 0, 10)).to.deep.equal([enclave.teeId]);
    expect(await nodes.enclavesOf(0, 1, 10)).to.deep.equal([]);
    expect(await nodes.enclavesOf(0, 0, 0)).to.deep.equal([]);
    expect((await nodes.getTEE(other.teeId)).teeType).to.equal(1);
  });
});
