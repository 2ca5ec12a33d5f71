import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";

import { Command, InvalidArgumentError } from "commander";

import { AttestationError } from "../enclave/AttestationError.ts";
import { sha256 } from "../enclave/boundKeys.ts";
import { TEST_ROOT_FINGERPRINT } from "../enclave/testRoot.ts";
import { AWS_ROOT_FINGERPRINT, verifyDocument, type VerifyOptions } from "../enclave/verifyDocument.ts";
import { documentBytes } from "./documentBytes.ts";
import { renderAttestation, summaryOfAttestation } from "./renderAttestation.ts";

interface VerifyAttestationOptions {
  root?: string;
  testRoot?: true;
  at?: number | "document";
  nonce?: Buffer;
  pcr0?: Buffer;
  pcr1?: Buffer;
  pcr2?: Buffer;
  allowDebug?: true;
  json?: true;
}

const EXAMPLES = `
Examples:
  $ opengradient verify-attestation document.bin
  $ curl -sk "https://127.0.0.1:8443/enclave/attestation?nonce=$NONCE" | opengradient verify-attestation - --test-root --nonce $NONCE
  $ opengradient verify-attestation document.b64 --at document --pcr0 9baef839…

A simulated enclave's document is refused unless --test-root is given. It then proves the protocol, not hardware.`;

export function verifyAttestationCommand(): Command {
  return new Command("verify-attestation")
    .description("Verifies an attestation document of a Nitro enclave, off chain, and prints what it proves.")
    .argument("<file>", 'COSE_Sign1 as bytes, base64 or hexadecimal; "-" reads standard input')
    .option("--root <file>", "trust this root certificate (DER or PEM) instead of AWS's")
    .option("--test-root", "trust the simulator's test root instead of AWS's")
    .option("--at <time>", 'when it has to be valid: unix seconds, ISO 8601, or "document" for when it was made', time)
    .option("--nonce <hex>", "the nonce it has to carry", hexadecimal)
    .option("--pcr0 <hex>", "what PCR0 has to be", register)
    .option("--pcr1 <hex>", "what PCR1 has to be", register)
    .option("--pcr2 <hex>", "what PCR2 has to be", register)
    .option("--allow-debug", "take an enclave in debug mode, which proves nothing about what runs")
    .option("--json", "print JSON")
    .addHelpText("after", EXAMPLES)
    .action((file: string, options: VerifyAttestationOptions) => verifyAttestation(file, options));
}

function verifyAttestation(file: string, options: VerifyAttestationOptions): void {
  try {
    const document = documentBytes(readInput(file));
    const checked = options.at === "document" ? "when it was made" : new Date(options.at ?? Date.now()).toISOString();
    const verified = verifyDocument(document, verifyOptions(options));
    console.log(
      options.json
        ? JSON.stringify(summaryOfAttestation(verified), null, 2)
        : renderAttestation(verified, { checked, root: rootName(verified.rootFingerprint) }),
    );
  } catch (error) {
    if (!(error instanceof AttestationError)) throw error;
    const { code } = error;
    // Names in a certificate are a stranger's: nothing of theirs may steer a terminal.
    const message = error.message.replace(/\p{Cc}/gu, "?");
    if (options.json) console.log(JSON.stringify({ verified: false, code, message }, null, 2));
    else console.error(`Refused (${code}): ${message}`);
    process.exitCode = 1;
  }
}

function verifyOptions({ root, testRoot, at, nonce, allowDebug, ...options }: VerifyAttestationOptions): VerifyOptions {
  if (root !== undefined && testRoot) throw new Error("Expected one root, found --root and --test-root");
  const pcrs = [options.pcr0, options.pcr1, options.pcr2].flatMap((pcr, index) => (pcr ? [[index, pcr] as const] : []));
  return {
    rootFingerprint: testRoot ? TEST_ROOT_FINGERPRINT : root !== undefined ? fingerprintOf(root) : AWS_ROOT_FINGERPRINT,
    pcrs: new Map(pcrs),
    ...(at !== undefined && { at }),
    ...(nonce && { nonce }),
    ...(allowDebug && { allowDebug }),
  };
}

function rootName(fingerprint: string): string {
  if (fingerprint === AWS_ROOT_FINGERPRINT) return "AWS Nitro Enclaves Root-G1";
  if (fingerprint === TEST_ROOT_FINGERPRINT) return "TEST ROOT of the simulator: proves the protocol, not hardware";
  return `as given, SHA-256 ${fingerprint}`;
}

function readInput(file: string): Buffer {
  try {
    return readFileSync(file === "-" ? 0 : file);
  } catch (error) {
    throw new Error(`Cannot read the document: ${(error as Error).message}`, { cause: error });
  }
}

function fingerprintOf(file: string): string {
  try {
    return sha256(new X509Certificate(readFileSync(file)).raw).toString("hex");
  } catch (error) {
    throw new Error(`Expected ${file} to hold a certificate as DER or PEM: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** @returns unix milliseconds. */
function time(text: string): number | "document" {
  if (text === "document") return text;
  const milliseconds = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text);
  // Beyond the year 5000 it was milliseconds.
  if (!(milliseconds < 1e14)) {
    throw new InvalidArgumentError(`Expected unix seconds, an ISO 8601 time or "document", found "${text}".`);
  }
  return milliseconds;
}

function hexadecimal(text: string): Buffer {
  const digits = text.replace(/^0x/, "");
  if (!/^(?:[0-9a-f]{2})+$/i.test(digits)) {
    throw new InvalidArgumentError(`Expected hexadecimal digits, two a byte, found "${text}".`);
  }
  return Buffer.from(digits, "hex");
}

function register(text: string): Buffer {
  const value = hexadecimal(text);
  if (value.length !== 48) throw new InvalidArgumentError(`Expected 48 bytes, found ${value.length}.`);
  return value;
}
