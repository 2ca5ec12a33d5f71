import { TypedDataEncoder, type TypedDataDomain, type TypedDataField } from "ethers";
import { fromHex, toHex } from "../../../simulator/receipts/bytes.ts";
import { keccakBytes } from "../../../simulator/receipts/keccak.ts";
import type { Hex } from "../../../simulator/receipts/types.ts";

/** A struct's values by field name: numbers and addresses, hashes as hex, or structs within it. */
export interface TypedMessage {
  readonly [field: string]: string | bigint | number | TypedMessage;
}

type Types = Readonly<Record<string, readonly { readonly name: string; readonly type: string }[]>>;

/** @returns the EIP-712 digest of a message. */
export type TypedDigest = (message: TypedMessage) => Hex;

const WORD = 32;

/**
 * Makes a function that hashes one kind of EIP-712 message, about twenty times as fast as general encoders, for benchmarks sign payments by the ten
 * thousand. Fields of fixed size and structs of them only. The first digest is compared with ethers'.
 */
export function typedDigest(domain: TypedDataDomain, types: Types, primaryType: string): TypedDigest {
  const mutableTypes = types as Record<string, TypedDataField[]>;
  const encoder = TypedDataEncoder.from(mutableTypes);
  const typeHashes = new Map(
    Object.keys(types).map((name) => [name, keccakBytes(Buffer.from(encoder.encodeType(name)))]),
  );
  const envelope = Buffer.alloc(2 + 2 * WORD);
  envelope.set([0x19, 0x01]);
  envelope.set(fromHex(TypedDataEncoder.hashDomain(domain)), 2);

  const structHash = (type: string, message: TypedMessage): Uint8Array => {
    const fields = types[type]!;
    const bytes = Buffer.alloc(WORD * (1 + fields.length));
    bytes.set(typeHashes.get(type)!);
    fields.forEach((field, i) => {
      const value = message[field.name]!;
      const at = WORD * (1 + i);
      if (typeof value === "object") bytes.set(structHash(field.type, value), at);
      else bytes.write(wordOf(field.type, value), at, "hex");
    });
    return keccakBytes(bytes);
  };

  let compared = false;
  return (message) => {
    envelope.set(structHash(primaryType, message), 2 + WORD);
    const digest = toHex(keccakBytes(envelope));
    if (!compared) {
      const expected = TypedDataEncoder.hash(domain, mutableTypes, message);
      if (digest !== expected) throw new Error(`Expected the digest ${expected} of a ${primaryType}, found ${digest}`);
      compared = true;
    }
    return digest;
  };
}

function wordOf(type: string, value: string | bigint | number): string {
  const hex =
    typeof value === "string" && (type === "address" || type.startsWith("bytes"))
      ? value.slice(2)
      : BigInt(value).toString(16);
  return hex.padStart(2 * WORD, "0");
}
