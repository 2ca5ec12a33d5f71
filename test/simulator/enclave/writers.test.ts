import { createHash, generateKeyPairSync, X509Certificate } from "node:crypto";

import { decode, encode } from "cbor2";
import { expect } from "chai";
import fc from "fast-check";

import * as cbor from "../../../simulator/enclave/cbor.ts";
import {
  basicConstraints,
  distinguishedName,
  issueCertificate,
  keyUsage,
} from "../../../simulator/enclave/certificate.ts";
import * as der from "../../../simulator/enclave/der.ts";
import { TEST_ROOT_DER, TEST_ROOT_FINGERPRINT, testRoot } from "../../../simulator/enclave/testRoot.ts";

describe("the CBOR writer", () => {
  it("writes heads as cbor2 does, at every width", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), fc.integer({ min: 0, max: 63 }), (value, shift) => {
        const number = value >> BigInt(shift);
        expect(cbor.unsigned(number)).to.deep.equal(Buffer.from(encode(number, { collapseBigInts: true })));
      }),
    );
    for (const edge of [0, 23, 24, 255, 256, 65_535, 65_536, 4_294_967_295, 4_294_967_296]) {
      expect(cbor.unsigned(edge)).to.deep.equal(Buffer.from(encode(edge)));
    }
    expect(() => cbor.unsigned(1n << 64n)).to.throw(RangeError, "64 bits");
  });

  it("writes strings, arrays and maps as cbor2 does", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.string({ unit: "grapheme", maxLength: 40 }), (blob, word) => {
        const written = cbor.map([[cbor.text(word), cbor.array(cbor.bytes(blob), cbor.CBOR_NULL)]]);
        expect(written).to.deep.equal(Buffer.from(encode(new Map([[word, [blob, null]]]))));
        const opened = cbor.indefiniteMap([[cbor.text(word), cbor.bytes(blob)]]);
        expect(decode(opened, { preferMap: true })).to.deep.equal(new Map([[word, blob]]));
      }),
    );
  });

  it("writes a timestamp in 8 bytes, however small", () => {
    expect(cbor.unsigned64(1).toString("hex")).to.equal("1b0000000000000001");
  });
});

describe("the DER writer", () => {
  it("gives each length in its shortest form", () => {
    const heads = [0, 127, 128, 255, 256, 65_535, 65_536].map((length) => {
      const written = der.octetString(Buffer.alloc(length));
      return written.toString("hex", 0, written.length - length);
    });
    expect(heads).to.deep.equal(["0400", "047f", "048180", "0481ff", "04820100", "0482ffff", "0483010000"]);
  });

  it("writes integers without needless zeros, and never a negative one", () => {
    const written = [0, 127, 128, 255].map((value) => der.integer(value).toString("hex"));
    expect(written).to.deep.equal(["020100", "02017f", "02020080", "020200ff"]);
    expect(der.integer(Buffer.from("0000ff01", "hex")).toString("hex")).to.equal("020300ff01");
    expect(der.integer(Buffer.alloc(0)).toString("hex")).to.equal("020100");
  });

  it("writes named bits without trailing zeros", () => {
    const written = [[], [0], [0, 1], [5], [0, 5, 6], [8]].map((bits) => der.namedBits(bits).toString("hex"));
    expect(written).to.deep.equal(["030100", "03020780", "030206c0", "03020204", "03020186", "0303070080"]);
  });

  it("changes from UTCTime to GeneralizedTime with the year 2050", () => {
    const at = (iso: string) => der.time(Date.parse(iso) / 1000).toString("latin1", 2);
    expect(at("2049-12-31T23:59:59Z")).to.equal("491231235959Z");
    expect(at("2050-01-01T00:00:00Z")).to.equal("20500101000000Z");
    expect(at("1949-12-31T23:59:59Z")).to.equal("19491231235959Z");
  });

  it("writes object identifiers of large arcs", () => {
    expect(der.objectIdentifier("1.2.840.113549.1.1.10").toString("hex")).to.equal("06092a864886f70d01010a");
  });
});

describe("a certificate", () => {
  it("is read by OpenSSL as it was asked for", () => {
    const root = testRoot();
    const { der: bytes } = issueCertificate({
      issuer: root,
      subject: distinguishedName(["C", "US"], ["CN", "ÄÖ, \u{1F30D}"]),
      serial: Buffer.from("ff00000000000001", "hex"),
      notBefore: Date.UTC(2026, 0, 2, 3, 4, 5) / 1000,
      notAfter: Date.UTC(2055, 0, 1) / 1000,
      extensions: () => [basicConstraints(true, 3), keyUsage(["keyCertSign"])],
    });
    const read = new X509Certificate(bytes);
    expect(read.raw).to.deep.equal(bytes);
    expect(read.verify(root.keys.publicKey)).to.equal(true);
    expect(read.ca).to.equal(true);
    expect(read.serialNumber).to.equal("FF00000000000001");
    expect(read.validFrom).to.equal("Jan  2 03:04:05 2026 GMT");
    expect(read.validTo).to.equal("Jan  1 00:00:00 2055 GMT");
    expect(read.issuer).to.contain("O=OpenGradient Simulator\nOU=TEST");
  });

  it("is signed by whom it is told to", () => {
    const stranger = generateKeyPairSync("ec", { namedCurve: "P-384" });
    const root = testRoot();
    const spec = { issuer: root, subject: root.subject, serial: Buffer.of(1), notBefore: 0, notAfter: 1 };
    const { der: bytes } = issueCertificate({ ...spec, extensions: undefined, signWith: stranger.privateKey });
    expect(new X509Certificate(bytes).verify(root.keys.publicKey)).to.equal(false);
    expect(new X509Certificate(bytes).verify(stranger.publicKey)).to.equal(true);
  });
});

describe("the test root", () => {
  const root = testRoot();

  it("is what its fingerprint says, visibly a test, and signed by its own key", () => {
    const read = new X509Certificate(TEST_ROOT_DER);
    expect(createHash("sha256").update(TEST_ROOT_DER).digest("hex")).to.equal(TEST_ROOT_FINGERPRINT);
    expect(read.subject).to.equal("C=US\nO=OpenGradient Simulator\nOU=TEST\nCN=sim.nitro-enclaves");
    expect(read.verify(root.keys.publicKey)).to.equal(true);
    expect(read.checkPrivateKey(root.keys.privateKey)).to.equal(true);
  });

  it("is, but for its signature, what the writer makes of its fields today", () => {
    const { x = "", y = "" } = root.keys.publicKey.export({ format: "jwk" });
    const point = Buffer.concat([Buffer.of(4), Buffer.from(x, "base64url"), Buffer.from(y, "base64url")]);
    expect(root.keyId).to.deep.equal(createHash("sha1").update(point).digest());
    const again = issueCertificate({
      ...root,
      serial: Buffer.from(new X509Certificate(TEST_ROOT_DER).serialNumber, "hex"),
      extensions: (ids) => [
        basicConstraints(true),
        der.sequence(der.objectIdentifier("2.5.29.14"), der.octetString(der.octetString(ids.subject))),
        keyUsage(["digitalSignature", "keyCertSign", "cRLSign"]),
      ],
    });
    const bodyLength = 4 + TEST_ROOT_DER.readUInt16BE(6) + 4;
    expect(again.der.subarray(4, bodyLength)).to.deep.equal(TEST_ROOT_DER.subarray(4, bodyLength));
  });
});
