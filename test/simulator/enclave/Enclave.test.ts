import { constants, createPublicKey, verify, type webcrypto, X509Certificate } from "node:crypto";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { connect, createServer, type Server, type TLSSocket } from "node:tls";
import { inspect } from "node:util";

import { Chacha20Poly1305 } from "@hpke/chacha20poly1305";
import { CipherSuite, DhkemX25519HkdfSha256, HkdfSha256 } from "@hpke/core";
import { expect } from "chai";
import { keccak256, recoverAddress, Signature } from "ethers";
import { pino } from "pino";

import { readBoundKeys, sha256 } from "../../../simulator/enclave/boundKeys.ts";
import { CertificateChain } from "../../../simulator/enclave/CertificateChain.ts";
import { Enclave } from "../../../simulator/enclave/Enclave.ts";
import { TEST_ROOT_FINGERPRINT, testRoot } from "../../../simulator/enclave/testRoot.ts";
import { verifyDocument } from "../../../simulator/enclave/verifyDocument.ts";
import { bytesOf } from "../../support/attestationForgery.ts";
import { rejection } from "../../support/rejection.ts";

const MEASUREMENTS = { pcr0: bytesOf("0", 48), pcr1: bytesOf("1", 48), pcr2: bytesOf("2", 48) };
const start = (options = {}) =>
  Enclave.start({ authorities: new CertificateChain(testRoot()), measurements: MEASUREMENTS, ...options });

describe("Enclave", () => {
  let enclave: Enclave;

  before(async () => {
    enclave = await start();
  });

  it("binds every key it has, and the caller's nonce, in one document", () => {
    const nonce = bytesOf("nonce", 32);
    const verified = verifyDocument(enclave.attest(nonce), { rootFingerprint: TEST_ROOT_FINGERPRINT, nonce });
    expect(verified.publicKey).to.have.lengthOf(97);
    expect(verified.userData).to.have.lengthOf(68);
    const keys = readBoundKeys(verified.publicKey, verified.userData)!;
    expect(`0x${keccak256(keys.receiptKey.subarray(1)).slice(-40)}`).to.equal(enclave.signer.address);
    expect(keys.sealingKey).to.deep.equal(enclave.sealingPublicKey);
    expect(keys.tlsCertificateHash).to.deep.equal(sha256(enclave.tlsCertificateDer));
    expect(keys.signingKeyHash).to.deep.equal(sha256(enclave.publicKeyDer));
  });

  it("is named by its signing key, RSA-2048 with exponent 65537", () => {
    const key = createPublicKey({ key: enclave.publicKeyDer, format: "der", type: "spki" });
    expect(key.asymmetricKeyDetails).to.deep.equal({ modulusLength: 2048, publicExponent: 65537n });
    expect(enclave.publicKeyDer).to.have.lengthOf(294);
    expect(enclave.teeId).to.equal(keccak256(enclave.publicKeyDer));
  });

  it("signs TEE messages by RSA-PSS with a salt of 32 bytes", async () => {
    const hash = bytesOf("message", 32);
    const signature = await enclave.signTeeMessage(hash);
    const key = createPublicKey({ key: enclave.publicKeyDer, format: "der", type: "spki" });
    const check = (message: Buffer, saltLength: number) =>
      verify("sha256", message, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength }, signature);
    expect(signature).to.have.lengthOf(256);
    expect(check(hash, 32)).to.equal(true);
    expect(check(hash, 20)).to.equal(false);
    expect(check(bytesOf("other", 32), 32)).to.equal(false);
    expect(await rejection(enclave.signTeeMessage(Buffer.alloc(31)))).to.be.instanceOf(RangeError);
  });

  it("signs receipts by the key it attests", () => {
    const digest = `0x${bytesOf("digest", 32).toString("hex")}` as const;
    const signature = Signature.from(enclave.signer.sign(digest));
    expect(recoverAddress(digest, signature).toLowerCase()).to.equal(enclave.signer.address);
  });

  it("opens what was sealed to its key", async () => {
    const suite = new CipherSuite({
      kem: new DhkemX25519HkdfSha256(),
      kdf: new HkdfSha256(),
      aead: new Chacha20Poly1305(),
    });
    const encoded = new Uint8Array(enclave.sealingPublicKey).buffer;
    // The library's type is a browser's, which is not among this project's.
    const recipientPublicKey = (await suite.kem.deserializePublicKey(encoded)) as webcrypto.CryptoKey;
    const sender = await suite.createSenderContext({ recipientPublicKey });
    const sealed = await sender.seal(new TextEncoder().encode("a secret prompt").buffer);
    const open = async (recipientKey: webcrypto.CryptoKeyPair) =>
      Buffer.from(
        await (await suite.createRecipientContext({ recipientKey, enc: sender.enc })).open(sealed),
      ).toString();
    expect(await open(enclave.sealingKeyPair)).to.equal("a secret prompt");
    const other = await start();
    expect(await rejection(open(other.sealingKeyPair))).to.be.instanceOf(Error);
  });

  it("does not let its sealing key out", async () => {
    const { privateKey } = enclave.sealingKeyPair;
    expect(privateKey.extractable).to.equal(false);
    for (const format of ["pkcs8", "jwk"] as const) {
      expect(await rejection(crypto.subtle.exportKey(format as "jwk", privateKey))).to.have.property(
        "name",
        "InvalidAccessError",
      );
    }
  });

  it("shows no private key to who prints it", () => {
    const lines: string[] = [];
    pino({}, { write: (line) => void lines.push(line) }).info({ enclave }, "started");
    const printed = `${JSON.stringify(enclave)} ${lines.join()} ${inspect(enclave, { depth: 9, showHidden: true })}`;
    expect(printed).to.contain(enclave.teeId);
    expect(printed).not.to.contain("PRIVATE KEY");
    expect(Object.keys(enclave).sort()).to.deep.equal([
      "measurements",
      "publicKeyDer",
      "sealingPublicKey",
      "signer",
      "teeId",
    ]);
  });

  it("has keys of its own", async () => {
    const other = await start();
    expect(other.teeId).not.to.equal(enclave.teeId);
    expect(other.signer.address).not.to.equal(enclave.signer.address);
    expect(other.sealingPublicKey).not.to.deep.equal(enclave.sealingPublicKey);
    expect(other.tlsCertificateDer).not.to.deep.equal(enclave.tlsCertificateDer);
  });

  it("attests zeros in debug mode, and says so itself", async () => {
    const debugged = await start({ debug: true });
    const options = { rootFingerprint: TEST_ROOT_FINGERPRINT };
    expect(() => verifyDocument(debugged.attest(), options)).to.throw("debug mode");
    expect(debugged.measurements.pcr0).to.deep.equal(Buffer.alloc(48));
    expect(verifyDocument(enclave.attest(), options).pcrs.get(0)).to.deep.equal(enclave.measurements.pcr0);
  });

  it("dates documents by the clock it is given, and its TLS certificate by the system's", async () => {
    const future = Date.now() + 400 * 24 * 3_600_000;
    const ahead = await start({ clock: () => future });
    expect(verifyDocument(ahead.attest(), { rootFingerprint: TEST_ROOT_FINGERPRINT, at: future }).timestamp).to.equal(
      future,
    );
    expect(new Date(new X509Certificate(ahead.tlsCertificateDer).validFrom).getTime()).to.be.below(Date.now());
  });

  describe("as a TLS server", () => {
    let server: Server;

    before(async () => {
      server = createServer(enclave.tls, (socket) => socket.end("hello"));
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
    });
    after(() => server.close());

    for (const servername of ["localhost", undefined]) {
      it(`is who a client pins, asked for as ${servername ?? "127.0.0.1"}`, async () => {
        const { port } = server.address() as AddressInfo;
        const socket: TLSSocket = connect({
          host: "127.0.0.1",
          port,
          ca: enclave.tls.cert,
          ...(servername && { servername }),
        });
        await once(socket, "secureConnect");
        expect(socket.authorized).to.equal(true);
        expect(sha256(socket.getPeerCertificate(true).raw)).to.deep.equal(sha256(enclave.tlsCertificateDer));
        socket.destroy();
      });
    }

    it("is nobody to a client that trusts the system's authorities", async () => {
      const { port } = server.address() as AddressInfo;
      const socket = connect({ host: "127.0.0.1", port });
      const [error] = (await once(socket, "error")) as [NodeJS.ErrnoException];
      expect(error.code).to.equal("DEPTH_ZERO_SELF_SIGNED_CERT");
    });
  });
});
