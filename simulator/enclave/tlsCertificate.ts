import { generateKeyPairSync, randomBytes } from "node:crypto";

import {
  basicConstraints,
  distinguishedName,
  issueCertificate,
  keyUsage,
  serverAuth,
  subjectAltName,
} from "./certificate.ts";

export interface TlsIdentity {
  /** PEM. */
  key: string;
  cert: string;
  certificateDer: Buffer;
}

const DAY = 24 * 3600;

/**
 * A P-256 key and a certificate that nobody vouches for but the attestation, which binds its hash. It lives by the system's clock, because that
 * is what TLS clients compare it with, even where the enclave lives by a chain's.
 */
export function selfSignedTls(
  dnsNames: readonly string[] = ["localhost"],
  addresses: readonly string[] = ["127.0.0.1"],
): TlsIdentity {
  const keys = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const now = Math.floor(Date.now() / 1000);
  const { der } = issueCertificate({
    subject: distinguishedName(["O", "OpenGradient Simulator"], ["CN", dnsNames[0] ?? addresses[0] ?? "enclave"]),
    serial: Buffer.concat([Uint8Array.of(1), randomBytes(15)]),
    notBefore: now - DAY,
    notAfter: now + 365 * DAY,
    keys,
    hash: "sha256",
    extensions: () => [
      basicConstraints(false),
      keyUsage(["digitalSignature"]),
      serverAuth(),
      subjectAltName(dnsNames, addresses),
    ],
  });
  return {
    key: keys.privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    cert: pem("CERTIFICATE", der),
    certificateDer: der,
  };
}

const pem = (label: string, der: Buffer): string =>
  `-----BEGIN ${label}-----\n${der.toString("base64").replace(/.{1,64}/g, "$&\n")}-----END ${label}-----\n`;
