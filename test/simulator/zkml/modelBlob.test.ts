import { AbiCoder, keccak256 as ethersKeccak, solidityPackedKeccak256 } from "ethers";
import { expect } from "chai";

import { contextSignal } from "../../../simulator/zkml/context.ts";
import { SCALAR_FIELD } from "../../../simulator/zkml/field.ts";
import { hashChain } from "../../../simulator/zkml/hashChain.ts";
import { decodeManifest, encodeManifest, manifestHash, type ZkManifest } from "../../../simulator/zkml/manifest.ts";
import { decodeModelBlob, encodeModelBlob, type ZkModelBlob } from "../../../simulator/zkml/modelBlob.ts";
import { encodeModelVector, weightsHash } from "../../../simulator/zkml/modelVector.ts";
import { importModel } from "../../../simulator/zkml/quantise/importModel.ts";
import { manifestOf } from "../../../simulator/zkml/quantise/ZkModel.ts";
import { tensorHash } from "../../../simulator/zkml/tensorHash.ts";
import { SeededRandom } from "../../../simulator/models/SeededRandom.ts";
import { perceptron } from "../../support/onnxModels.ts";
import { ANY_CONTEXT, randomModel } from "../../support/zk.ts";

const abi = AbiCoder.defaultAbiCoder();
const MANIFEST = "tuple(bytes32,bytes32,uint16,uint16,uint16,uint8,uint8)";

describe("what contracts compute too", () => {
  it("a manifest's hash is keccak256 of its ABI encoding", () => {
    const manifest: ZkManifest = {
      onnxHash: `0x${"ab".repeat(32)}`,
      weightsHash: `0x${"cd".repeat(32)}`,
      shape: 65_535,
      inputs: 16,
      outputs: 3,
      inputScale: 10,
      outputScale: 255,
    };
    const encoded = abi.encode([MANIFEST], [Object.values(manifest)]);
    expect(`0x${Buffer.from(encodeManifest(manifest)).toString("hex")}`).to.equal(encoded);
    expect(manifestHash(manifest)).to.equal(ethersKeccak(encoded));
    expect(decodeManifest(encodeManifest(manifest))).to.deep.equal(manifest);
  });

  it("a manifest doesn't hold what its fields cannot", () => {
    const manifest = decodeManifest(new Uint8Array(224));
    expect(() => encodeManifest({ ...manifest, inputScale: 256 })).to.throw("8 bits");
    expect(() => decodeManifest(new Uint8Array(223))).to.throw("Expected a manifest of 224 bytes");
    expect(() => decodeManifest(new Uint8Array(224).fill(1))).to.throw("manifest's shape to have 16 bits");
  });

  it("the weights' hash is a chain over chunks of 128 entries, the last one shorter", () => {
    const vector = randomModel();
    let hash = `0x${"00".repeat(32)}`;
    for (let start = 0; start < vector.length; start += 128) {
      const entries = [...vector.subarray(start, start + 128)];
      hash = solidityPackedKeccak256(["bytes32", ...entries.map(() => "int32")], [hash, ...entries]);
    }
    expect(weightsHash(vector)).to.equal(hash);
    expect(hashChain(encodeModelVector(vector.subarray(0, 128)), 4)).not.to.equal(hash);
  });

  it("a tensor's hash is keccak256 of its words", () => {
    expect(tensorHash([1n, 2n ** 250n])).to.equal(solidityPackedKeccak256(["uint256", "uint256"], [1n, 2n ** 250n]));
  });

  it("a context is the hash of what the proof is for, modulo the field", () => {
    const { chainId, consumer, requestId, modelId, requester } = ANY_CONTEXT;
    const encoded = abi.encode(
      ["uint256", "address", "bytes32", "bytes32", "address"],
      [chainId, consumer, requestId, modelId, requester],
    );
    expect(contextSignal(ANY_CONTEXT)).to.equal(BigInt(ethersKeccak(encoded)) % SCALAR_FIELD);
    const others = [
      { chainId: 1n },
      { consumer: requester },
      { requestId: modelId },
      { modelId: requestId },
      { requester: consumer },
    ];
    const signals = others.map((changed) => contextSignal({ ...ANY_CONTEXT, ...changed }));
    expect(new Set([...signals, contextSignal(ANY_CONTEXT)]).size).to.equal(6);
  });
});

describe("model blobs", () => {
  const onnx = perceptron([3, 4, 2], "Relu");
  const { model } = importModel(onnx, { samples: [[1, 100, 0.1]] });
  const original: ZkModelBlob = {
    manifest: manifestOf(model, onnx, 1),
    vector: model.vector,
    inputScales: model.inputScales,
    onnx,
  };
  const blob = encodeModelBlob(original);

  it("come back as they were, with a scale for each input", () => {
    const { manifest, vector, inputScales, onnx: file } = decodeModelBlob(blob);
    expect({ manifest, vector, inputScales }).to.deep.equal({
      manifest: original.manifest,
      vector: original.vector,
      inputScales: [13, 7, 17],
    });
    expect(Buffer.from(file).equals(Buffer.from(onnx))).to.equal(true);
    expect(manifest.inputScale).to.equal(17);
  });

  it("are refused when anything in them was changed or cut off", () => {
    const random = new SeededRandom(5);
    for (let round = 0; round < 300; round++) {
      const changed = Uint8Array.from(blob);
      const at = random.uint32() % changed.length;
      changed[at] = (changed[at] as number) ^ (1 + (random.uint32() % 255));
      // the manifest itself is checked by its hash, and the scales by the blob's id
      const inManifest = at >= 8 && at < 8 + 224 + 8 + 3;
      if (inManifest) continue;
      expect(() => decodeModelBlob(changed), `byte ${at}`)
        .to.throw()
        .with.property("code", "invalid_zk_file");
    }
    for (const length of [0, 7, 100, blob.length - 1]) {
      expect(() => decodeModelBlob(blob.subarray(0, length)), `${length} bytes`)
        .to.throw()
        .with.property("code", "invalid_zk_file");
    }
    expect(() => decodeModelBlob(Buffer.concat([blob, Buffer.from([0])]))).to.throw("by its header");
  });

  it("are not made from parts that don't belong together", () => {
    expect(() => encodeModelBlob({ ...original, onnx: Buffer.from("other") })).to.throw(
      "Expected the ONNX file with hash",
    );
    expect(() => encodeModelBlob({ ...original, vector: randomModel() })).to.throw(
      "Expected the model vector with hash",
    );
    expect(() => encodeModelBlob({ ...original, inputScales: [1, 2, 3] })).to.throw("17 as the largest input scale");
  });
});
