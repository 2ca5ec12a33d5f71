import { keccak256 } from "../receipts/keccak.ts";
import { decodeManifest, encodeManifest, MANIFEST_BYTES, type ZkManifest } from "./manifest.ts";
import { decodeModelVector, encodeModelVector, ENTRY_BYTES, type ModelVector, weightsHash } from "./modelVector.ts";
import { ZkFormatError } from "./ZkError.ts";

/** What is published with a zk model version, so that anybody can serve it and check its commitment. */
export interface ZkModelBlob {
  manifest: ZkManifest;
  vector: ModelVector;
  /**
   * One for each input of the ONNX model: input i stands for x_i / 2^inputScales[i]. The manifest has the largest; features of other
   * magnitudes have others. The blob's id on chain commits to them.
   */
  inputScales: readonly number[];
  onnx: Uint8Array;
}

/** "OGZKML" and the version of the format. */
const MAGIC = Buffer.from("OGZKML01", "ascii");
const HEADER_BYTES = MAGIC.length + MANIFEST_BYTES + 8;

export const MAX_MODEL_BLOB_BYTES = 32 * 1024 * 1024;

/** magic ‖ abi.encode(manifest) ‖ uint32 entries ‖ uint32 bytes of ONNX ‖ input scales as int8 ‖ entries as int32 ‖ ONNX, all big-endian. */
export function encodeModelBlob({ manifest, vector, inputScales, onnx }: ZkModelBlob): Uint8Array {
  const lengths = Buffer.alloc(8);
  lengths.writeUInt32BE(vector.length, 0);
  lengths.writeUInt32BE(onnx.length, 4);
  const scales = Int8Array.from(inputScales);
  const parts = [
    MAGIC,
    encodeManifest(manifest),
    lengths,
    new Uint8Array(scales.buffer),
    encodeModelVector(vector),
    onnx,
  ];
  const blob = Buffer.concat(parts);
  // whoever reads it would refuse it
  decodeModelBlob(blob);
  return blob;
}

/**
 * Reads a model blob and checks its parts against its own manifest. Whether the manifest is the registered one, and the vector one of the
 * shape, is for the caller to check ({@link manifestHash}, {@link checkModelVector}).
 *
 * @throws ZkFormatError
 */
export function decodeModelBlob(bytes: Uint8Array): ZkModelBlob {
  if (bytes.length > MAX_MODEL_BLOB_BYTES) {
    throw new ZkFormatError(`Expected a model blob of at most ${MAX_MODEL_BLOB_BYTES} bytes, found ${bytes.length}`);
  }
  if (bytes.length < HEADER_BYTES || !MAGIC.equals(bytes.subarray(0, MAGIC.length))) {
    throw new ZkFormatError(`Expected a zk model blob, which begins with ${MAGIC.toString("ascii")}`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const manifest = decodeManifest(bytes.subarray(MAGIC.length, MAGIC.length + MANIFEST_BYTES));
  const vectorAt = HEADER_BYTES + manifest.inputs;
  const onnxAt = vectorAt + view.getUint32(HEADER_BYTES - 8) * ENTRY_BYTES;
  const expected = onnxAt + view.getUint32(HEADER_BYTES - 4);
  if (bytes.length !== expected) {
    throw new ZkFormatError(`Expected a model blob of ${expected} bytes by its header, found ${bytes.length}`);
  }
  const inputScales = Array.from(Int8Array.from(bytes.subarray(HEADER_BYTES, vectorAt)));
  if (Math.max(...inputScales) !== manifest.inputScale) {
    throw new ZkFormatError(`Expected ${manifest.inputScale} as the largest input scale, found ${inputScales.join()}`);
  }
  const vector = decodeModelVector(bytes.subarray(vectorAt, onnxAt));
  const onnx = bytes.slice(onnxAt);
  expectHash("ONNX file", manifest.onnxHash, keccak256(onnx));
  expectHash("model vector", manifest.weightsHash, weightsHash(vector));
  return { manifest, vector, inputScales, onnx };
}

function expectHash(what: string, expected: string, found: string): void {
  if (expected !== found) {
    throw new ZkFormatError(`Expected the ${what} with hash ${expected} that the manifest names, found ${found}`);
  }
}
