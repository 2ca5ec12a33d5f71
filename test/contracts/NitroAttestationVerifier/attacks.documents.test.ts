import { generateKeyPairSync } from "node:crypto";

import { expect } from "chai";
import { ethers } from "ethers";

import { certificateName } from "../../../simulator/enclave/certificateName.ts";
import { attestationEntries, attestationPayload } from "../../../simulator/enclave/attestationDocument.ts";
import * as cbor from "../../../simulator/enclave/cbor.ts";
import { coseSign1, ecdsaSha384, ES384_HEADER, sigStructure } from "../../../simulator/enclave/coseSign1.ts";
import { TEST_ROOT_DER } from "../../../simulator/enclave/testRoot.ts";
import {
  deployAttestation,
  documentOf,
  fieldsOf,
  GAS,
  issueChain,
  MEASURED,
  signEntries,
} from "../../support/attestation.ts";
import { otherS } from "../../support/certificateBytes.ts";
import { anyHash } from "../../support/chainAttacks.ts";
import { freshState } from "../../support/freshState.ts";

/**
 * Documents under a genuine chain that is remembered. Those with a bad form are signed by the genuine leaf: they would come from a
 * hostile signer, or make two readers see two things in one document.
 */
describe("NitroAttestationVerifier attacks, documents", () => {
  const chain = issueChain();
  const leaf = certificateName(chain.leaf.der);
  const genuine = documentOf(chain);
  const fields = fieldsOf(chain);
  const entries = attestationEntries(fields);
  const payload = attestationPayload(fields);
  const key = chain.leaf.keys.privateKey;

  const state = freshState(async () => {
    const stage = await deployAttestation();
    await stage.verifier.verify(genuine, GAS);
    return stage;
  });

  const refuses = (name: string, document: Uint8Array, error: string, ...operands: unknown[]) =>
    it(`${name}_reverts${error}`, async () => {
      const { verifier } = state();
      await expect(verifier.verify.staticCall(document, GAS))
        .to.be.revertedWithCustomError(verifier, error)
        .withArgs(...operands);
    });
  const altered = (alter: (document: Buffer) => void) => {
    const document = Buffer.from(genuine);
    alter(document);
    return document;
  };
  const flipped = (at: (document: Buffer) => number) => altered((document) => (document[at(document)]! ^= 1));
  const hex = (digits: string) => Buffer.from(digits, "hex");
  const join = (...parts: Uint8Array[]) => Buffer.concat(parts);
  const utf8 = (text: string) => ethers.hexlify(Buffer.from(text));
  const replaced = (name: string, value: Uint8Array) =>
    entries.map(([k, v]) => [k, cbor.text(name).equals(k) ? value : v] as const);
  const without = (name: string) => entries.filter(([k]) => !cbor.text(name).equals(k));
  const withValue = (name: string, value: Uint8Array) => signEntries(chain, replaced(name, value));
  const withUnknown = (value: Uint8Array) => signEntries(chain, [[cbor.text("new"), value], ...entries]);
  const signed = (bytes: Uint8Array) => coseSign1(bytes, key);

  it("control_genuineDocument_isAccepted", async () => {
    expect((await state().verifier.verify.staticCall(genuine, GAS)).leaf).to.equal(leaf);
  });

  describe("signature", () => {
    const invalid = (name: string, document: Uint8Array) => refuses(name, document, "InvalidDocumentSignature", leaf);
    invalid(
      "tamperedPcr0",
      flipped((document) => document.indexOf(MEASURED[0])),
    );
    invalid(
      "tamperedUserData",
      flipped((document) => document.indexOf(fields.userData!)),
    );
    invalid(
      "tamperedPublicKey",
      flipped((document) => document.indexOf(fields.publicKey!)),
    );
    invalid(
      "tamperedNonce",
      flipped((document) => document.indexOf(fields.nonce!)),
    );
    invalid(
      "tamperedModuleId",
      flipped((document) => document.indexOf(fields.moduleId)),
    );
    invalid(
      "tamperedTimestamp",
      flipped((document) => document.indexOf("timestamp") + 9 + 8),
    );
    invalid(
      "flippedSignatureBit",
      flipped((document) => document.length - 1),
    );
    invalid(
      "zeroSignature",
      altered((document) => document.fill(0, document.length - 96)),
    );
    invalid("sPlusOrder", join(genuine.subarray(0, -48), otherS(genuine.subarray(-48), "overflow")));
    const stranger = generateKeyPairSync("ec", { namedCurve: "P-384" }).privateKey;
    invalid("strangersKey", coseSign1(payload, stranger));
    const overPayload = ecdsaSha384(payload, key);
    invalid("signatureOverThePayloadAlone", join(genuine.subarray(0, -96), overPayload));
    const otherContext = sigStructure(ES384_HEADER, payload);
    otherContext.write("Signature2", otherContext.indexOf("Signature1"));
    invalid("signatureOfAnotherContext", join(genuine.subarray(0, -96), ecdsaSha384(otherContext, key)));
  });

  describe("COSE", () => {
    const message = (...items: Uint8Array[]) => cbor.array(...items);
    const header = cbor.bytes(ES384_HEADER);
    const signature = cbor.bytes(genuine.subarray(-96));
    const none = cbor.map([]);
    refuses("empty", Buffer.alloc(0), "OutOfBounds", 1, 0);
    refuses("trailingByte", join(genuine, hex("00")), "TrailingBytes", 1);
    refuses("truncated", genuine.subarray(0, -1), "OutOfBounds", 96, 95);
    refuses("otherTag", join(hex("d1"), genuine), "UnexpectedCborType", 4, 6);
    refuses("twoTags", join(hex("d2d2"), genuine), "UnexpectedCborType", 4, 6);
    refuses("threeItems", message(header, none, cbor.bytes(payload)), "UnexpectedCoseItems", 4, 3);
    refuses("fiveItems", message(header, none, cbor.bytes(payload), signature, none), "UnexpectedCoseItems", 4, 5);
    refuses("indefiniteArray", join(hex("9f"), genuine.subarray(1), hex("ff")), "UnsupportedCborLength", 0x9f);
    refuses("algorithmEs256", coseSign1(payload, key, hex("a10126")), "UnsupportedCoseHeader", "0xa10126");
    refuses("noAlgorithm", coseSign1(payload, key, hex("a0")), "UnsupportedCoseHeader", "0xa0");
    const unprotected = cbor.map([[cbor.unsigned(4), cbor.bytes(hex("78"))]]);
    refuses(
      "unprotectedHeader",
      message(header, unprotected, cbor.bytes(payload), signature),
      "UnprotectedHeaderNotEmpty",
      1,
    );
    refuses("textPayload", message(header, none, cbor.text("payload"), signature), "UnexpectedCborType", 2, 3);
    refuses("nullPayload", message(header, none, cbor.CBOR_NULL, signature), "UnexpectedCborType", 2, 7);
    const huge = join(hex("84"), header, none, hex("5bffffffffffffffff"), payload);
    refuses("payloadLengthNearTwoTo64", huge, "OutOfBounds", 2n ** 64n - 1n, payload.length);
    const shortSignature = message(header, none, cbor.bytes(payload), cbor.bytes(Buffer.alloc(95)));
    refuses("signatureOf95Bytes", shortSignature, "UnexpectedSignatureLength", 96, 95);
    const longHead = message(header, none, join(hex("5a0000"), cbor.bytes(payload).subarray(1)), signature);
    refuses("payloadHeadNotMinimal", longHead, "CborHeadNotMinimal", payload.length, 65_536);
  });

  describe("map", () => {
    const sameKey = entries.find(([k]) => cbor.text("pcrs").equals(k))!;
    refuses("duplicatePcrs", signEntries(chain, [...entries, sameKey]), "DuplicateKey", utf8("pcrs"));
    const secondKey = [cbor.text("public_key"), cbor.bytes(Buffer.alloc(65, 1))] as const;
    refuses("duplicatePublicKey", signEntries(chain, [...entries, secondKey]), "DuplicateKey", utf8("public_key"));
    const unknown = [cbor.text("new"), cbor.CBOR_NULL] as const;
    refuses("duplicateUnknownKey", signEntries(chain, [unknown, ...entries, unknown]), "DuplicateKey", utf8("new"));
    for (const name of ["module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle"]) {
      refuses(`missing_${name}`, signEntries(chain, without(name)), "MissingField", name);
    }
    const nitroTpm = entries.map(([k, v]) => [k === sameKey[0] ? cbor.text("nitrotpm_pcrs") : k, v] as const);
    refuses("nitroTpmDocument", signEntries(chain, nitroTpm), "MissingField", "pcrs");
    const nulKey = entries.map(([k, v]) => [cbor.text("pcrs").equals(k) ? cbor.text("pcrs\0") : k, v] as const);
    refuses("keyWithANulByte", signEntries(chain, nulKey), "MissingField", "pcrs");
    const many = Array.from({ length: 24 }, (_, i) => [cbor.text(`extra ${i}`), cbor.unsigned(i)] as const);
    refuses("thirtyThreeKeys", signEntries(chain, [...many, ...entries]), "TooManyEntries", 32);
    refuses("definiteMapOf2To64Keys", signed(join(hex("bbffffffffffffffff"), ...entries.flat())), "OutOfBounds", 1, 0);
    refuses("keyOf65Bytes", signEntries(chain, [[cbor.text("k".repeat(65)), unknown[1]]]), "CborStringTooLong", 65, 64);
    refuses("integerKey", signEntries(chain, [[cbor.unsigned(1), unknown[1]]]), "UnexpectedCborType", 3, 0);
    refuses(
      "byteStringKey",
      signEntries(chain, [[cbor.bytes(hex("70637273")), unknown[1]]]),
      "UnexpectedCborType",
      3,
      2,
    );
    refuses("noBreak", signed(payload.subarray(0, -1)), "OutOfBounds", 1, 0);
    refuses("bytesAfterTheBreak", signed(join(payload, hex("00"))), "TrailingBytes", 1);
    const nonce = join(...entries.at(-1)!);
    refuses("definiteCountTooSmall", signed(join(hex("a8"), ...entries.flat())), "TrailingBytes", nonce.length);
    refuses("definiteCountTooGreat", signed(join(hex("aa"), ...entries.flat())), "OutOfBounds", 1, 0);
    refuses(
      "breakInADefiniteMap",
      signed(join(hex("aa"), ...entries.flat(), hex("ff"))),
      "UnsupportedCborLength",
      0xff,
    );
    refuses("countNotMinimal", signed(join(hex("b809"), ...entries.flat())), "CborHeadNotMinimal", 9, 24);
    refuses("arrayInsteadOfAMap", signed(cbor.array(...entries.flat())), "UnexpectedCborType", 5, 4);
    refuses("emptyPayload", signed(Buffer.alloc(0)), "OutOfBounds", 1, 0);
    refuses("emptyMap", signed(hex("bfff")), "MissingField", "module_id");
  });

  describe("values", () => {
    const pcrMap = (...pcrs: [number, Uint8Array][]) =>
      cbor.map(pcrs.map(([index, pcr]) => [cbor.unsigned(index), cbor.bytes(pcr)]));
    const measured: [number, Buffer][] = MEASURED.map((pcr, index) => [index, pcr]);
    const withPcrs = (...pcrs: [number, Uint8Array][]) => withValue("pcrs", pcrMap(...pcrs));
    refuses("duplicatePcrIndex", withPcrs(...measured, [0, Buffer.alloc(48, 1)]), "DuplicatePcr", 0);
    refuses("pcrOf32Bytes", withPcrs([0, Buffer.alloc(32)], ...measured.slice(1)), "InvalidPcrLength", 0, 32, 48);
    refuses("pcrOf64Bytes", withPcrs(...measured, [3, Buffer.alloc(64)]), "InvalidPcrLength", 3, 64, 48);
    refuses("pcr2Missing", withPcrs(...measured.slice(0, 2)), "MissingPcr", 2);
    refuses("pcr0Missing", withPcrs(...measured.slice(1)), "MissingPcr", 0);
    refuses("pcr32", withPcrs(...measured, [32, MEASURED[0]]), "InvalidPcrIndex", 32, 32);
    refuses("noPcrs", withPcrs(), "InvalidPcrCount", 0, 32);
    refuses("pcrsOf2To64Entries", withValue("pcrs", hex("bbffffffffffffffff")), "InvalidPcrCount", 2n ** 64n - 1n, 32);
    const zero = Buffer.alloc(48);
    refuses("debugMode", withPcrs([0, zero], [1, zero], [2, zero], [3, MEASURED[0]]), "DebugModeEnclave");
    refuses(
      "indefinitePcrs",
      withValue("pcrs", cbor.indefiniteMap(measured.map(([i, pcr]) => [cbor.unsigned(i), cbor.bytes(pcr)]))),
      "UnsupportedCborLength",
      0xbf,
    );
    refuses("digestSha256", withValue("digest", cbor.text("SHA256")), "UnsupportedDigest", utf8("SHA256"));
    refuses("digestSha38", withValue("digest", cbor.text("SHA38")), "UnsupportedDigest", utf8("SHA38"));
    refuses("digestOfSevenBytes", withValue("digest", cbor.text("SHA3840")), "CborStringTooLong", 7, 6);
    refuses("emptyModuleId", withValue("module_id", cbor.text("")), "EmptyModuleId");
    refuses("moduleIdOf129Bytes", withValue("module_id", cbor.text("m".repeat(129))), "CborStringTooLong", 129, 128);
    refuses("negativeTimestamp", withValue("timestamp", hex("20")), "UnexpectedCborType", 0, 1);
    refuses("timestampAsBignum", withValue("timestamp", hex("c24101")), "UnexpectedCborType", 0, 6);
    refuses("timestampAsFloat", withValue("timestamp", hex("fb3ff0000000000000")), "UnexpectedCborType", 0, 7);
    const { notBefore, notAfter } = chain.leaf;
    const end = 2n ** 64n - 1n;
    const outside = ["DocumentOutsideValidity", end, notBefore, notAfter] as const;
    refuses("timestampOf2To64", withValue("timestamp", cbor.unsigned(end)), ...outside);
    refuses("publicKeyUndefined", withValue("public_key", hex("f7")), "UnexpectedCborType", 2, 7);
    refuses("publicKeyAsText", withValue("public_key", cbor.text("key")), "UnexpectedCborType", 2, 3);
    refuses(
      "publicKeyOf1025Bytes",
      withValue("public_key", cbor.bytes(Buffer.alloc(1_025))),
      "CborStringTooLong",
      1_025,
      1_024,
    );
    for (const name of ["user_data", "nonce"]) {
      const value = cbor.bytes(Buffer.alloc(513));
      refuses(`${name}Of513Bytes`, withValue(name, value), "CborStringTooLong", 513, 512);
    }
    refuses("indefiniteByteString", withValue("user_data", hex("5f4401020304ff")), "UnsupportedCborLength", 0x5f);
    refuses(
      "lengthNotMinimal",
      withValue("nonce", join(hex("590020"), Buffer.alloc(32))),
      "CborHeadNotMinimal",
      32,
      256,
    );
    refuses("reservedLength", withValue("nonce", hex("5c")), "UnsupportedCborLength", 0x5c);
    refuses("stringBeyondTheDocument", signed(join(payload.subarray(0, -35), hex("5820ff"))), "OutOfBounds", 32, 1);
  });

  describe("chain", () => {
    const withCas = (...cas: readonly Uint8Array[]) => withValue("cabundle", cbor.array(...cas.map(cbor.bytes)));
    const cas = fields.cabundle;
    const indefinite = join(hex("9f"), ...cas.map(cbor.bytes), hex("ff"));
    const root = ethers.keccak256(TEST_ROOT_DER);
    refuses("indefiniteCabundle", withValue("cabundle", indefinite), "UnsupportedCborLength", 0x9f);
    refuses("nineCas", withCas(...Array<Uint8Array>(9).fill(TEST_ROOT_DER)), "InvalidCabundleSize", 9, 8);
    refuses("noCas", withCas(), "InvalidCabundleSize", 0, 8);
    refuses(
      "cabundleOf2To64",
      withValue("cabundle", hex("9bffffffffffffffff")),
      "InvalidCabundleSize",
      2n ** 64n - 1n,
      8,
    );
    refuses("leafFirst", withCas(...[...cas].reverse()), "UntrustedRoot", root, ethers.keccak256(cas[3]!));
    refuses("noRoot", withCas(...cas.slice(1)), "UntrustedRoot", root, ethers.keccak256(cas[1]!));
    refuses("emptyRoot", withCas(Buffer.alloc(0)), "UntrustedRoot", root, ethers.keccak256("0x"));
    refuses("rootTwice", withCas(TEST_ROOT_DER, ...cas), "RootBelowACertificate");
    refuses("levelLeftOut", withCas(...cas.slice(0, 2), cas[3]!), "IssuerMismatch", anyHash, anyHash);
    refuses("caOf1025Bytes", withCas(cas[0]!, Buffer.alloc(1_025)), "CborStringTooLong", 1_025, 1_024);
    refuses("emptyCa", withCas(cas[0]!, Buffer.alloc(0)), "OutOfBounds", 2, 0);
    refuses(
      "leafOf1025Bytes",
      withValue("certificate", cbor.bytes(Buffer.alloc(1_025))),
      "CborStringTooLong",
      1_025,
      1_024,
    );
    refuses("caAsLeaf", withValue("certificate", cbor.bytes(cas[3]!)), "LeafIsCa", certificateName(cas[3]!));
  });

  describe("unknown values", () => {
    const nested = (depth: number) => join(...Array<Buffer>(depth).fill(hex("81")), hex("00"));
    it("fourLevels_areSkipped", async () => {
      expect((await state().verifier.verify.staticCall(withUnknown(nested(4)), GAS)).leaf).to.equal(leaf);
    });
    refuses("fiveLevels", withUnknown(nested(5)), "CborTooDeep");
    refuses("tenThousandLevels", withUnknown(nested(10_000)), "CborTooDeep");
    refuses("fiveTags", withUnknown(hex("c1c1c1c1c100")), "CborTooDeep");
    refuses("indefiniteArray", withUnknown(hex("9f00ff")), "UnsupportedCborLength", 0x9f);
    refuses("indefiniteString", withUnknown(hex("7f6161ff")), "UnsupportedCborLength", 0x7f);
    refuses("indefiniteMapInside", withUnknown(hex("81bfff")), "UnsupportedCborLength", 0xbf);
    refuses("break", withUnknown(hex("ff")), "UnsupportedCborLength", 0xff);
    refuses("reserved", withUnknown(hex("fc")), "UnsupportedCborLength", 0xfc);
    refuses("simpleOfTwoBytesBelow32", withUnknown(hex("f818")), "InvalidCborSimple", 24);
    refuses("headNotMinimal", withUnknown(hex("1817")), "CborHeadNotMinimal", 23, 24);
    const last = (value: Uint8Array) => signed(join(hex("aa"), ...entries.flat(), cbor.text("new"), value));
    const most = 2n ** 64n - 1n;
    refuses("stringOf2To64Bytes", last(hex("5bffffffffffffffff")), "OutOfBounds", most, 0);
    refuses("arrayOf2To64Items", last(hex("9bffffffffffffffff")), "OutOfBounds", 1, 0);
    refuses("mapOf2To64Items", last(hex("bbffffffffffffffff00")), "OutOfBounds", 1, 0);
    refuses("floatCutOff", last(hex("fb00")), "OutOfBounds", 9, 2);
    refuses("headCutOff", last(hex("1b00")), "OutOfBounds", 9, 2);
  });
});
