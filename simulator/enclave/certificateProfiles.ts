import { randomBytes, randomUUID } from "node:crypto";

import {
  authorityKeyIdentifier,
  basicConstraints,
  type Certificate,
  type CertificateSpec,
  crlDistributionPoint,
  distinguishedName,
  keyUsage,
  subjectKeyIdentifier,
} from "./certificate.ts";

const HOUR = 3600;
const DAY = 24 * HOUR;

/** A leaf certificate's life from its issue, seconds; it begins LEAF_BACKDATING earlier. */
export const LEAF_LIFETIME = 3 * HOUR;
const LEAF_BACKDATING = 3;

/**
 * The certificates of a Nitro host as AWS makes them: names, order and flags of every field, extensions and lifetimes are those of the
 * documents of 2026. A level begins `age` seconds before it is issued, as long as the ones of a host are found to have been in use.
 */
export const PROFILES = {
  regional: { lifetime: 20 * DAY + HOUR, age: 4 * DAY, pathLength: 2 },
  zonal: { lifetime: 6 * DAY, age: 10 * HOUR, pathLength: 1 },
  instance: { lifetime: DAY, age: HOUR, pathLength: 0 },
} as const;

export interface HostPlace {
  /** Such as us-east-2. */
  region: string;
  /** Such as i-0340e0cb833504eb6. */
  instanceId: string;
}

/** @param now unix seconds, here and below. */
export function regionalSpec(issuer: Certificate, { region }: HostPlace, now: number): CertificateSpec {
  return {
    issuer,
    subject: distinguishedName(["C", "US"], ["O", ORGANIZATION], ["OU", UNIT], ["CN", `${hex(8)}.${region}.${DOMAIN}`]),
    serial: randomSerial(16),
    ...validity("regional", now),
    extensions: (ids) => [
      basicConstraints(true, PROFILES.regional.pathLength),
      authorityKeyIdentifier(ids.issuer),
      subjectKeyIdentifier(ids.subject),
      keyUsage(["digitalSignature", "keyCertSign", "cRLSign"]),
      crlDistributionPoint(`http://sim-nitro-enclaves-crl.ogtest.invalid/crl/${randomUUID()}.crl`),
    ],
  };
}

export function zonalSpec(issuer: Certificate, { region }: HostPlace, now: number): CertificateSpec {
  return {
    issuer,
    subject: distinguishedName(
      ["CN", `${hex(8)}.zonal.${region}.${DOMAIN}`],
      ["OU", UNIT],
      ["O", ORGANIZATION],
      ["C", "US"],
      ["ST", "WA"],
      ["L", "Seattle"],
    ),
    serial: randomSerial(16),
    ...validity("zonal", now),
    extensions: (ids) => [
      basicConstraints(true, PROFILES.zonal.pathLength),
      authorityKeyIdentifier(ids.issuer),
      subjectKeyIdentifier(ids.subject),
      keyUsage(["digitalSignature", "keyCertSign", "cRLSign"]),
      crlDistributionPoint(`http://crl-${region}-sim-nitro-enclaves.${region}.ogtest.invalid/crl/${randomUUID()}.crl`),
    ],
  };
}

export function instanceSpec(issuer: Certificate, { region, instanceId }: HostPlace, now: number): CertificateSpec {
  return {
    issuer,
    subject: machineName(`${instanceId}.${region}.${DOMAIN}`),
    serial: randomSerial(20),
    ...validity("instance", now),
    extensions: (ids) => [
      basicConstraints(true, PROFILES.instance.pathLength),
      keyUsage(["keyCertSign"]),
      subjectKeyIdentifier(ids.subject),
      authorityKeyIdentifier(ids.issuer),
    ],
  };
}

/** @param enclaveId 8 bytes. */
export function leafSpec(issuer: Certificate, place: HostPlace, enclaveId: Buffer, now: number): CertificateSpec {
  const issuedAt = Buffer.alloc(8);
  issuedAt.writeBigUInt64BE(BigInt(now));
  return {
    issuer,
    subject: machineName(`${moduleIdOf(place, enclaveId)}.${place.region}.sim`),
    serial: Buffer.concat([enclaveId, issuedAt]),
    notBefore: now - LEAF_BACKDATING,
    notAfter: now + LEAF_LIFETIME,
    extensions: () => [basicConstraints(false), keyUsage(["digitalSignature", "nonRepudiation"], false)],
  };
}

/** How an enclave is called in its documents. */
export const moduleIdOf = ({ instanceId }: HostPlace, enclaveId: Buffer): string =>
  `${instanceId}-enc${enclaveId.toString("hex")}`;

/** As long as Amazon's "Amazon", "AWS" and "aws.nitro-enclaves", and not to be taken for them. */
const ORGANIZATION = "OGTest";
const UNIT = "SIM";
const DOMAIN = "sim.nitro-enclaves";

const machineName = (commonName: string): Buffer =>
  distinguishedName(
    ["C", "US"],
    ["ST", "Washington"],
    ["L", "Seattle"],
    ["O", ORGANIZATION],
    ["OU", UNIT],
    ["CN", commonName],
  );

function validity(level: keyof typeof PROFILES, now: number): { notBefore: number; notAfter: number } {
  const { age, lifetime } = PROFILES[level];
  return { notBefore: now - age, notAfter: now - age + lifetime };
}

const hex = (bytes: number): string => randomBytes(bytes).toString("hex");

/** Positive and of full length. */
function randomSerial(length: number): Buffer {
  const serial = randomBytes(length);
  serial[0] = (serial[0]! & 0x7f) | 0x01;
  return serial;
}
