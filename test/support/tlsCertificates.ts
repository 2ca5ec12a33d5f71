import "reflect-metadata";
import { KeyObject, webcrypto } from "node:crypto";
import { BasicConstraintsExtension, X509CertificateGenerator } from "@peculiar/x509";
import type { TlsIdentity } from "../../simulator/gateway/Gateway.ts";

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

export interface TestCertificate extends TlsIdentity {
  der: Buffer;
  keys: webcrypto.CryptoKeyPair;
}

export interface TestCertificateOptions {
  /** Common name. */
  name?: string;
  /** Default: itself. */
  issuer?: TestCertificate;
  keys?: webcrypto.CryptoKeyPair;
  /** Default: an hour ago, and in an hour. */
  notBefore?: Date;
  notAfter?: Date;
}

const HOUR_MS = 3_600_000;

/** A certificate for TLS, by an X.509 library that the simulator does not use for its own. */
export async function testCertificate(options: TestCertificateOptions = {}): Promise<TestCertificate> {
  const { name = "enclave", issuer } = options;
  const keys = options.keys ?? (await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]));
  const dates = {
    notBefore: options.notBefore ?? new Date(Date.now() - HOUR_MS),
    notAfter: options.notAfter ?? new Date(Date.now() + HOUR_MS),
  };
  const signingAlgorithm = ALGORITHM;
  const extensions = [new BasicConstraintsExtension(true, undefined, true)];
  const certificate = await (issuer === undefined
    ? X509CertificateGenerator.createSelfSigned({ name: `CN=${name}`, keys, ...dates, signingAlgorithm, extensions })
    : X509CertificateGenerator.create({
        subject: `CN=${name}`,
        issuer: "CN=enclave",
        publicKey: keys.publicKey,
        signingKey: issuer.keys.privateKey,
        ...dates,
        signingAlgorithm,
        extensions,
      }));
  return {
    der: Buffer.from(certificate.rawData),
    cert: `${certificate.toString("pem")}\n`,
    key: KeyObject.from(keys.privateKey).export({ type: "pkcs8", format: "pem" }) as string,
    keys,
  };
}
