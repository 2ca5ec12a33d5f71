import type { HardhatEthersSigner } from "@nomicfoundation/hardhat-ethers/types";
import { ethers, type Signer } from "ethers";
import { network } from "hardhat";
import type { NetworkConnection } from "hardhat/types/network";

import { attestationEntries, type AttestationFields } from "../../simulator/enclave/attestationDocument.ts";
import { type CborEntry, indefiniteMap } from "../../simulator/enclave/cbor.ts";
import { type Certificate, type CertificateSpec, issueCertificate } from "../../simulator/enclave/certificate.ts";
import { instanceSpec, leafSpec, regionalSpec, zonalSpec } from "../../simulator/enclave/certificateProfiles.ts";
import { coseSign1 } from "../../simulator/enclave/coseSign1.ts";
import { TEST_ROOT_DER, testRoot } from "../../simulator/enclave/testRoot.ts";
import { factories } from "../../typechain-types/index.ts";
import type { NitroAttestationVerifier, P384Verifier, Sha384 } from "../../typechain-types/index.ts";

/** Unix seconds at which the chains of tests are issued, and near which their blocks are. */
export const ISSUED_AT = 2_000_000_000;

/** The most a transaction may have; named, so that no time is spent on estimating. */
export const GAS = { gasLimit: 16_777_216 };

export interface AttestationStage {
  connection: NetworkConnection;
  owner: HardhatEthersSigner;
  revoker: HardhatEthersSigner;
  stranger: HardhatEthersSigner;
  p384: P384Verifier;
  sha384: Sha384;
  verifier: NitroAttestationVerifier;
}

export interface AttestationStageOptions {
  /** Default: the simulator's. */
  rootDer?: Uint8Array;
  /** Unix seconds of the next block; at most ten minutes after the chain begins. */
  at?: number;
  /** Default: a local chain's. */
  chainId?: number;
}

/** A verifier on a fresh chain whose clock is where its documents are valid. */
export async function deployAttestation(options: AttestationStageOptions = {}): Promise<AttestationStage> {
  const { rootDer = TEST_ROOT_DER, at = ISSUED_AT } = options;
  const connection = await createNetworkAt(at, options.chainId);
  const [owner, revoker, stranger] = (await connection.ethers.getSigners()) as [
    HardhatEthersSigner,
    HardhatEthersSigner,
    HardhatEthersSigner,
  ];
  const contracts = await deployVerifier(owner, rootDer);
  await connection.networkHelpers.time.increaseTo(at);
  return { connection, owner, revoker, stranger, ...contracts };
}

/** A verifier of attestations under a root, and what it computes with. */
export async function deployVerifier(
  owner: Signer,
  rootDer: Uint8Array = TEST_ROOT_DER,
): Promise<Pick<AttestationStage, "p384" | "sha384" | "verifier">> {
  const { P384Verifier__factory, Sha384__factory, NitroAttestationVerifier__factory } = factories.attestation;
  const p384 = await new P384Verifier__factory(owner).deploy();
  const sha384 = await new Sha384__factory(owner).deploy();
  const verifier = await new NitroAttestationVerifier__factory(owner).deploy(p384, sha384, rootDer, owner, GAS);
  return { p384, sha384, verifier };
}

/** A chain that begins ten minutes before a time, whatever the time is here. */
export function createNetworkAt(at: number, chainId?: number): Promise<NetworkConnection> {
  const initialDate = new Date((at - 600) * 1_000).toISOString();
  return network.create({ override: { initialDate, ...(chainId === undefined ? {} : { chainId }) } });
}

/** Certificates of a document: CAs with the root first, and the key that signs it. */
export interface TestChain {
  cas: readonly Certificate[];
  leaf: Certificate;
}

/** What to do otherwise than AWS does, by level. */
export type ChainFaults = Partial<Record<"regional" | "zonal" | "instance" | "leaf", Partial<CertificateSpec>>>;

/** The host of test chains. */
export const PLACE = { region: "us-east-2", instanceId: "i-0123456789abcdef0" };

/**
 * Issues what is missing of a chain, in AWS's profiles.
 * @param above the CAs that are there already, root first; default: the test root alone.
 */
export function issueChain(
  faults: ChainFaults = {},
  above: readonly Certificate[] = [testRoot()],
  now = ISSUED_AT,
): TestChain {
  const levels = [
    [regionalSpec, faults.regional],
    [zonalSpec, faults.zonal],
    [instanceSpec, faults.instance],
  ] as const;
  const cas = [...above];
  for (const [specOf, fault] of levels.slice(above.length - 1)) {
    cas.push(issueCertificate({ ...specOf(cas.at(-1)!, PLACE, now), ...fault }));
  }
  return { cas, leaf: issueLeaf(cas.at(-1)!, faults.leaf, now) };
}

export function issueLeaf(issuer: Certificate, fault: Partial<CertificateSpec> = {}, now = ISSUED_AT): Certificate {
  return issueCertificate({ ...leafSpec(issuer, PLACE, Buffer.from("0123456789abcdef", "hex"), now), ...fault });
}

/** PCR0 to PCR2 of test documents; the others are zero. */
export const MEASURED = [0x10, 0x11, 0x12].map((byte) => Buffer.alloc(48, byte)) as [Buffer, Buffer, Buffer];
export const MEASURED_HASH = ethers.keccak256(Buffer.concat(MEASURED));

export function fieldsOf(chain: TestChain, fields: Partial<AttestationFields> = {}): AttestationFields {
  return {
    moduleId: `${PLACE.instanceId}-enc0123456789abcdef`,
    timestamp: ISSUED_AT * 1_000,
    pcrs: new Map(Array.from({ length: 16 }, (_, index) => [index, MEASURED[index] ?? Buffer.alloc(48)])),
    certificate: chain.leaf.der,
    cabundle: chain.cas.map(({ der }) => der),
    publicKey: Buffer.alloc(97, 0x21),
    userData: Buffer.alloc(68, 0x22),
    nonce: Buffer.alloc(32, 0x23),
    ...fields,
  };
}

/** A document as hardware writes it, signed by the chain's leaf. */
export function documentOf(chain: TestChain, fields: Partial<AttestationFields> = {}): Buffer {
  return signEntries(chain, attestationEntries(fieldsOf(chain, fields)));
}

/** A document of these keys and values, well-formed or not. */
export function signEntries({ leaf }: TestChain, entries: readonly CborEntry[]): Buffer {
  return coseSign1(indefiniteMap(entries), leaf.keys.privateKey);
}
