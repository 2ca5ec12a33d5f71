import { createHash, generateKeyPairSync, type KeyObject, sign } from "node:crypto";

import {
  bitString,
  boolean,
  explicit,
  implicit,
  integer,
  namedBits,
  objectIdentifier,
  octetString,
  printableString,
  sequence,
  set,
  time,
  utf8String,
} from "./der.ts";

export interface KeyPair {
  publicKey: KeyObject;
  privateKey: KeyObject;
}

/** A certificate with the key it certifies. */
export interface Certificate {
  der: Buffer;
  /** DER of the subject's Name. */
  subject: Buffer;
  /** SHA-1 of the public key's bits (RFC 5280, 4.2.1.2, method 1), as AWS makes it. */
  keyId: Buffer;
  keys: KeyPair;
  /** Unix seconds, both inclusive. */
  notBefore: number;
  notAfter: number;
}

/** What to put into a certificate. Nothing is checked, so that a test can ask for any fault. */
export interface CertificateSpec {
  /** DER of a Name: `distinguishedName`. */
  subject: Buffer;
  /** Magnitude, big-endian. */
  serial: Uint8Array;
  /** Unix seconds. */
  notBefore: number;
  notAfter: number;
  /** DER of each extension; no extensions field when undefined. */
  extensions: ((ids: KeyIds) => readonly Buffer[]) | undefined;
  /** Default: itself. */
  issuer?: Certificate;
  /** Default: a new P-384 pair. */
  keys?: KeyPair;
  /** DER of the two times to write instead of notBefore and notAfter. */
  validity?: Buffer;
  /** Name to write instead of the issuer's. */
  issuerName?: Buffer;
  /** Key to sign with instead of the issuer's. */
  signWith?: KeyObject;
  /** Default: SHA-384. */
  hash?: "sha256" | "sha384";
  /** X.509 version minus one; default 2, which is v3. */
  version?: number;
}

export interface KeyIds {
  /** Of the certified key. */
  subject: Buffer;
  /** Of the issuer's key; the certified key's own when self-signed. */
  issuer: Buffer;
}

/** AlgorithmIdentifier of an ECDSA signature. */
export const ecdsaWith = (hash: "sha256" | "sha384"): Buffer =>
  sequence(objectIdentifier(hash === "sha384" ? "1.2.840.10045.4.3.3" : "1.2.840.10045.4.3.2"));

/** Issues an X.509 certificate, signed by ECDSA. */
export function issueCertificate(spec: CertificateSpec): Certificate {
  const keys = spec.keys ?? generateKeyPairSync("ec", { namedCurve: "P-384" });
  const keyId = keyIdOf(keys.publicKey);
  const tbs = tbsCertificate(spec, keys.publicKey, keyId);
  const hash = spec.hash ?? "sha384";
  const signature = sign(hash, tbs, spec.signWith ?? spec.issuer?.keys.privateKey ?? keys.privateKey);
  const { subject, notBefore, notAfter } = spec;
  return { der: signedCertificate(tbs, ecdsaWith(hash), signature), subject, keyId, keys, notBefore, notAfter };
}

function tbsCertificate(spec: CertificateSpec, publicKey: KeyObject, keyId: Buffer): Buffer {
  const { issuer, extensions, subject } = spec;
  return sequence(
    explicit(0, integer(spec.version ?? 2)),
    integer(spec.serial),
    ecdsaWith(spec.hash ?? "sha384"),
    spec.issuerName ?? issuer?.subject ?? subject,
    spec.validity ?? sequence(time(spec.notBefore), time(spec.notAfter)),
    subject,
    publicKey.export({ type: "spki", format: "der" }),
    ...(extensions ? [explicit(3, sequence(...extensions({ subject: keyId, issuer: issuer?.keyId ?? keyId })))] : []),
  );
}

/** The outer structure around a signed body. @param algorithm normally the one the body names. */
export const signedCertificate = (tbs: Buffer, algorithm: Buffer, signature: Buffer): Buffer =>
  sequence(tbs, algorithm, bitString(signature));

/** @returns 20 bytes; the bits of an uncompressed EC point are the last of its SubjectPublicKeyInfo. */
function keyIdOf(publicKey: KeyObject): Buffer {
  const spki = publicKey.export({ type: "spki", format: "der" });
  const pointLength = publicKey.asymmetricKeyDetails?.namedCurve === "secp384r1" ? 97 : 65;
  return createHash("sha1").update(spki.subarray(-pointLength)).digest();
}

const ATTRIBUTES = { C: "2.5.4.6", ST: "2.5.4.8", L: "2.5.4.7", O: "2.5.4.10", OU: "2.5.4.11", CN: "2.5.4.3" };

/** A Name with one attribute per RDN, in the order given. */
export const distinguishedName = (...attributes: readonly (readonly [keyof typeof ATTRIBUTES, string])[]): Buffer =>
  sequence(
    ...attributes.map(([type, value]) =>
      set(sequence(objectIdentifier(ATTRIBUTES[type]), type === "C" ? printableString(value) : utf8String(value))),
    ),
  );

/** One extension. @param oid dotted. @param value DER of the extension's own type. */
export const extension = (oid: string, critical: boolean, value: Buffer): Buffer =>
  sequence(objectIdentifier(oid), ...(critical ? [boolean(true)] : []), octetString(value));

/** Critical; a path length only where given. */
export const basicConstraints = (isCa: boolean, pathLength?: number): Buffer =>
  extension(
    "2.5.29.19",
    true,
    sequence(...(isCa ? [boolean(true)] : []), ...(pathLength === undefined ? [] : [integer(pathLength)])),
  );

/** Bits of RFC 5280, 4.2.1.3. */
const KEY_USAGE = { digitalSignature: 0, nonRepudiation: 1, keyCertSign: 5, cRLSign: 6 };

export const keyUsage = (uses: readonly (keyof typeof KEY_USAGE)[], critical = true): Buffer =>
  extension("2.5.29.15", critical, namedBits(uses.map((use) => KEY_USAGE[use])));

export const subjectKeyIdentifier = (keyId: Buffer): Buffer => extension("2.5.29.14", false, octetString(keyId));

export const authorityKeyIdentifier = (keyId: Buffer): Buffer =>
  extension("2.5.29.35", false, sequence(implicit(0, keyId)));

export const crlDistributionPoint = (url: string): Buffer =>
  extension("2.5.29.31", false, sequence(sequence(explicit(0, explicit(0, implicit(6, Buffer.from(url, "latin1")))))));

/** DNS names and IPv4 addresses. */
export const subjectAltName = (dnsNames: readonly string[], ipAddresses: readonly string[]): Buffer =>
  extension(
    "2.5.29.17",
    false,
    sequence(
      ...dnsNames.map((name) => implicit(2, Buffer.from(name, "latin1"))),
      ...ipAddresses.map((address) => implicit(7, Buffer.from(address.split(".").map(Number)))),
    ),
  );

/** For a TLS server (RFC 5280, 4.2.1.12). */
export const serverAuth = (): Buffer => extension("2.5.29.37", false, sequence(objectIdentifier("1.3.6.1.5.5.7.3.1")));
