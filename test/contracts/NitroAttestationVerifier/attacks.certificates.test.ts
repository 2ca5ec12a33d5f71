import { generateKeyPairSync } from "node:crypto";

import { ethers } from "ethers";

import {
  type Certificate,
  distinguishedName,
  ecdsaWith,
  signedCertificate,
} from "../../../simulator/enclave/certificate.ts";
import { bitString, integer, sequence, tlv } from "../../../simulator/enclave/der.ts";
import { documentOf, fieldsOf, issueChain, issueLeaf } from "../../support/attestation.ts";
import { partsOf, rewritten } from "../../support/certificateBytes.ts";
import { anyBytes, anyHash, anyNumber, chainAttacks, nameOf } from "../../support/chainAttacks.ts";

describe("NitroAttestationVerifier attacks, form of certificates", () => {
  const { genuine, refuses, refusesDocument } = chainAttacks();
  const [root, regional, , instance] = genuine.cas as [Certificate, Certificate, Certificate, Certificate];
  const stranger = generateKeyPairSync("ec", { namedCurve: "P-384" }).privateKey;

  const hash = (name: Buffer) => ethers.keccak256(name);
  const strange = distinguishedName(["CN", "nobody"]);
  refuses("version1", { zonal: { version: 0 } }, "UnsupportedCertificateVersion", ["0x020100"]);
  refuses("issuerNameMismatch", { zonal: { issuerName: strange } }, "IssuerMismatch", [
    hash(regional.subject),
    hash(strange),
  ]);
  refuses("signedByAStranger", { zonal: { signWith: stranger } }, "InvalidCertificateSignature", nameOf(2));
  refuses("leafSignedByAStranger", { leaf: { signWith: stranger } }, "InvalidCertificateSignature", nameOf(4));
  refuses("signedWithSha256", { zonal: { hash: "sha256" } }, "UnsupportedSignatureAlgorithm", [
    "0x06082a8648ce3d040302",
  ]);
  refuses("serialOf21Bytes", { leaf: { serial: Buffer.alloc(21, 1) } }, "SerialTooLong", [21, 20]);
  for (const namedCurve of ["P-256", "secp256k1"]) {
    const keys = generateKeyPairSync("ec", { namedCurve });
    const spki = keys.publicKey.export({ type: "spki", format: "der" });
    refusesDocument(`${namedCurve}Key`, "UnsupportedPublicKey", [ethers.hexlify(spki.subarray(2))], () =>
      documentOf({ cas: genuine.cas, leaf: { ...issueLeaf(instance, { keys }), keys: genuine.leaf.keys } }),
    );
  }

  /** The genuine document with other bytes for a new zonal certificate. */
  const zonalBytes = (name: string, error: string, operands: unknown[], bytesOf: (der: Buffer) => Buffer) => {
    const chain = issueChain({ zonal: {} }, [root, regional]);
    const cas = fieldsOf(chain).cabundle;
    refusesDocument(name, error, operands, () =>
      documentOf(chain, { cabundle: cas.map((der, i) => (i === 2 ? bytesOf(Buffer.from(der)) : der)) }),
    );
  };
  zonalBytes("trailingByte", "TrailingBytes", [1], (der) => Buffer.concat([der, Buffer.of(0)]));
  zonalBytes("lengthOfThreeBytes", "UnsupportedDerLength", [0x83], (der) =>
    Buffer.concat([Buffer.of(0x30, 0x83, 0), der.subarray(2)]),
  );
  zonalBytes("indefiniteLength", "UnsupportedDerLength", [0x80], (der) =>
    Buffer.concat([Buffer.of(0x30, 0x80), der.subarray(4), Buffer.of(0, 0)]),
  );
  zonalBytes("multiByteTag", "UnsupportedDerTag", [0x3f], (der) => Buffer.concat([Buffer.of(0x3f), der.subarray(1)]));
  zonalBytes("setInsteadOfSequence", "UnexpectedDerTag", [0x30, 0x31], (der) =>
    Buffer.concat([Buffer.of(0x31), der.subarray(1)]),
  );
  zonalBytes("lengthBeyondTheField", "OutOfBounds", [0xffff, 1], () => Buffer.of(0x30, 0x82, 0xff, 0xff, 0x30));

  const signature = (name: string, error: string, operands: unknown[], bits: (genuineBits: Buffer) => Buffer) => {
    const leaf = issueLeaf(instance);
    const [tbs, algorithm, value] = partsOf(leaf.der).map(({ whole }) => whole);
    const der = sequence(tbs!, algorithm!, bits(value!));
    refusesDocument(name, error, operands, () => documentOf({ cas: genuine.cas, leaf: { ...leaf, der } }));
  };
  const one = integer(1);
  const scalars = (...content: Buffer[]) => bitString(sequence(...content));
  signature("zeroScalars", "InvalidCertificateSignature", [anyHash], () => scalars(integer(0), integer(0)));
  signature("negativeR", "InvalidDerInteger", ["0x80"], () => scalars(tlv(0x02, Buffer.of(0x80)), one));
  signature("rNotMinimal", "InvalidDerInteger", ["0x0001"], () => scalars(tlv(0x02, Buffer.of(0, 1)), one));
  signature("rOf49Bytes", "SignatureIntegerTooLong", [49, 48], () => scalars(integer(Buffer.alloc(49, 1)), one));
  signature("emptyS", "InvalidDerInteger", ["0x"], () => scalars(one, tlv(0x02)));
  signature("thirdScalar", "TrailingBytes", [3], () => scalars(one, one, one));
  signature("unusedBits", "InvalidBitString", [1], () => bitString(sequence(one, one), 1));
  signature("emptyBitString", "OutOfBounds", [1, 0], () => tlv(0x03));
  signature("twoSignatures", "TrailingBytes", [anyNumber], (bits) => Buffer.concat([bits, bits]));

  const altered = (name: string, error: string, operands: unknown[], alter: (fields: Buffer[]) => unknown) =>
    refusesDocument(name, error, operands, () =>
      documentOf({ cas: genuine.cas, leaf: rewritten(genuine.leaf, instance, alter) }),
    );
  altered("negativeSerial", "InvalidDerInteger", ["0xff"], (fields) => (fields[1] = tlv(0x02, Buffer.of(0xff))));
  altered("serialNotMinimal", "InvalidDerInteger", ["0x0001"], (fields) => (fields[1] = tlv(0x02, Buffer.of(0, 1))));
  const sha256 = [ethers.hexlify(ecdsaWith("sha256").subarray(2))];
  altered(
    "otherAlgorithmInside",
    "UnsupportedSignatureAlgorithm",
    sha256,
    (fields) => (fields[2] = ecdsaWith("sha256")),
  );
  altered("fieldAfterTheExtensions", "TrailingBytes", [2], (fields) => fields.push(tlv(0x05)));
  altered("uniqueIdBeforeTheExtensions", "UnexpectedDerTag", [0xa3, 0x81], (fields) =>
    fields.splice(7, 0, tlv(0x81, Buffer.of(0))),
  );
  altered("compressedKey", "UnsupportedPublicKey", [anyBytes], (fields) => {
    const spki = Buffer.from(fields[6]!);
    spki[spki.lastIndexOf(Buffer.from("036200", "hex")) + 3] = 2;
    fields[6] = spki;
  });
  altered("keyNotOnTheCurve", "InvalidDocumentSignature", [anyHash], (fields) => {
    const spki = Buffer.from(fields[6]!);
    spki[spki.length - 1]! ^= 1;
    fields[6] = spki;
  });
  const otherAround = issueLeaf(instance);
  const around = signedCertificate(partsOf(otherAround.der)[0]!.whole, ecdsaWith("sha256"), Buffer.alloc(3));
  refusesDocument("otherAlgorithmAround", "UnsupportedSignatureAlgorithm", sha256, () =>
    documentOf({ cas: genuine.cas, leaf: { ...otherAround, der: around } }),
  );
});
