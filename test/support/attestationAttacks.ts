import { generateKeyPairSync } from "node:crypto";

import type { AttestationErrorCode } from "../../simulator/enclave/AttestationError.ts";
import { attestationEntries, attestationPayload } from "../../simulator/enclave/attestationDocument.ts";
import * as cbor from "../../simulator/enclave/cbor.ts";
import { coseSign1, ecdsaSha384, ES384_HEADER, sigStructure } from "../../simulator/enclave/coseSign1.ts";
import {
  bytesOf,
  type ForgedChain,
  forgeChain,
  forgeDocument,
  forgeFields,
  withoutKey,
  withValue,
} from "./attestationForgery.ts";
import { certificateAttacks } from "./certificateAttacks.ts";

/** A document with one fault, to be shown to every verifier there is. */
export interface AttestationAttack {
  name: string;
  document: Buffer;
  /** Why the off-chain verifier refuses it; undefined for what only looks like an attack and has to be accepted. */
  refusedFor: AttestationErrorCode | undefined;
}

/** Documents under the test root, to be judged at `now`, unix seconds. The first is genuine, and most have its certificates. */
export function attestationAttacks(now: number): AttestationAttack[] {
  const chain = forgeChain(now);
  return [...signatureAttacks(now, chain), ...payloadAttacks(now, chain), ...certificateAttacks(now)];
}

const P384_ORDER = BigInt(
  "0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
);

function signatureAttacks(now: number, chain: ForgedChain): AttestationAttack[] {
  const fields = forgeFields(now, chain);
  const key = chain.leaf.keys.privateKey;
  const payload = attestationPayload(fields);
  const genuine = coseSign1(payload, key);
  const signature = genuine.subarray(-96);
  const s = BigInt(`0x${signature.toString("hex", 48)}`);
  const edited = (edit: (bytes: Buffer) => void): Buffer => {
    const copy = Buffer.from(genuine);
    edit(copy);
    return copy;
  };
  const flipped = (at: number): Buffer => edited((bytes) => (bytes[at]! ^= 1));
  const withS = (value: bigint): Buffer =>
    edited((bytes) => Buffer.from(value.toString(16).padStart(96, "0"), "hex").copy(bytes, bytes.length - 48));
  const message = (...items: Buffer[]): Buffer => cbor.array(...items);
  const [header, empty, content] = [cbor.bytes(ES384_HEADER), cbor.map([]), cbor.bytes(payload)];

  return [
    attack("as hardware writes it", undefined, genuine),
    attack("with a definite map, as until 2024", undefined, coseSign1(attestationPayload(fields, "definite"), key)),
    attack("tagged as COSE_Sign1", undefined, Buffer.concat([Buffer.of(0xd2), genuine])),
    attack("tagged as COSE_Mac0", "malformed_cose", Buffer.concat([Buffer.of(0xd1), genuine])),
    attack(
      "with the other s of the same signature: never use a document's hash as an id",
      undefined,
      withS(P384_ORDER - s),
    ),
    attack("with s of zero", "bad_signature", withS(0n)),
    attack("with s of the curve's order", "bad_signature", withS(P384_ORDER)),
    attack(
      "with a signature of zeros",
      "bad_signature",
      edited((bytes) => bytes.fill(0, bytes.length - 96)),
    ),
    attack("with the signature's last bit flipped", "bad_signature", flipped(genuine.length - 1)),
    attack("with PCR0 changed", "bad_signature", flipped(genuine.indexOf(fields.pcrs.get(0)!))),
    attack("with the user data changed", "bad_signature", flipped(genuine.indexOf(fields.userData!))),
    attack("with the nonce changed", "bad_signature", flipped(genuine.indexOf(fields.nonce!))),
    attack("with the timestamp changed", "bad_signature", flipped(genuine.indexOf("timestamp") + 9 + 8)),
    attack("signed by another key", "bad_signature", coseSign1(payload, p384Key())),
    attack(
      "signed without COSE's context",
      "bad_signature",
      message(header, empty, content, cbor.bytes(ecdsaSha384(payload, key))),
    ),
    attack("with a byte after it", "malformed_cose", Buffer.concat([genuine, Buffer.of(0)])),
    attack("one byte short", "malformed_cose", genuine.subarray(0, -1)),
    attack("empty", "malformed_cose", Buffer.alloc(0)),
    attack("saying ES256", "wrong_algorithm", coseSign1(payload, key, Buffer.from("a10126", "hex"))),
    attack(
      "saying its algorithm where it is not signed",
      "malformed_cose",
      message(cbor.bytes(Buffer.alloc(0)), Buffer.from("a1013822", "hex"), content, cbor.bytes(signature)),
    ),
    attack(
      "with an unprotected header",
      "malformed_cose",
      message(header, cbor.map([[cbor.unsigned(4), cbor.bytes(Buffer.of(1))]]), content, cbor.bytes(signature)),
    ),
    attack("with no payload", "malformed_cose", message(header, empty, cbor.CBOR_NULL, cbor.bytes(signature))),
    attack("of five items", "malformed_cose", message(header, empty, content, cbor.bytes(signature), cbor.CBOR_NULL)),
    attack(
      "with a signature of 97 bytes",
      "malformed_cose",
      message(header, empty, content, cbor.bytes(Buffer.concat([Buffer.of(0), signature]))),
    ),
    attack(
      "as an indefinite array",
      "malformed_cose",
      Buffer.concat([Buffer.of(0x9f), genuine.subarray(1), Buffer.of(0xff)]),
    ),
    attack(
      "signed over another protected header",
      "bad_signature",
      message(
        header,
        empty,
        content,
        cbor.bytes(ecdsaSha384(sigStructure(Buffer.from("a10126", "hex"), payload), key)),
      ),
    ),
  ];
}

/** Signed by the genuine leaf: what a hostile or a broken module could emit, or two parsers could read differently. */
function payloadAttacks(now: number, chain: ForgedChain): AttestationAttack[] {
  const fields = forgeFields(now, chain);
  const key = chain.leaf.keys.privateKey;
  const entries = attestationEntries(fields);
  const sign = (payload: Buffer): Buffer => coseSign1(payload, key);
  const replaced = (name: string, value: Uint8Array): Buffer => forgeDocument(withValue(fields, name, value), key);
  const extended = (...more: cbor.CborEntry[]): Buffer => forgeDocument([...entries, ...more], key);
  const malformed = (name: string, document: Buffer): AttestationAttack => attack(name, "malformed_payload", document);
  const [pcr0, pcr1, pcr2] = [0, 1, 2].map((index): cbor.CborEntry => [
    cbor.unsigned(index),
    cbor.bytes(fields.pcrs.get(index)!),
  ]) as [cbor.CborEntry, cbor.CborEntry, cbor.CborEntry];
  const indefinite = (head: number, ...items: Uint8Array[]): Buffer =>
    Buffer.concat([Buffer.of(head), ...items, Buffer.of(0xff)]);
  const otherKey = cbor.bytes(bytesOf("other key", 97));

  return [
    malformed("with pcrs twice", extended(entries[3]!)),
    malformed("with public_key twice", extended([cbor.text("public_key"), otherKey])),
    malformed(
      "with public_key again, in pieces",
      extended([indefinite(0x7f, cbor.text("public"), cbor.text("_key")), otherKey]),
    ),
    malformed(
      "with public_key again, under a longer head",
      extended([Buffer.from(`780a${hexOf("public_key")}`, "hex"), otherKey]),
    ),
    malformed(
      "with an unknown key twice",
      extended([cbor.text("x"), cbor.unsigned(1)], [cbor.text("x"), cbor.unsigned(2)]),
    ),
    malformed("with a number as key", extended([cbor.unsigned(1), cbor.CBOR_NULL])),
    malformed("with PCR0 twice", replaced("pcrs", cbor.map([pcr0, pcr0, pcr1, pcr2]))),
    malformed(
      "with PCR0 again, under a longer head",
      replaced("pcrs", cbor.map([pcr0, [Buffer.from("1800", "hex"), pcr1[1]], pcr1, pcr2])),
    ),
    malformed(
      "with a PCR of 32 bytes",
      replaced("pcrs", cbor.map([[pcr0[0], cbor.bytes(bytesOf("short", 32))], pcr1, pcr2])),
    ),
    malformed("without PCR2", replaced("pcrs", cbor.map([pcr0, pcr1]))),
    malformed("with PCR32", replaced("pcrs", cbor.map([pcr0, pcr1, pcr2, [cbor.unsigned(32), pcr0[1]]]))),
    attack(
      "with a PCR the enclave locked itself",
      undefined,
      replaced("pcrs", cbor.map([pcr0, pcr1, pcr2, [cbor.unsigned(16), pcr0[1]]])),
    ),
    malformed("with pcrs as an indefinite map", replaced("pcrs", indefinite(0xbf, ...pcr0, ...pcr1, ...pcr2))),
    malformed(
      "of a NitroTPM",
      forgeDocument([...withoutKey(fields, "pcrs"), [cbor.text("nitrotpm_pcrs"), entries[3]![1]]], key),
    ),
    malformed("with digest SHA256", replaced("digest", cbor.text("SHA256"))),
    ...["module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle"].map((name) =>
      malformed(`without ${name}`, forgeDocument(withoutKey(fields, name), key)),
    ),
    ...["public_key", "user_data", "nonce"].flatMap((name) => [
      attack(`without ${name}`, undefined, forgeDocument(withoutKey(fields, name), key)),
      attack(`with ${name} null`, undefined, replaced(name, cbor.CBOR_NULL)),
      malformed(`with ${name} undefined`, replaced(name, Buffer.of(0xf7))),
      malformed(`with ${name} as text`, replaced(name, cbor.text("dummy"))),
      malformed(
        `with ${name} too long`,
        replaced(name, cbor.bytes(bytesOf("long", name === "public_key" ? 1025 : 513))),
      ),
    ]),
    attack(
      "with a key nobody knows",
      undefined,
      extended([cbor.text("extra"), cbor.map([[cbor.text("deep"), cbor.array(cbor.unsigned(1))]])]),
    ),
    malformed("with user_data in pieces", replaced("user_data", indefinite(0x5f, cbor.bytes(bytesOf("piece", 4))))),
    malformed(
      "with a longer head than needed",
      replaced("nonce", Buffer.concat([Buffer.from("590020", "hex"), fields.nonce!])),
    ),
    malformed(
      "with an indefinite cabundle",
      replaced("cabundle", indefinite(0x9f, ...fields.cabundle.map(cbor.bytes))),
    ),
    malformed("with an empty cabundle", replaced("cabundle", cbor.array())),
    malformed(
      "with a cabundle of nine",
      replaced("cabundle", cbor.array(...Array.from({ length: 9 }, () => cbor.bytes(fields.cabundle[0]!)))),
    ),
    attack(
      "with the cabundle upside down",
      "untrusted_root",
      replaced("cabundle", cbor.array(...fields.cabundle.map(cbor.bytes).reverse())),
    ),
    attack(
      "without the root in its cabundle",
      "untrusted_root",
      replaced("cabundle", cbor.array(...fields.cabundle.slice(1).map(cbor.bytes))),
    ),
    malformed("with a certificate of 1,025 bytes", replaced("certificate", cbor.bytes(bytesOf("long", 1025)))),
    malformed("without the break at its end", sign(cbor.indefiniteMap(entries).subarray(0, -1))),
    malformed("with a byte after the break", sign(Buffer.concat([cbor.indefiniteMap(entries), Buffer.of(0)]))),
    malformed("with a count too small", sign(Buffer.concat([Buffer.of(0xa8), ...entries.flat()]))),
    malformed("with a count too large", sign(Buffer.concat([Buffer.of(0xaa), ...entries.flat()]))),
    malformed("as an array", sign(cbor.array(...entries.flat()))),
    malformed("with a tagged payload", sign(Buffer.concat([Buffer.of(0xc1), cbor.map(entries)]))),
    malformed("with a negative timestamp", replaced("timestamp", Buffer.of(0x20))),
    malformed(
      "with a bignum as timestamp",
      replaced("timestamp", Buffer.from("c24601900000000000", "hex").subarray(0, 8)),
    ),
    malformed("with a float as timestamp", replaced("timestamp", Buffer.from("fb4279000000000000", "hex"))),
    malformed("with a timestamp of 2^53", replaced("timestamp", cbor.unsigned64(1n << 53n))),
    malformed("with a timestamp that no calendar has", replaced("timestamp", cbor.unsigned64(8_640_000_000_000_001n))),
    attack(
      "made ten minutes from now",
      "wrong_document_time",
      document({ ...fields, timestamp: (now + 600) * 1000 }, key),
    ),
    attack(
      "made before its leaf certificate",
      "wrong_document_time",
      document({ ...fields, timestamp: (now - 4) * 1000 }, key),
    ),
    attack(
      "of an enclave in debug mode",
      "debug_mode",
      document(
        {
          ...fields,
          pcrs: new Map([...fields.pcrs].map(([index, pcr]) => [index, index < 3 ? Buffer.alloc(48) : pcr])),
        },
        key,
      ),
    ),
  ];
}

export const attack = (
  name: string,
  refusedFor: AttestationErrorCode | undefined,
  document: Buffer,
): AttestationAttack => ({ name, document, refusedFor });

const document = (
  ...[fields, key]: [Parameters<typeof attestationEntries>[0], Parameters<typeof forgeDocument>[1]]
): Buffer => forgeDocument(attestationEntries(fields), key);

const p384Key = () => generateKeyPairSync("ec", { namedCurve: "P-384" }).privateKey;

const hexOf = (text: string): string => Buffer.from(text).toString("hex");
