import { OnnxImportError } from "./OnnxImportError.ts";

const VARINT = 0;
const FIXED_64 = 1;
const LENGTH = 2;
const FIXED_32 = 5;

/** One field of a message: a number for varints, the bytes of everything else. */
export interface Field {
  number: number;
  value: bigint | Uint8Array;
}

/** Reads protobuf's wire format; what the fields mean is for the caller. Nothing it reads may point outside of `bytes`. */
export function* protobufFields(bytes: Uint8Array): Generator<Field> {
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = bytes[at++];
      if (byte === undefined) throw new OnnxImportError("The ONNX file ends within a number");
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    throw new OnnxImportError("The ONNX file has a number of more than 64 bits");
  };
  const take = (length: bigint): Uint8Array => {
    if (length > BigInt(bytes.length - at)) throw new OnnxImportError("The ONNX file ends within a field");
    return bytes.subarray(at, (at += Number(length)));
  };
  while (at < bytes.length) {
    const key = varint();
    const number = Number(key >> 3n);
    switch (Number(key & 7n)) {
      case VARINT:
        yield { number, value: varint() };
        break;
      case FIXED_64:
        yield { number, value: take(8n) };
        break;
      case LENGTH:
        yield { number, value: take(varint()) };
        break;
      case FIXED_32:
        yield { number, value: take(4n) };
        break;
      default:
        throw new OnnxImportError(
          `The ONNX file has a field of wire type ${key & 7n}, which protobuf doesn't have now`,
        );
    }
  }
}

/** @throws OnnxImportError when the field is a number. */
export function bytesOf({ number, value }: Field): Uint8Array {
  if (typeof value === "bigint") throw new OnnxImportError(`Expected bytes in field ${number} of the ONNX file`);
  return value;
}

export const textOf = (field: Field): string => Buffer.from(bytesOf(field)).toString("utf8");

/** @throws OnnxImportError when the field is bytes. */
export function integerOf({ number, value }: Field): number {
  if (typeof value !== "bigint") throw new OnnxImportError(`Expected a number in field ${number} of the ONNX file`);
  return Number(BigInt.asIntN(64, value));
}

/** A repeated integer, packed or one by one. */
export function integersOf(field: Field): number[] {
  if (typeof field.value === "bigint") return [integerOf(field)];
  // a packed field is varints without keys: each gets one in front of it
  const values: number[] = [];
  let value = 0n;
  let shift = 0n;
  for (const byte of field.value) {
    value |= BigInt(byte & 0x7f) << shift;
    shift += 7n;
    if (shift > 70n) throw new OnnxImportError("The ONNX file has a number of more than 64 bits");
    if (byte >= 0x80) continue;
    values.push(Number(BigInt.asIntN(64, value)));
    value = shift = 0n;
  }
  if (shift !== 0n) throw new OnnxImportError("The ONNX file ends within a number");
  return values;
}

/** A repeated float, packed or one by one. */
export function floatsOf(field: Field): number[] {
  const bytes = bytesOf(field);
  if (bytes.length % 4 !== 0) throw new OnnxImportError("The ONNX file ends within a float");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(4 * i, true));
}
