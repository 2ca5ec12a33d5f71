import { sign, X509Certificate } from "node:crypto";

import { ethers } from "ethers";

import { type Certificate, ecdsaWith, signedCertificate } from "../../simulator/enclave/certificate.ts";
import { sequence } from "../../simulator/enclave/der.ts";

export interface DerElement {
  /** Tag, length and content. */
  whole: Buffer;
  content: Buffer;
}

/** The DER elements that stand one after the other in some bytes. */
export function elements(bytes: Uint8Array): DerElement[] {
  const der = Buffer.from(bytes);
  const found: DerElement[] = [];
  for (let offset = 0; offset < der.length;) {
    const first = der[offset + 1]!;
    const octets = first < 0x80 ? 0 : first & 0x7f;
    const start = offset + 2 + octets;
    const end = start + (octets === 0 ? first : der.readUIntBE(offset + 2, octets));
    found.push({ whole: der.subarray(offset, end), content: der.subarray(start, end) });
    offset = end;
  }
  return found;
}

/** The parts of a certificate: TBSCertificate, algorithm, signature. */
export const partsOf = (der: Uint8Array): readonly DerElement[] => elements(elements(der)[0]!.content);

/**
 * The same certificate with other fields, signed anew.
 * @param alter gets the DER of version, serial number, algorithm, issuer, validity, subject, key and extensions.
 */
export function rewritten(
  certificate: Certificate,
  issuer: Certificate,
  alter: (fields: Buffer[]) => unknown,
): Certificate {
  const fields = elements(partsOf(certificate.der)[0]!.content).map(({ whole }) => whole);
  alter(fields);
  const tbs = sequence(...fields);
  const signature = sign("sha384", tbs, issuer.keys.privateKey);
  return { ...certificate, der: signedCertificate(tbs, ecdsaWith("sha384"), signature) };
}

/** By what a certificate is revoked. @param issuerName DER of the issuer's Name. */
export function revocationId(der: Uint8Array, issuerName: Uint8Array): string {
  const magnitude = new X509Certificate(der).serialNumber.toLowerCase();
  const serial = `0x${parseInt(magnitude.slice(0, 2), 16) < 0x80 ? "" : "00"}${magnitude}`;
  const words = [ethers.keccak256(issuerName), ethers.keccak256(serial)];
  return ethers.keccak256(ethers.AbiCoder.defaultAbiCoder().encode(["bytes32", "bytes32"], words));
}

const ORDER = BigInt(
  "0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
);

/** s of an ECDSA signature as n - s (`twin`) or s + n (`overflow`), cut to 48 bytes. */
export function otherS(s: Uint8Array, kind: "twin" | "overflow"): Buffer {
  const value = BigInt(ethers.hexlify(s));
  const other = kind === "twin" ? ORDER - value : value + ORDER;
  return Buffer.from(other.toString(16).padStart(96, "0").slice(-96), "hex");
}
