import { randomBytes } from "node:crypto";

import { decode } from "cbor2";
import type { ContractTransactionResponse, Signer } from "ethers";

import { CertificateChain } from "../../simulator/enclave/CertificateChain.ts";
import { Enclave } from "../../simulator/enclave/Enclave.ts";
import { signHeartbeat } from "../../simulator/enclave/EnclaveKeeper.ts";
import { SoftwareNsm, type Measurements } from "../../simulator/enclave/SoftwareNsm.ts";
import { testRoot } from "../../simulator/enclave/testRoot.ts";
import type { Hex } from "../../simulator/receipts/types.ts";
import type { NitroAttestationVerifier, NodeRegistry } from "../../typechain-types/index.ts";
import { deployVerifier } from "./attestation.ts";
import { latestTimestamp, type Protocol } from "./protocol.ts";
import { deployStage } from "./stage.ts";
import { registerKeyless } from "./nodes.ts";

export const LLM_PROXY = 0;
/** EIP-7825's cap: no transaction here may have more. */
export const GAS_CAP = 1n << 24n;

export type Stage = Awaited<ReturnType<typeof deployStage>>;

/** The protocol with the test root trusted and one image approved. */
export interface EnclaveStage extends Stage {
  attestation: NitroAttestationVerifier;
  /** One host, whose certificates are staged; its clock is the chain's. */
  authorities: CertificateChain;
  /** Unix milliseconds: the last block's time, unless a test sets another. */
  clock: { now: number };
  measurements: Measurements;
  /** A node of `operator`, without keys. */
  nodeId: string;
  /** In NodeRegistry. */
  verifier: number;
}

/** Measurements of an image of nobody's. */
export const randomMeasurements = (): Measurements => ({
  pcr0: randomBytes(48),
  pcr1: randomBytes(48),
  pcr2: randomBytes(48),
});

/** @param chain another chain than the usual one. */
export async function deployEnclaveStage(chain: { chainId?: number } = {}): Promise<EnclaveStage> {
  const stage = await deployStage(chain);
  const { verifier: attestation } = await deployVerifier(stage.owner);
  const measurements = randomMeasurements();
  await stage.nodes.addVerifier(attestation);
  await stage.nodes.approvePCR(measurements, "1.0.0", LLM_PROXY);
  const nodeId = await registerKeyless(stage, stage.operator);
  const clock = { now: 0 };
  await synchronise(stage, clock);
  const authorities = new CertificateChain(testRoot());
  // so that most documents here take a third of the time
  const host = authorities.at(clock.now / 1000);
  for (let i = 1; i < host.length; i++) await attestation.stageCertificate(host[i]!.der, host[i - 1]!.der);
  return { ...stage, attestation, authorities, clock, measurements, nodeId, verifier: 0 };
}

/** Sets the enclaves' clock to the chain's. */
export async function synchronise(protocol: Protocol, clock: { now: number }): Promise<void> {
  clock.now = (await latestTimestamp(protocol)) * 1000;
}

export function startEnclave(stage: EnclaveStage, options: { measurements?: Measurements; debug?: boolean } = {}) {
  const { authorities, clock, measurements } = stage;
  return Enclave.start({ authorities, measurements, clock: () => clock.now, ...options });
}

/** Asks for a challenge and returns it. */
export async function challengeFor(
  nodes: NodeRegistry,
  operator: Signer,
  nodeId: string,
  teeType = LLM_PROXY,
): Promise<Buffer> {
  const sent = await nodes.connect(operator).requestChallenge(nodeId, teeType);
  const { logs } = (await sent.wait())!;
  const challenge = nodes.interface.parseLog(logs[0]!)!.args.getValue("challenge") as string;
  return Buffer.from(challenge.slice(2), "hex");
}

/** Registers an enclave by a document that answers a fresh challenge, or by another one. */
export async function registerEnclave(
  stage: EnclaveStage,
  enclave: Enclave,
  other: { nodeId?: string; operator?: Signer; teeType?: number; document?: Uint8Array } = {},
): Promise<ContractTransactionResponse> {
  const { nodes, clock, verifier } = stage;
  const { nodeId = stage.nodeId, operator = stage.operator, teeType = LLM_PROXY } = other;
  let { document } = other;
  if (document === undefined) {
    const nonce = await challengeFor(nodes, operator, nodeId, teeType);
    await synchronise(stage, clock);
    document = enclave.attest(nonce);
  }
  const { publicKeyDer, tlsCertificateDer } = enclave;
  return nodes
    .connect(operator)
    .registerEnclave(nodeId, teeType, verifier, document, publicKeyDer, tlsCertificateDer, { gasLimit: GAS_CAP });
}

/** The stage with one registered enclave. */
export async function deployRegisteredEnclave(): Promise<EnclaveStage & { enclave: Enclave }> {
  const stage = await deployEnclaveStage();
  const enclave = await startEnclave(stage);
  await registerEnclave(stage, enclave);
  return { ...stage, enclave };
}

/** A document of another image that binds an enclave's keys, as only an attacker inside of hardware could make one. */
export function attestAs(
  { authorities, clock }: EnclaveStage,
  enclave: Enclave,
  measurements: Measurements,
  nonce: Uint8Array,
): Buffer {
  const cose = decode<[unknown, unknown, Uint8Array, unknown]>(enclave.attest(nonce));
  const { public_key: publicKey, user_data: userData } = decode<{ public_key: Uint8Array; user_data: Uint8Array }>(
    cose[2],
  );
  return new SoftwareNsm({ authorities, measurements, clock: () => clock.now }).attest({ publicKey, userData, nonce });
}

/** Prolongs an enclave by a document that answers a fresh challenge, or by another one. */
export async function renewAttestation(
  stage: EnclaveStage,
  enclave: Enclave,
  other: { teeId?: Hex; document?: Uint8Array } = {},
): Promise<ContractTransactionResponse> {
  const { nodes, operator, nodeId, verifier, clock } = stage;
  let { document } = other;
  if (document === undefined) {
    const nonce = await challengeFor(nodes, operator, nodeId);
    await synchronise(stage, clock);
    document = enclave.attest(nonce);
  }
  const teeId = other.teeId ?? enclave.teeId;
  return nodes.connect(operator).renewAttestation(teeId, verifier, document, { gasLimit: GAS_CAP });
}

/** An enclave's heartbeat for this registry on this chain. */
export async function heartbeatOf(
  { nodes, connection }: Protocol,
  enclave: Enclave,
  timestamp: number,
): Promise<string> {
  const { chainId } = await connection.ethers.provider.getNetwork();
  return signHeartbeat(enclave, { chainId, verifyingContract: (await nodes.getAddress()) as Hex }, BigInt(timestamp));
}
