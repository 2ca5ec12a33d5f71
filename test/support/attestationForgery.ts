import { createHash, type KeyObject } from "node:crypto";

import { type AttestationFields, attestationEntries } from "../../simulator/enclave/attestationDocument.ts";
import * as cbor from "../../simulator/enclave/cbor.ts";
import { type Certificate, type CertificateSpec, issueCertificate } from "../../simulator/enclave/certificate.ts";
import {
  type HostPlace,
  instanceSpec,
  leafSpec,
  moduleIdOf,
  regionalSpec,
  zonalSpec,
} from "../../simulator/enclave/certificateProfiles.ts";
import { coseSign1 } from "../../simulator/enclave/coseSign1.ts";
import { measured } from "../../simulator/enclave/SoftwareNsm.ts";
import { testRoot } from "../../simulator/enclave/testRoot.ts";

const PLACE: HostPlace = { region: "us-east-2", instanceId: "i-0123456789abcdef0" };
const ENCLAVE_ID = Buffer.from("019c12d31f78864d", "hex");

/** Bytes that look random and are the same in every run. */
export function bytesOf(label: string, length: number): Buffer {
  const blocks = Array.from({ length: Math.ceil(length / 32) }, (_, block) =>
    createHash("sha256").update(`${label} ${block}`).digest(),
  );
  return Buffer.concat(blocks).subarray(0, length);
}

/** A chain as AWS's but for what is changed in it. */
export interface ChainFaults {
  root?: Certificate;
  regional?: Partial<CertificateSpec>;
  zonal?: Partial<CertificateSpec>;
  instance?: Partial<CertificateSpec>;
  /** Puts this authority between the instance and the leaf. */
  extra?: Partial<CertificateSpec>;
  leaf?: Partial<CertificateSpec>;
}

export interface ForgedChain {
  /** Root first. */
  authorities: readonly Certificate[];
  leaf: Certificate;
}

/** @param now unix seconds. */
export function forgeChain(now: number, faults: ChainFaults = {}): ForgedChain {
  const root = faults.root ?? testRoot();
  const regional = issueCertificate({ ...regionalSpec(root, PLACE, now), ...faults.regional });
  const zonal = issueCertificate({ ...zonalSpec(regional, PLACE, now), ...faults.zonal });
  const instance = issueCertificate({ ...instanceSpec(zonal, PLACE, now), ...faults.instance });
  const authorities = [root, regional, zonal, instance];
  if (faults.extra) authorities.push(issueCertificate({ ...instanceSpec(instance, PLACE, now), ...faults.extra }));
  const leaf = issueCertificate({ ...leafSpec(authorities.at(-1)!, PLACE, ENCLAVE_ID, now), ...faults.leaf });
  return { authorities, leaf };
}

/** A genuine document's fields at a time, to be changed. @param now unix seconds. */
export function forgeFields(now: number, { authorities, leaf }: ForgedChain): AttestationFields {
  const pcrs = Array.from({ length: 16 }, (_, index) => (index < 3 ? bytesOf(`PCR${index}`, 48) : Buffer.alloc(48)));
  pcrs[4] = measured(Buffer.from(PLACE.instanceId));
  return {
    moduleId: moduleIdOf(PLACE, ENCLAVE_ID),
    timestamp: now * 1000,
    pcrs: new Map(pcrs.entries()),
    certificate: leaf.der,
    cabundle: authorities.map(({ der }) => der),
    publicKey: bytesOf("public key", 97),
    userData: bytesOf("user data", 68),
    nonce: bytesOf("nonce", 32),
  };
}

/** Signs a payload of any entries, an indefinite map as hardware's. */
export const forgeDocument = (entries: readonly cbor.CborEntry[], key: KeyObject): Buffer =>
  coseSign1(cbor.indefiniteMap(entries), key);

/** Entries of a document in which one key has another value. */
export function withValue(fields: AttestationFields, key: string, value: Uint8Array): cbor.CborEntry[] {
  const name = cbor.text(key);
  return attestationEntries(fields).map(([found, old]) => [found, name.equals(found) ? value : old]);
}

export function withoutKey(fields: AttestationFields, key: string): cbor.CborEntry[] {
  const name = cbor.text(key);
  return attestationEntries(fields).filter(([found]) => !name.equals(found));
}
