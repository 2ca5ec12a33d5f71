import { putUint, putWord, toHex } from "../receipts/bytes.ts";
import { keccak256 } from "../receipts/keccak.ts";
import type { Hex } from "../receipts/types.ts";
import { ZkFormatError } from "./ZkError.ts";

/** What a zk model version is, as the registry's `contentHash` commits to it. */
export interface ZkManifest {
  /** keccak256 of the ONNX file. */
  onnxHash: Hex;
  weightsHash: Hex;
  /** The shape's number in the registry. */
  shape: number;
  /** Elements of the ONNX model's own input and output; the shape's other lanes are padding. */
  inputs: number;
  outputs: number;
  /** An input x stands for x / 2^inputScale, an output y for y / 2^outputScale. */
  inputScale: number;
  outputScale: number;
}

export const MANIFEST_BYTES = 7 * 32;

/** abi.encode(ZkManifest). */
export function encodeManifest(manifest: ZkManifest): Uint8Array {
  const words = Buffer.alloc(MANIFEST_BYTES);
  putWord(words, 0, manifest.onnxHash, 32);
  putWord(words, 32, manifest.weightsHash, 32);
  putUint(words, 64, manifest.shape, 16);
  putUint(words, 96, manifest.inputs, 16);
  putUint(words, 128, manifest.outputs, 16);
  putUint(words, 160, manifest.inputScale, 8);
  putUint(words, 192, manifest.outputScale, 8);
  return words;
}

/** @throws ZkFormatError unless the bytes are abi.encode of a manifest. */
export function decodeManifest(bytes: Uint8Array): ZkManifest {
  if (bytes.length !== MANIFEST_BYTES) {
    throw new ZkFormatError(`Expected a manifest of ${MANIFEST_BYTES} bytes, found ${bytes.length}`);
  }
  const hash = (word: number) => toHex(bytes.subarray(32 * word, 32 * word + 32));
  const number = (word: number, bits: number, what: string) => {
    const value = BigInt(hash(word));
    if (value >> BigInt(bits) !== 0n) {
      throw new ZkFormatError(`Expected the manifest's ${what} to have ${bits} bits, found ${value}`);
    }
    return Number(value);
  };
  return {
    onnxHash: hash(0),
    weightsHash: hash(1),
    shape: number(2, 16, "shape"),
    inputs: number(3, 16, "inputs"),
    outputs: number(4, 16, "outputs"),
    inputScale: number(5, 8, "inputScale"),
    outputScale: number(6, 8, "outputScale"),
  };
}

/** `contentHash` of the model version. */
export const manifestHash = (manifest: ZkManifest): Hex => keccak256(encodeManifest(manifest));
