import { expect } from "chai";
import { Signature, TypedDataEncoder } from "ethers";

import { pcrHashOf } from "../../../simulator/enclave/measure.ts";
import { signHeartbeat } from "../../../simulator/enclave/EnclaveKeeper.ts";
import type { Hex } from "../../../simulator/receipts/types.ts";
import { deployRegisteredEnclave, heartbeatOf, startEnclave } from "../../support/enclaveStage.ts";
import { freshState } from "../../support/freshState.ts";
import { latestTimestamp } from "../../support/protocol.ts";
import { nextBlockAt } from "../../support/stage.ts";

const MAX_AGE = 1_800;

describe("NodeRegistry.heartbeat", () => {
  const state = freshState(deployRegisteredEnclave);

  it("is taken from anyone, and keeps the enclave active", async () => {
    const stage = state();
    const { nodes, enclave, relayer, connection } = stage;
    const begun = await latestTimestamp(stage);
    await connection.networkHelpers.time.increaseTo(begun + MAX_AGE);
    expect(await nodes.isTEEActive(enclave.teeId)).to.equal(true);
    await connection.networkHelpers.time.increaseTo(begun + MAX_AGE + 1);
    expect(await nodes.isTEEActive(enclave.teeId)).to.equal(false);
    expect(await nodes.isTEEEnabled(enclave.teeId)).to.equal(true);

    const timestamp = begun + MAX_AGE;
    const signature = await heartbeatOf(stage, enclave, timestamp);
    await expect(nodes.connect(relayer).heartbeat(enclave.teeId, timestamp, signature))
      .to.emit(nodes, "HeartbeatReceived")
      .withArgs(enclave.teeId, timestamp);
    expect(await nodes.isTEEActive(enclave.teeId)).to.equal(true);
    expect((await nodes.getTEE(enclave.teeId)).lastHeartbeatAt).to.equal(timestamp);
  });

  it("says what it means: the contract's digest is EIP-712's", async () => {
    const stage = state();
    const { enclave } = stage;
    const domain = {
      name: "OpenGradient",
      version: "1",
      chainId: 31337,
      verifyingContract: await stage.nodes.getAddress(),
    };
    const types = {
      Heartbeat: [
        { name: "teeId", type: "bytes32" },
        { name: "timestamp", type: "uint256" },
      ],
    };
    const timestamp = (await latestTimestamp(stage)) + 5;
    const digest = TypedDataEncoder.hash(domain, types, { teeId: enclave.teeId, timestamp });
    await nextBlockAt(stage, timestamp);
    await stage.nodes.heartbeat(
      enclave.teeId,
      timestamp,
      Signature.from(enclave.signer.sign(digest as Hex)).serialized,
    );
  });

  it("replayed_orOlderThanTheLast_reverts", async () => {
    const stage = state();
    const { nodes, enclave } = stage;
    const begun = await latestTimestamp(stage);
    const first = await heartbeatOf(stage, enclave, begun + 100);
    await nextBlockAt(stage, begun + 100);
    await nodes.heartbeat(enclave.teeId, begun + 100, first);
    await expect(nodes.heartbeat(enclave.teeId, begun + 100, first))
      .to.be.revertedWithCustomError(nodes, "HeartbeatTimestampTooOld")
      .withArgs(begun + 100, begun + 101);
    await expect(nodes.heartbeat(enclave.teeId, begun + 99, await heartbeatOf(stage, enclave, begun + 99)))
      .to.be.revertedWithCustomError(nodes, "HeartbeatTimestampTooOld")
      .withArgs(begun + 99, begun + 101);
  });

  it("olderThanTheMaximumAge_reverts, so that liveness cannot be stretched to twice of it", async () => {
    const stage = state();
    const { nodes, enclave } = stage;
    const begun = await latestTimestamp(stage);
    const signature = await heartbeatOf(stage, enclave, begun + 1);
    await nextBlockAt(stage, begun + MAX_AGE + 2);
    await expect(nodes.heartbeat(enclave.teeId, begun + 1, signature))
      .to.be.revertedWithCustomError(nodes, "HeartbeatTimestampTooOld")
      .withArgs(begun + 1, begun + 2);
  });

  it("fromTheFuture_reverts", async () => {
    const stage = state();
    const { nodes, enclave } = stage;
    const begun = await latestTimestamp(stage);
    const signature = await heartbeatOf(stage, enclave, begun + 11);
    await nextBlockAt(stage, begun + 10);
    await expect(nodes.heartbeat(enclave.teeId, begun + 11, signature))
      .to.be.revertedWithCustomError(nodes, "HeartbeatTimestampInFuture")
      .withArgs(begun + 11, begun + 10);
  });

  it("forAnotherChainOrRegistry_orByAnotherKey_orMalformed_reverts", async () => {
    const stage = state();
    const { nodes, enclave, staking } = stage;
    const timestamp = (await latestTimestamp(stage)) + 10;
    const here = { chainId: 31337n, verifyingContract: (await nodes.getAddress()) as Hex };
    const other = await startEnclave(stage);
    const signatures = [
      signHeartbeat(enclave, { ...here, chainId: 8453n }, BigInt(timestamp)),
      signHeartbeat(enclave, { ...here, verifyingContract: (await staking.getAddress()) as Hex }, BigInt(timestamp)),
      signHeartbeat(enclave, here, BigInt(timestamp + 1)),
      signHeartbeat({ teeId: enclave.teeId, signer: other.signer }, here, BigInt(timestamp)),
      signHeartbeat({ teeId: other.teeId, signer: enclave.signer }, here, BigInt(timestamp)),
      "0x",
      `0x${"00".repeat(65)}`,
    ];
    await nextBlockAt(stage, timestamp);
    for (const signature of signatures) {
      await expect(nodes.heartbeat(enclave.teeId, timestamp, signature)).to.be.revertedWithCustomError(
        nodes,
        "HeartbeatSignatureInvalid",
      );
    }
  });

  it("ofAnEnclaveThatIsNotLive_reverts", async () => {
    const stage = state();
    const { nodes, enclave, measurements } = stage;
    const timestamp = (await latestTimestamp(stage)) + 10;
    const signature = await heartbeatOf(stage, enclave, timestamp);
    await nodes.revokePCR(pcrHashOf(measurements), 0);
    await nextBlockAt(stage, timestamp);
    await expect(nodes.heartbeat(enclave.teeId, timestamp, signature))
      .to.be.revertedWithCustomError(nodes, "TEENotEnabled")
      .withArgs(enclave.teeId);
    const unknown = `0x${"11".repeat(32)}`;
    await expect(nodes.heartbeat(unknown, timestamp, signature))
      .to.be.revertedWithCustomError(nodes, "TEENotFound")
      .withArgs(unknown);
  });
});
