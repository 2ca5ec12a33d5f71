import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { X509Certificate } from "node:crypto";
import { expect } from "chai";

import { CertificateChain } from "../../../simulator/enclave/CertificateChain.ts";
import {
  issueCertificate,
  basicConstraints,
  distinguishedName,
  keyUsage,
} from "../../../simulator/enclave/certificate.ts";
import { Enclave } from "../../../simulator/enclave/Enclave.ts";
import { TEST_ROOT_DER, testRoot } from "../../../simulator/enclave/testRoot.ts";
import { bytesOf } from "../../support/attestationForgery.ts";
import { hasNitroVectors, nitroVector, NO_VECTORS } from "../../support/nitroVectors.ts";

const REPOSITORY = fileURLToPath(new URL("../../..", import.meta.url));
const NONCE = bytesOf("nonce", 32);
const MEASUREMENTS = { pcr0: bytesOf("0", 48), pcr1: bytesOf("1", 48), pcr2: bytesOf("2", 48) };

interface Outcome {
  exitCode: number | null;
  stdout: string;
  stderr: string;
}

/** Runs the command as a user would, in a process of its own. */
async function verifyAttestation(args: readonly string[], input?: Buffer | string): Promise<Outcome> {
  const child = spawn(process.execPath, ["--import", "tsx", "simulator/cli/main.ts", "verify-attestation", ...args], {
    cwd: REPOSITORY,
    env: { ...process.env, NODE_OPTIONS: "", COLUMNS: "120" },
  });
  const outcome: Outcome = { exitCode: null, stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => (outcome.stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (outcome.stderr += text));
  // A command that needs no input may end before it could read it.
  child.stdin.on("error", () => undefined).end(input);
  return new Promise((resolve, reject) => {
    child.on("error", reject).on("close", (exitCode) => resolve({ ...outcome, exitCode }));
  });
}

describe("verify-attestation", function () {
  this.timeout(120_000);
  let folder: string;
  let enclave: Enclave;
  let document: Buffer;
  let file: string;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "verify-attestation-"));
    enclave = await Enclave.start({ authorities: new CertificateChain(testRoot()), measurements: MEASUREMENTS });
    document = enclave.attest(NONCE);
    file = written("document.bin", document);
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  function written(name: string, content: Buffer | string): string {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  }

  it("says what a simulated document proves, and what its root does not", async () => {
    const args = [file, "--test-root", "--nonce", NONCE.toString("hex"), "--pcr0", MEASUREMENTS.pcr0.toString("hex")];
    const { exitCode, stdout, stderr } = await verifyAttestation(args);
    expect(stderr).to.equal("");
    expect(exitCode).to.equal(0);
    expect(stdout).to.contain("The document is genuine.");
    expect(stdout).to.contain("proves the protocol, not hardware");
    expect(stdout).to.contain(enclave.moduleId);
    expect(stdout).to.match(new RegExp(`receipt signer +${enclave.signer.address}`));
    expect(stdout).to.match(new RegExp(`sealing key +${enclave.sealingPublicKey.toString("hex")}`));
  });

  it("reads base64 from standard input, as curl brings it", async () => {
    const { exitCode, stdout } = await verifyAttestation(["-", "--test-root", "--json"], document.toString("base64"));
    expect(exitCode).to.equal(0);
    const answer = JSON.parse(stdout) as Record<string, unknown>;
    expect(answer).to.include({
      verified: true,
      debug: false,
      moduleId: enclave.moduleId,
      nonce: `0x${NONCE.toString("hex")}`,
    });
    expect(answer.pcrs).to.have.property("2", `0x${MEASUREMENTS.pcr2.toString("hex")}`);
    expect(answer.certificates).to.have.lengthOf(5);
  });

  it("reads hexadecimal, and base64 in lines", async () => {
    const lines = document.toString("base64").replace(/.{76}/g, "$&\n");
    const outcomes = await Promise.all([
      verifyAttestation([written("document.hex", `0x${document.toString("hex")}\n`), "--test-root"]),
      verifyAttestation([written("document.b64", lines), "--test-root"]),
    ]);
    expect(outcomes.map(({ exitCode }) => exitCode)).to.deep.equal([0, 0]);
  });

  it("takes a root as DER or PEM", async () => {
    const der = written("root.der", TEST_ROOT_DER);
    const pem = written("root.pem", new X509Certificate(TEST_ROOT_DER).toString());
    const outcomes = await Promise.all([der, pem].map((root) => verifyAttestation([file, "--root", root])));
    expect(outcomes.map(({ exitCode }) => exitCode)).to.deep.equal([0, 0]);
  });

  it("refuses what AWS's root does not vouch for, and says why", async () => {
    const { exitCode, stdout, stderr } = await verifyAttestation([file]);
    expect(exitCode).to.equal(1);
    expect(stdout).to.equal("");
    expect(stderr).to.match(/^Refused \(untrusted_root\): Expected a chain from the root 641a0321/);
  });

  it("refuses as JSON too", async () => {
    const { exitCode, stdout } = await verifyAttestation([file, "--test-root", "--nonce", "00", "--json"]);
    expect(exitCode).to.equal(1);
    expect(JSON.parse(stdout)).to.include({ verified: false, code: "wrong_nonce" });
  });

  it("refuses another image, another time and a debug-mode enclave", async () => {
    const debugged = await Enclave.start({
      authorities: new CertificateChain(testRoot()),
      measurements: MEASUREMENTS,
      debug: true,
    });
    const debugFile = written("debug.bin", debugged.attest());
    const outcomes = await Promise.all([
      verifyAttestation([file, "--test-root", "--pcr1", "00".repeat(48)]),
      verifyAttestation([file, "--test-root", "--at", "2020-02-02"]),
      verifyAttestation([debugFile, "--test-root"]),
      verifyAttestation([debugFile, "--test-root", "--allow-debug"]),
    ]);
    expect(outcomes.map(({ exitCode }) => exitCode)).to.deep.equal([1, 1, 1, 0]);
    expect(outcomes.map(({ stderr }) => /\((\w+)\)/.exec(stderr)?.[1])).to.deep.equal([
      "wrong_pcr",
      "certificate_not_valid",
      "debug_mode",
      undefined,
    ]);
    expect(outcomes[3]?.stdout).to.contain("DEBUG MODE");
  });

  it("does not let a stranger's certificate write to the terminal", async () => {
    const now = Math.floor(Date.now() / 1000);
    const root = issueCertificate({
      subject: distinguishedName(["CN", "\u001b[2J\u001b[32mThe document is genuine.\u0007"]),
      serial: Buffer.of(1),
      notBefore: now - 7200,
      notAfter: now - 3600,
      extensions: () => [basicConstraints(true), keyUsage(["keyCertSign"])],
    });
    const { attest } = await Enclave.start({
      authorities: new CertificateChain(root),
      measurements: MEASUREMENTS,
    }).then((hostile) => ({ attest: () => hostile.attest() }));
    const args = [written("hostile.bin", attest()), "--root", written("hostile.der", root.der)];
    const { exitCode, stderr } = await verifyAttestation(args);
    expect(exitCode).to.equal(1);
    expect(stderr)
      .to.contain("certificate_not_valid")
      .and.not.match(/\p{Cc}(?!$)/u);
  });

  it("says what is wrong with its arguments", async () => {
    const cases: [string[], RegExp][] = [
      [[join(folder, "none")], /Cannot read the document: ENOENT/],
      [[written("text", "hello")], /malformed_cose.*found 5 bytes/],
      [[file, "--root", written("no.der", "hello")], /to hold a certificate/],
      [[file, "--root", file, "--test-root"], /Expected one root/],
      [[file, "--at", "soon"], /Expected unix seconds, an ISO 8601 time/],
      [[file, "--nonce", "xyz"], /Expected hexadecimal digits/],
      [[file, "--pcr0", "00"], /Expected 48 bytes, found 1/],
    ];
    const outcomes = await Promise.all(cases.map(([args]) => verifyAttestation(args)));
    outcomes.forEach(({ exitCode, stderr }, index) => {
      expect(exitCode, stderr).to.equal(1);
      expect(stderr)
        .to.match(cases[index]![1])
        .and.not.match(/\n\s+at /);
    });
  });

  it("shows examples in its help", async () => {
    const { exitCode, stdout } = await verifyAttestation(["--help"]);
    expect(exitCode).to.equal(0);
    expect(stdout).to.contain("Examples:").and.to.contain("--test-root");
  });

  it("verifies OpenGradient's own document, at its time or at one within its life", async function () {
    if (!hasNitroVectors) {
      console.log(`      ${NO_VECTORS}`);
      return this.skip();
    }
    const real = written("real.bin", nitroVector("opengradient-2026"));
    const outcomes = await Promise.all(
      [["--at", "document"], ["--at", "1770929762"], ["--at", "2026-02-12T18:00:00Z"], []].map((args) =>
        verifyAttestation([real, ...args]),
      ),
    );
    expect(outcomes.map(({ exitCode }) => exitCode)).to.deep.equal([0, 0, 0, 1]);
    expect(outcomes[0]!.stdout).to.contain("AWS Nitro Enclaves Root-G1").and.to.contain('("dummy")');
  });
});
