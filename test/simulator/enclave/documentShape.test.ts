import { SequenceEvents } from "cbor2";
import { expect } from "chai";

import { sha256 } from "../../../simulator/enclave/boundKeys.ts";
import { CertificateChain } from "../../../simulator/enclave/CertificateChain.ts";
import { readDocument } from "../../../simulator/enclave/readDocument.ts";
import { SoftwareNsm } from "../../../simulator/enclave/SoftwareNsm.ts";
import { testRoot } from "../../../simulator/enclave/testRoot.ts";
import { verifyDocument } from "../../../simulator/enclave/verifyDocument.ts";
import { bytesOf } from "../../support/attestationForgery.ts";
import { hasNitroVectors, nitroVector, NO_VECTORS } from "../../support/nitroVectors.ts";

/** Asked of the simulated module as OpenGradient's enclave had asked the real one. */
function simulated(): Buffer {
  const nsm = new SoftwareNsm({
    authorities: new CertificateChain(testRoot()),
    measurements: { pcr0: bytesOf("0", 48), pcr1: bytesOf("1", 48), pcr2: bytesOf("2", 48) },
  });
  return nsm.attest({
    publicKey: Buffer.from("dummy"),
    userData: bytesOf("user data", 68),
    nonce: bytesOf("nonce", 20),
  });
}

describe("a simulated document beside a real one of 2026", () => {
  let real: Buffer;
  let ours: Buffer;

  before(function () {
    if (!hasNitroVectors) {
      console.log(`      ${NO_VECTORS}`);
      return this.skip();
    }
    real = nitroVector("opengradient-2026");
    ours = simulated();
  });

  it("has the same COSE headers", () => {
    // 84 44 a1013822 a0 59: all before the payload's length
    expect(ours.subarray(0, 8)).to.deep.equal(real.subarray(0, 8));
    expect(ours.subarray(0, 8).toString("hex")).to.equal("8444a1013822a059");
    expect(ours.subarray(-98, -96)).to.deep.equal(real.subarray(-98, -96));
  });

  it("has the same heads and keys in the same order", () => {
    expect(heads(payloadOf(ours))).to.deep.equal(heads(payloadOf(real)));
    expect(payloadOf(ours)[0]).to.equal(0xbf);
  });

  for (const [depth, level] of ["root", "regional level", "zonal level", "instance level", "leaf"].entries()) {
    it(`has at the ${level} a certificate of the same fields, extensions and flags`, () => {
      expect(outline(certificateOf(ours, depth))).to.deep.equal(outline(certificateOf(real, depth)));
    });

    it(`has at the ${level} a certificate that lives as long`, () => {
      const [found, expected] = [ours, real].map((document) => lifetimes(document)[depth]!);
      expect(found).to.equal(expected);
    });
  }

  it("differs from it in no length but those of names, serial numbers and signatures", () => {
    const sizes = (document: Buffer) => Array.from({ length: 5 }, (_, depth) => certificateOf(document, depth).length);
    // The root's name is longer by 32: "OpenGradient Simulator, TEST", twice; the regional one has it as issuer.
    const [found, expected] = [sizes(ours), sizes(real)];
    expected.forEach((size, depth) => expect(found[depth]).to.be.within(size - 12, size + 36));
  });
});

const payloadOf = (document: Buffer): Uint8Array => {
  const start = document.indexOf("bf696d6f64756c655f6964", 0, "hex");
  return document.subarray(start, document.length - 98);
};

/** Major type and length head of every item; texts in full but for the module's id. */
function heads(payload: Uint8Array): string[] {
  return [...new SequenceEvents(payload, {})].map(([majorType, head, value]) =>
    typeof value === "string" && !value.startsWith("i-") ? value : `${majorType}/${head}`,
  );
}

function certificateOf(document: Buffer, depth: number): Buffer {
  const { cabundle, certificate } = readDocument(document).payload;
  return [...cabundle, certificate][depth]!;
}

function lifetimes(document: Buffer): number[] {
  const [root] = readDocument(document).payload.cabundle;
  const rootFingerprint = sha256(root!).toString("hex");
  return verifyDocument(document, { at: "document", rootFingerprint }).certificates.map(
    ({ notBefore, notAfter }) => notAfter - notBefore,
  );
}

const OBJECT_IDENTIFIER = 0x06;
const OCTET_STRING = 0x04;
const UTF8_STRING = 0x0c;

/** The tree of a DER value: tags, and the contents of object identifiers, flags and small numbers, which no two certificates make up. */
function outline(der: Buffer): unknown[] {
  const items: unknown[] = [];
  for (let at = 0; at < der.length;) {
    const tag = der[at]!;
    const long = der[at + 1]! & 0x80 ? der[at + 1]! & 0x7f : 0;
    const length = long ? der.readUIntBE(at + 2, long) : der[at + 1]!;
    const content = der.subarray(at + 2 + long, at + 2 + long + length);
    const isShown = tag === OBJECT_IDENTIFIER || (length <= 4 && tag !== UTF8_STRING);
    const isNested =
      tag & 0x20 || (tag === OCTET_STRING && [0x30, 0x03].includes(content[0]!) && content[1] === length - 2);
    if (isNested) items.push([tag, outline(content)]);
    else items.push(isShown ? `${tag} ${content.toString("hex")}` : tag);
    at += 2 + long + length;
  }
  return items;
}
