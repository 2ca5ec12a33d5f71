import "reflect-metadata";

import { type KeyObject, X509Certificate } from "node:crypto";

import * as x509 from "@peculiar/x509";

import { AttestationError } from "./AttestationError.ts";
import { sha256 } from "./boundKeys.ts";

/** A certificate of a verified chain. */
export interface VerifiedCertificate {
  der: Buffer;
  subject: string;
  issuer: string;
  /** Hexadecimal. */
  serialNumber: string;
  /** Unix seconds, both inclusive. */
  notBefore: number;
  notAfter: number;
}

export interface VerifiedChain {
  /** Root first. */
  certificates: VerifiedCertificate[];
  leafKey: KeyObject;
}

/** One certificate, read by both libraries: node:crypto has the signatures, @peculiar/x509 the fields. */
interface Link {
  /** For messages: "certificate 2 (CN=…)". */
  label: string;
  der: Buffer;
  crypto: X509Certificate;
  fields: x509.X509Certificate;
}

/**
 * Verifies a chain from its root to its leaf by the rules of RFC 5280, section 6, that Nitro's chains make use of, and none looser.
 * @param chain DER, root first.
 * @param rootFingerprint SHA-256 of the trusted root's DER, lower-case hexadecimal.
 * @param at unix seconds.
 * @throws AttestationError
 */
export function verifyCertificates(chain: readonly Buffer[], rootFingerprint: string, at: number): VerifiedChain {
  const found = sha256(chain[0]!).toString("hex");
  if (found !== rootFingerprint) {
    throw new AttestationError("untrusted_root", `Expected a chain from the root ${rootFingerprint}, found ${found}`);
  }
  try {
    return verifiedChain(chain, at);
  } catch (error) {
    if (error instanceof AttestationError) throw error;
    // Both libraries read the parts of a certificate when they are asked for them, and may fail as late as then.
    throw malformed("a certificate of the chain", error instanceof Error ? error.message : String(error), error);
  }
}

function verifiedChain(chain: readonly Buffer[], at: number): VerifiedChain {
  const links = chain.map(readLink);
  links.forEach((link, depth) => {
    const isLeaf = depth === links.length - 1;
    // The root is trusted for its bytes, but what it may do still counts.
    if (depth > 0) requireIssuedBy(link, links[depth - 1]!);
    requireValid(link, at);
    requireKnownExtensions(link);
    if (isLeaf) requireLeaf(link);
    else requireAuthority(link, links.length - 2 - depth);
  });
  return { certificates: links.map(summary), leafKey: links.at(-1)!.crypto.publicKey };
}

function readLink(der: Buffer, depth: number): Link {
  const link = parsed(der, depth);
  const { label, crypto, fields } = link;
  // Both libraries read past the end and take lengths that DER forbids; OpenSSL writes them back as DER.
  if (!crypto.raw.equals(der)) throw malformed(label, "expected DER and nothing after it");
  const version: unknown = (fields.toTextObject().Data as { Version?: unknown } | undefined)?.Version;
  if (version !== "v3 (2)") throw malformed(label, `expected X.509 v3, found ${String(version)}`);
  const { namedCurve } = crypto.publicKey.asymmetricKeyDetails ?? {};
  const { name, hash } = fields.signatureAlgorithm as unknown as SignatureAlgorithm;
  if (namedCurve !== "secp384r1" || name !== "ECDSA" || hash?.name !== "SHA-384") {
    const algorithms = `a key on ${namedCurve ?? "no curve"}, signed by ${name} with ${hash?.name ?? "no hash"}`;
    const found = `${label}: expected P-384, signed by ECDSA with SHA-384, found ${algorithms}`;
    throw new AttestationError("wrong_key_type", found);
  }
  return link;
}

/** What the library's type is in a browser's vocabulary. */
interface SignatureAlgorithm {
  name: string;
  hash?: { name: string };
}

function parsed(der: Buffer, depth: number): Link {
  const unnamed = `certificate ${depth}`;
  try {
    const crypto = new X509Certificate(der);
    // Base64 or PEM would be read as well.
    const fields = new x509.X509Certificate(der);
    return { label: `${unnamed} (${fields.subject})`, der, crypto, fields };
  } catch (error) {
    throw malformed(unnamed, error instanceof Error ? error.message : String(error), error);
  }
}

const malformed = (label: string, reason: string, cause?: unknown): AttestationError =>
  new AttestationError("malformed_certificate", `${label}: ${reason}`, { cause });

function requireIssuedBy({ label, crypto, fields }: Link, issuer: Link): void {
  const [expected, found] = [issuer.fields.subjectName, fields.issuerName];
  if (!same(expected.toArrayBuffer(), found.toArrayBuffer())) {
    const names = `expected the issuer ${expected.toString()}, found ${found.toString()}`;
    throw new AttestationError("wrong_issuer", `${label}: ${names}`);
  }
  if (!crypto.verify(issuer.crypto.publicKey)) {
    throw new AttestationError("bad_certificate_signature", `${label}: expected a signature by ${issuer.label}`);
  }
}

function requireValid({ label, crypto, fields }: Link, at: number): void {
  const times = [fields.notBefore.getTime(), fields.notAfter.getTime()];
  const again = [Date.parse(crypto.validFrom), Date.parse(crypto.validTo)];
  // What is no time to one of them is NaN, which equals nothing.
  if (times.some((time, index) => time !== again[index])) {
    throw malformed(label, `expected times, found ${crypto.validFrom} and ${crypto.validTo}`);
  }
  if (at < seconds(fields.notBefore) || at > seconds(fields.notAfter)) {
    const window = `${fields.notBefore.toISOString()} to ${fields.notAfter.toISOString()}`;
    const found = `${label}: valid from ${window}, not at ${new Date(at * 1000).toISOString()}`;
    throw new AttestationError("certificate_not_valid", found);
  }
}

const BASIC_CONSTRAINTS = "2.5.29.19";
const KEY_USAGE = "2.5.29.15";

function requireKnownExtensions({ label, der, fields }: Link): void {
  const types = fields.extensions.map(({ type }) => type);
  const twice = types.find((type, index) => types.indexOf(type) !== index);
  if (twice) throw malformed(label, `expected each extension once, found ${twice} twice`);
  // The library writes an extension anew as DER, so what was read from anything else is not to be found in the certificate.
  const loose = fields.extensions.find(({ rawData }) => !der.includes(Buffer.from(rawData)));
  if (loose) throw malformed(label, `expected extension ${loose.type} as DER`);
  const unknown = fields.extensions.find(
    ({ critical, type }) => critical && type !== BASIC_CONSTRAINTS && type !== KEY_USAGE,
  );
  if (unknown) {
    const found = `${label}: expected no critical extension but basicConstraints and keyUsage, found ${unknown.type}`;
    throw new AttestationError("unknown_critical_extension", found);
  }
}

/** @param below how many authorities follow in the chain. */
function requireAuthority(link: Link, below: number): void {
  const { ca, pathLength } = basicConstraintsOf(link);
  if (!ca) throw new AttestationError("wrong_certificate_role", `${link.label}: expected an authority, found CA:FALSE`);
  if (pathLength !== undefined && below > pathLength) {
    const found = `${link.label}: expected at most ${pathLength} authorities below it, found ${below}`;
    throw new AttestationError("path_too_long", found);
  }
  requireUsage(link, x509.KeyUsageFlags.keyCertSign, "keyCertSign");
}

function requireLeaf(link: Link): void {
  const { ca, pathLength } = basicConstraintsOf(link);
  if (ca || pathLength !== undefined) {
    const found = `${link.label}: expected a leaf, found CA:${ca ? "TRUE" : "FALSE"} and path length ${pathLength ?? "none"}`;
    throw new AttestationError("wrong_certificate_role", found);
  }
  requireUsage(link, x509.KeyUsageFlags.digitalSignature, "digitalSignature");
}

function basicConstraintsOf({ label, fields }: Link): { ca: boolean; pathLength: number | undefined } {
  const found = fields.getExtension(x509.BasicConstraintsExtension);
  if (!found) throw new AttestationError("wrong_certificate_role", `${label}: expected basicConstraints, found none`);
  const { ca, pathLength, critical, value } = found;
  const canonical = new x509.BasicConstraintsExtension(ca, pathLength, critical);
  if (!same(canonical.value, value)) {
    throw malformed(label, `expected basicConstraints as DER, found ${Buffer.from(value).toString("hex")}`);
  }
  return { ca, pathLength };
}

function requireUsage({ label, fields }: Link, flag: x509.KeyUsageFlags, name: string): void {
  const usages = fields.getExtension(x509.KeyUsagesExtension)?.usages ?? 0;
  if (!(usages & flag)) throw new AttestationError("wrong_key_usage", `${label}: expected the key usage ${name}`);
}

function summary({ der, fields }: Link): VerifiedCertificate {
  const { subject, issuer, serialNumber, notBefore, notAfter } = fields;
  return { der, subject, issuer, serialNumber, notBefore: seconds(notBefore), notAfter: seconds(notAfter) };
}

const same = (a: ArrayBuffer, b: ArrayBuffer): boolean => Buffer.from(a).equals(Buffer.from(b));

const seconds = (date: Date): number => date.getTime() / 1000;
