import { generateKeyPairSync } from "node:crypto";

import type { AttestationErrorCode } from "../../simulator/enclave/AttestationError.ts";
import { type AttestationFields, attestationEntries } from "../../simulator/enclave/attestationDocument.ts";
import {
  basicConstraints,
  type Certificate,
  type CertificateSpec,
  distinguishedName,
  ecdsaWith,
  extension,
  issueCertificate,
  keyUsage,
  signedCertificate,
} from "../../simulator/enclave/certificate.ts";
import { boolean, integer, octetString, objectIdentifier, sequence, time, tlv } from "../../simulator/enclave/der.ts";
import { testRoot } from "../../simulator/enclave/testRoot.ts";
import type { AttestationAttack } from "./attestationAttacks.ts";
import { type ChainFaults, forgeChain, forgeDocument, forgeFields } from "./attestationForgery.ts";

const HOUR = 3600;
const UNKNOWN_EXTENSION = "1.3.6.1.4.1.55738.1";

/** Documents whose chain has one fault. @param now unix seconds. */
export function certificateAttacks(now: number): AttestationAttack[] {
  const stranger = generateKeyPairSync("ec", { namedCurve: "P-384" }).privateKey;
  const chain = (
    name: string,
    refusedFor: AttestationErrorCode | undefined,
    faults: ChainFaults,
  ): AttestationAttack => {
    const forged = forgeChain(now, faults);
    const fields = forgeFields(now, forged);
    // Only a key on P-384 makes a signature of 96 bytes, which is asked for first.
    const { publicKey, privateKey } = forged.leaf.keys;
    const isP384 = publicKey.asymmetricKeyDetails?.namedCurve === "secp384r1";
    const document = forgeDocument(attestationEntries(fields), isP384 ? privateKey : stranger);
    return { name: `with ${name}`, refusedFor, document };
  };
  /** A genuine chain of which one certificate's bytes are changed afterwards. */
  const bytes = (
    name: string,
    refusedFor: AttestationErrorCode,
    change: (der: Buffer) => Buffer,
    level: "zonal" | "leaf" = "zonal",
  ): AttestationAttack => {
    const forged = forgeChain(now);
    const fields = forgeFields(now, forged);
    const cabundle = fields.cabundle.map((der, depth) => (depth === 2 ? change(Buffer.from(der)) : der));
    const changed: AttestationFields =
      level === "zonal" ? { ...fields, cabundle } : { ...fields, certificate: change(Buffer.from(fields.certificate)) };
    const document = forgeDocument(attestationEntries(changed), forged.leaf.keys.privateKey);
    return { name: `with ${name}`, refusedFor, document };
  };
  const past = { notAfter: now - 1 };
  const future = { notBefore: now + 1 };
  const ca = (...more: Buffer[]): Partial<CertificateSpec> => ({ extensions: () => more });
  const [certSign, pathLength1] = [keyUsage(["keyCertSign"]), basicConstraints(true, 1)];

  return [
    ...(["regional", "zonal", "instance", "leaf"] as const).flatMap((level) => [
      chain(`the ${level} certificate expired`, "certificate_not_valid", { [level]: past }),
      chain(`the ${level} certificate not valid yet`, "certificate_not_valid", { [level]: future }),
      chain(`the ${level} certificate ending this second`, undefined, { [level]: { notAfter: now } }),
      chain(`the ${level} certificate signed by a stranger`, "bad_certificate_signature", {
        [level]: { signWith: stranger },
      }),
      chain(`the ${level} certificate of another issuer`, "wrong_issuer", {
        [level]: { issuerName: distinguishedName(["CN", "nobody"]) },
      }),
      chain(`the ${level} certificate of X.509 v1`, "malformed_certificate", { [level]: { version: 0 } }),
      chain(`the ${level} certificate without extensions`, "wrong_certificate_role", {
        [level]: { extensions: undefined },
      }),
    ]),
    ...Object.entries({
      "a month 13": "261321120000Z",
      "no seconds": "2711211200Z",
      "an hour's offset": "271121120000+0100",
      "no digits": "xxxxxxxxxxxxZ",
    }).map(([what, until]) =>
      chain(`a certificate that ends at a time with ${what}`, "malformed_certificate", {
        zonal: { validity: sequence(time(now - HOUR), tlv(0x17, Buffer.from(until))) },
      }),
    ),
    chain("another root", "untrusted_root", { root: otherRoot(now, distinguishedName(["CN", "another root"])) }),
    chain("another root of the same name", "untrusted_root", { root: otherRoot(now, testRoot().subject) }),
    underTheRealRoot(now),
    chain("an authority that is none", "wrong_certificate_role", { zonal: ca(basicConstraints(false), certSign) }),
    chain("an authority without basicConstraints", "wrong_certificate_role", { zonal: ca(certSign) }),
    chain("a leaf that is an authority", "wrong_certificate_role", {
      leaf: ca(basicConstraints(true), keyUsage(["digitalSignature", "keyCertSign"])),
    }),
    chain("a leaf that is none and has a path length", "wrong_certificate_role", {
      leaf: ca(basicConstraints(false, 0), keyUsage(["digitalSignature"])),
    }),
    chain("one authority more than the instance may have below it", "path_too_long", { extra: {} }),
    chain("a zonal path length of 0 above an authority", "path_too_long", {
      zonal: ca(basicConstraints(true, 0), certSign),
    }),
    chain("a regional path length of 1 above two", "path_too_long", { regional: ca(pathLength1, certSign) }),
    chain("a zonal path length wider than the regional one", undefined, {
      zonal: ca(basicConstraints(true, 5), certSign),
    }),
    chain("an authority that may not sign certificates", "wrong_key_usage", {
      zonal: ca(pathLength1, keyUsage(["digitalSignature"])),
    }),
    chain("an authority without key usage", "wrong_key_usage", { zonal: ca(pathLength1) }),
    chain("a leaf that may not sign", "wrong_key_usage", {
      leaf: ca(basicConstraints(false), keyUsage(["nonRepudiation"])),
    }),
    chain("an unknown critical extension", "unknown_critical_extension", {
      zonal: ca(pathLength1, certSign, extension(UNKNOWN_EXTENSION, true, sequence())),
    }),
    chain("an unknown extension", undefined, {
      zonal: ca(pathLength1, certSign, extension(UNKNOWN_EXTENSION, false, sequence())),
    }),
    chain("basicConstraints twice", "malformed_certificate", {
      zonal: ca(pathLength1, basicConstraints(true, 2), certSign),
    }),
    chain("a BOOLEAN that is not DER's", "malformed_certificate", {
      zonal: ca(extension("2.5.29.19", true, sequence(tlv(0x01, Buffer.of(1)), integer(1))), certSign),
    }),
    chain("bytes after basicConstraints", "malformed_certificate", {
      zonal: ca(
        extension("2.5.29.19", true, Buffer.concat([sequence(boolean(true), integer(1)), Buffer.of(0)])),
        certSign,
      ),
    }),
    chain("CA:FALSE written out", "malformed_certificate", {
      leaf: ca(extension("2.5.29.19", true, sequence(boolean(false))), keyUsage(["digitalSignature"])),
    }),
    chain("an extension whose critical FALSE is written out", "malformed_certificate", {
      zonal: ca(
        sequence(objectIdentifier("2.5.29.19"), boolean(false), octetString(sequence(boolean(true), integer(1)))),
        certSign,
      ),
    }),
    chain("a leaf key on P-256", "wrong_key_type", {
      leaf: { keys: generateKeyPairSync("ec", { namedCurve: "P-256" }) },
    }),
    chain("a leaf key on secp256k1", "wrong_key_type", {
      leaf: { keys: generateKeyPairSync("ec", { namedCurve: "secp256k1" }) },
    }),
    chain("a certificate signed with SHA-256", "wrong_key_type", { zonal: { hash: "sha256" } }),
    bytes("another algorithm outside than inside", "wrong_key_type", (der) => {
      const { tbs, signature } = partsOf(der);
      return signedCertificate(tbs, ecdsaWith("sha256"), signature);
    }),
    bytes("a byte after a certificate", "malformed_certificate", (der) => Buffer.concat([der, Buffer.of(0)])),
    bytes("a byte after the leaf", "malformed_certificate", (der) => Buffer.concat([der, Buffer.of(0)]), "leaf"),
    bytes("a longer length than needed", "malformed_certificate", (der) =>
      Buffer.concat([Buffer.of(0x30, 0x83, 0), der.subarray(2)]),
    ),
    bytes("an indefinite length", "malformed_certificate", (der) =>
      Buffer.concat([Buffer.of(0x30, 0x80), der.subarray(4), Buffer.alloc(2)]),
    ),
    bytes("a truncated certificate", "malformed_certificate", (der) => der.subarray(0, -1)),
    bytes("a certificate as PEM", "malformed_certificate", (der) =>
      Buffer.from(
        `-----BEGIN CERTIFICATE-----\n${der.subarray(0, 300).toString("base64")}\n-----END CERTIFICATE-----\n`,
      ),
    ),
  ];
}

const otherRoot = (now: number, subject: Buffer): Certificate =>
  issueCertificate({
    subject,
    serial: Buffer.of(1),
    notBefore: now - HOUR,
    notAfter: now + HOUR,
    extensions: () => [basicConstraints(true), keyUsage(["digitalSignature", "keyCertSign", "cRLSign"])],
  });

/** A chain of a false root that has the true one's name, shown below the true one. */
function underTheRealRoot(now: number): AttestationAttack {
  const chain = forgeChain(now, { root: otherRoot(now, testRoot().subject) });
  const fields = forgeFields(now, chain);
  const cabundle = [testRoot().der, ...fields.cabundle.slice(1)];
  const document = forgeDocument(attestationEntries({ ...fields, cabundle }), chain.leaf.keys.privateKey);
  return { name: "with a false root's chain under the true root", refusedFor: "bad_certificate_signature", document };
}

/** Of a certificate with a body of 256 bytes or more, as all of these have. */
function partsOf(der: Buffer): { tbs: Buffer; signature: Buffer } {
  const end = 4 + 4 + der.readUInt16BE(6);
  const algorithmLength = 12;
  // After the algorithm: tag, length and unused bits of the BIT STRING.
  return { tbs: der.subarray(4, end), signature: der.subarray(end + algorithmLength + 3) };
}
