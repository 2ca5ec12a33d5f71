import { createHash } from "node:crypto";

import { keccak256, SigningKey } from "ethers";

import { publicKeyField, sha256, userDataField } from "../../simulator/enclave/boundKeys.ts";
import { signHeartbeat } from "../../simulator/enclave/EnclaveKeeper.ts";
import { TEST_ROOT_DER } from "../../simulator/enclave/testRoot.ts";
import { SettlementHasher } from "../../simulator/receipts/eip712.ts";
import { signerFromKey } from "../../simulator/receipts/secp256k1.ts";
import { Mode, type Hex, type Receipt } from "../../simulator/receipts/types.ts";
import { factories } from "../../typechain-types/index.ts";
import { createNetworkAt, GAS, ISSUED_AT, MEASURED } from "../../test/support/attestation.ts";
import { Role, testKey } from "../../test/support/protocol.ts";
import { gasOfCall } from "../../test/support/gasOfCall.ts";
import { sameDocument } from "./attestationGas.ts";
import type { GasMeter, Sent } from "./GasMeter.ts";

/** Longer than everything here takes, in blocks of a second. */
const BEFORE = 300;
const LLM_PROXY = 0;

/** Bytes that look like a key's, the same in every run. */
function filler(length: number, name: string): Buffer {
  const blocks = Array.from({ length: Math.ceil(length / 32) }, (_, i) =>
    createHash("sha256").update(`${name} ${i}`).digest(),
  );
  return Buffer.concat(blocks).subarray(0, length);
}

/** RSA of 2,048 bits as SubjectPublicKeyInfo: of nobody's, since no signature of it is needed here. */
function signingKey(): Buffer {
  const modulus = filler(256, "RSA");
  modulus[0]! |= 0x80;
  modulus[255]! |= 1;
  const head = "30820122300d06092a864886f70d01010105000382010f003082010a0282010100";
  return Buffer.concat([Buffer.from(head, "hex"), modulus, Buffer.from("0203010001", "hex")]);
}

/**
 * NodeRegistry's functions for enclaves. A challenge depends on the blocks before, and gas on the bytes of the signature over it, so
 * every block has its time.
 */
export async function measureEnclaves(gas: GasMeter): Promise<void> {
  const connection = await createNetworkAt(ISSUED_AT);
  const [owner, operator, guardian] = await connection.ethers.getSigners();
  let now = ISSUED_AT - BEFORE;
  const next = async <T>(send: () => Promise<T>): Promise<T> => {
    await connection.networkHelpers.time.setNextBlockTimestamp((now += 1));
    return send();
  };
  const measure = (name: string, send: () => Sent) => next(() => gas.measure(`NodeRegistry.${name}`, send()));

  const { OPG__factory } = factories.token;
  const { NodeStaking__factory } = factories.staking;
  const { NodeRegistry__factory } = factories.nodes;
  const { P384Verifier__factory, Sha384__factory, NitroAttestationVerifier__factory } = factories.attestation;
  const opg = await next(() => new OPG__factory(owner!).deploy(owner!));
  const staking = await next(() => new NodeStaking__factory(owner!).deploy(opg, owner!, 604_800));
  const nodes = await next(() => new NodeRegistry__factory(owner!).deploy(staking, owner!));
  const p384 = await next(() => new P384Verifier__factory(owner!).deploy());
  const sha384 = await next(() => new Sha384__factory(owner!).deploy());
  const verifier = await next(() =>
    new NitroAttestationVerifier__factory(owner!).deploy(p384, sha384, TEST_ROOT_DER, owner!, GAS),
  );
  await next(() => nodes.connect(operator).register(Role.Inference, operator!, "https://enclave-1.example.org"));
  const [nodeId] = (await nodes.nodesOf(Role.Inference, 0, 1)).nodeIds as unknown as [Hex];

  const [pcr0, pcr1, pcr2] = MEASURED;
  const pcrHash = keccak256(Buffer.concat(MEASURED));
  await measure("addTEEType", () => nodes.addTEEType(2, "DataNode"));
  await measure("setGuardian", () => nodes.setGuardian(guardian!));
  await measure("setAttestationTtl", () => nodes.setAttestationTtl(80_000));
  await measure("setHeartbeatMaxAge", () => nodes.setHeartbeatMaxAge(3_600));
  await measure("addVerifier", () => nodes.addVerifier(verifier));
  await measure("approvePCR", () => nodes.approvePCR({ pcr0, pcr1, pcr2 }, "1.0.0", LLM_PROXY));

  const key = testKey(80);
  const enclave = { signer: signerFromKey(key.privateKey as Hex), teeId: keccak256(signingKey()) as Hex };
  const certificate = filler(420, "TLS certificate");
  const keys = {
    publicKey: publicKeyField({
      receiptKey: Buffer.from(new SigningKey(key.privateKey).publicKey.slice(2), "hex"),
      sealingKey: filler(32, "X25519"),
    }),
    userData: userDataField({ tlsCertificateHash: sha256(certificate), signingKeyHash: sha256(signingKey()) }),
  };
  const registry = nodes.connect(operator);
  const document = async (name: string): Promise<Buffer> => {
    await measure(`requestChallenge (${name})`, () => registry.requestChallenge(nodeId, LLM_PROXY));
    const [issued] = await nodes.queryFilter(nodes.filters.ChallengeIssued(nodeId), "latest");
    return sameDocument({
      ...keys,
      nonce: Buffer.from(issued!.args.challenge.slice(2), "hex"),
      timestamp: ISSUED_AT * 1000,
    });
  };
  const first = await document("first");
  // the chain's certificates begin at ISSUED_AT
  now = ISSUED_AT;
  const registered = await measure("registerEnclave (nothing remembered)", () =>
    registry.registerEnclave(nodeId, LLM_PROXY, 0, first, signingKey(), certificate, GAS),
  );
  gas.row("attest.register", registered);
  const second = await document("again");
  await measure("renewAttestation", () => registry.renewAttestation(enclave.teeId, 0, second, GAS));

  const domain = { chainId: 31337n, verifyingContract: (await nodes.getAddress()) as Hex };
  const at = now + 1;
  const beat = signHeartbeat(enclave, domain, BigInt(at));
  await measure("heartbeat", () => nodes.heartbeat(enclave.teeId, at, beat));

  const receipt: Receipt = {
    requestId: keccak256(filler(32, "request")) as Hex,
    modelId: keccak256(filler(32, "model")) as Hex,
    mode: Mode.Tee,
    inputHash: keccak256(filler(32, "input")) as Hex,
    outputHash: keccak256(filler(32, "output")) as Hex,
    payer: operator!.address.toLowerCase() as Hex,
    fee: 10n ** 16n,
    servedAt: BigInt(at - 1),
  };
  const hasher = new SettlementHasher(domain);
  const signature = enclave.signer.sign(hasher.receiptDigest(receipt));
  const data = nodes.interface.encodeFunctionData("checkReceiptSignature", [
    hasher.domainSeparator,
    receipt,
    { r: signature.slice(0, 66), vs: `0x${signature.slice(66)}` },
  ]);
  gas.row("receipt.tee", await gasOfCall(connection, { to: await nodes.getAddress(), data }));

  await measure("disableTEE", () => registry.disableTEE(enclave.teeId));
  await measure("revokePCR", () => nodes.connect(guardian).revokePCR(pcrHash, LLM_PROXY));
  await measure("removeVerifier", () => nodes.connect(guardian).removeVerifier(0));
  await connection.close();
}
