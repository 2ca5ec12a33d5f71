import { expect } from "chai";
import { SigningKey } from "ethers";

import { pcrHashOf } from "../../../simulator/enclave/measure.ts";
import { publicKeyField, sha256, userDataField } from "../../../simulator/enclave/boundKeys.ts";
import { CertificateChain } from "../../../simulator/enclave/CertificateChain.ts";
import { SoftwareNsm } from "../../../simulator/enclave/SoftwareNsm.ts";
import { testRoot } from "../../../simulator/enclave/testRoot.ts";
import { Mode } from "../../../simulator/receipts/types.ts";
import { challengeReceipt, freshWorld, postedBatch, type BuiltBatch, type World } from "../../support/batches.ts";
import { deployVerifier } from "../../support/attestation.ts";
import { challengeFor, GAS_CAP, LLM_PROXY, randomMeasurements } from "../../support/enclaveStage.ts";
import { increaseTime, latestTimestamp, testKey } from "../../support/protocol.ts";
import { rsaKey } from "../../support/rsaPss.ts";
import { Fault } from "../../support/settlement.ts";

/** An enclave's receipt key, in the hands of the test. */
const key = testKey(77);
const measurements = randomMeasurements();

/** Registers an enclave of the operator's by a real attestation that binds `key`. @returns since when it is live, and its teeId. */
async function registerEnclave(world: World): Promise<{ attestedAt: bigint; teeId: string }> {
  const { nodes, owner, operator } = world;
  await nodes.addVerifier((await deployVerifier(owner)).verifier);
  await nodes.approvePCR(measurements, "1.0.0", LLM_PROXY);
  const [nodeId] = (await nodes.nodesOf(0, 0, 1)).nodeIds as unknown as [string];
  const nonce = await challengeFor(nodes, operator, nodeId);
  const now = (await latestTimestamp(world)) * 1000;
  const nsm = new SoftwareNsm({ authorities: new CertificateChain(testRoot()), measurements, clock: () => now });
  const [signingKey, certificate] = [rsaKey(2048).spki, Buffer.from("a TLS certificate")];
  const document = nsm.attest({
    publicKey: publicKeyField({
      receiptKey: Buffer.from(new SigningKey(key.privateKey).publicKey.slice(2), "hex"),
      sealingKey: Buffer.alloc(32, 7),
    }),
    userData: userDataField({ tlsCertificateHash: sha256(certificate), signingKeyHash: sha256(signingKey) }),
    nonce,
  });
  await nodes
    .connect(operator)
    .registerEnclave(nodeId, LLM_PROXY, 0, document, signingKey, certificate, { gasLimit: GAS_CAP });
  return { attestedAt: BigInt(await latestTimestamp(world)), teeId: await nodes.computeTEEId(signingKey) };
}

/** A batch of four TEE receipts by the enclave's key, served one second after the other. */
const teeBatch = (world: World, servedFrom: bigint, mode: Mode = Mode.Tee): Promise<BuiltBatch> =>
  postedBatch(world, {
    seats: [],
    key: () => key,
    receipt: (i) => ({ mode, servedAt: servedFrom + BigInt(i) }),
  });

async function expectFaults(world: World, batch: BuiltBatch, faulty: readonly boolean[]): Promise<void> {
  for (const [index, isFault] of faulty.entries()) {
    const call = () => challengeReceipt(world, batch, index);
    if (!isFault) await expect(call()).to.be.revertedWithCustomError(world.settlement, "NoFault");
  }
  const first = faulty.indexOf(true);
  if (first < 0) return;
  await expect(challengeReceipt(world, batch, first))
    .to.emit(world.settlement, "BatchProvenWrong")
    .withArgs(batch.id, world.challenger, Fault.Receipt, false, (amount: bigint) => amount > 0n);
}

describe("ProofSettlement and receipts of mode TEE", () => {
  it("live_attestation_isNoFault", async () => {
    const world = await freshWorld();
    const { attestedAt } = await registerEnclave(world);
    await increaseTime(world, 60);
    await expectFaults(world, await teeBatch(world, attestedAt), [false, false, false, false]);
  });

  it("beforeTheAttestation_isAFault", async () => {
    const world = await freshWorld();
    const { attestedAt } = await registerEnclave(world);
    await increaseTime(world, 60);
    await expectFaults(world, await teeBatch(world, attestedAt - 2n), [true, true, false, false]);
  });

  it("afterItsImageWasRevoked_isAFault_andBeforeIsNone", async () => {
    const world = await freshWorld();
    await registerEnclave(world);
    await increaseTime(world, 60);
    await world.nodes.revokePCR(pcrHashOf(measurements), LLM_PROXY);
    const revokedAt = BigInt(await latestTimestamp(world));
    await increaseTime(world, 60);
    await expectFaults(world, await teeBatch(world, revokedAt - 2n), [false, false, true, true]);
  });

  it("afterItWasDisabled_isAFault", async () => {
    const world = await freshWorld();
    const { teeId } = await registerEnclave(world);
    await increaseTime(world, 60);
    await world.nodes.connect(world.operator).disableTEE(teeId);
    const endedAt = BigInt(await latestTimestamp(world));
    await increaseTime(world, 60);
    await expectFaults(world, await teeBatch(world, endedAt - 1n), [false, true, true, true]);
  });

  it("afterItsAttestationWoreOut_isAFault", async () => {
    const world = await freshWorld();
    await world.nodes.setAttestationTtl(3_600);
    const { attestedAt } = await registerEnclave(world);
    await increaseTime(world, 3_700);
    await expectFaults(world, await teeBatch(world, attestedAt + 3_598n), [false, false, true, true]);
  });

  it("revocationAfterPosting_doesNotReachBack", async () => {
    const world = await freshWorld();
    const { attestedAt } = await registerEnclave(world);
    await increaseTime(world, 60);
    const batch = await teeBatch(world, attestedAt);
    await world.nodes.revokePCR(pcrHashOf(measurements), LLM_PROXY);
    await expectFaults(world, batch, [false, false, false, false]);
  });

  it("anEnclavesKeyInAnotherMode_isAFault", async () => {
    const world = await freshWorld();
    const { attestedAt } = await registerEnclave(world);
    await increaseTime(world, 60);
    await expectFaults(world, await teeBatch(world, attestedAt, Mode.Vanilla), [true, true, true, true]);
  });
});
