import { expect } from "chai";

import { keccak256 } from "../../../simulator/receipts/keccak.ts";
import type { TensorReceipt } from "../../../simulator/receipts/tensors.ts";
import { Mode, type Hex, type Receipt } from "../../../simulator/receipts/types.ts";
import { batchHeader, draftBatch } from "../../../simulator/settlement/buildBatch.ts";
import { checkTensors } from "../../../simulator/verification/checkTensors.ts";
import type { Fault } from "../../../simulator/verification/Fault.ts";
import { openBatch } from "../../../simulator/verification/openBatch.ts";
import type { ZkModels } from "../../../simulator/verification/ZkModels.ts";
import { SHAPES } from "../../../simulator/zkml/shape.ts";
import { tensorHash } from "../../../simulator/zkml/tensorHash.ts";
import { commitmentFor, developmentKey, provedSample, randomInputs, randomModel } from "../../support/zk.ts";
import { hasher, modelId, operator, signedReceipt } from "./sampleBatch.ts";

const shape = SHAPES.S;
const vector = randomModel(shape);

describe("checkTensors", () => {
  let zk: ZkModels;

  before(async () => {
    const { key, file } = await developmentKey(shape);
    const model = { shape, key, keyFile: file, commitment: await commitmentFor(vector) };
    zk = {
      model: (id) => Promise.resolve(id === modelId ? model : undefined),
      weights: () => Promise.resolve({ vector, manifest: undefined as never, inputScales: [] }),
    };
  });

  /** A receipt with a real proof, unless it is of a mode without. */
  async function answered(index: number, fields: Partial<Receipt> = {}, input = index): Promise<TensorReceipt> {
    const plain = signedReceipt(index, { mode: Mode.Zkml, ...fields }).receipt;
    const { inWords, outWords, proof } = await provedSample({
      vector,
      inputs: randomInputs(shape, input),
      context: {
        chainId: hasher.domain.chainId,
        consumer: hasher.domain.verifyingContract,
        requestId: plain.requestId,
        modelId,
        requester: plain.payer,
      },
    });
    const hashes = { inputHash: tensorHash(inWords), outputHash: tensorHash(outWords) };
    const tensors = { inWords, outWords, ...(plain.mode === Mode.Zkml && { proof }) };
    return { ...signedReceipt(index, { ...plain, ...hashes, ...fields }), tensors };
  }

  function faultsOf(receipts: TensorReceipt[], models: ZkModels | undefined = zk): Promise<Fault[]> {
    const terms = new Map([[modelId, { owner: operator, royaltyBps: 0 }]]);
    const draft = draftBatch({ domain: hasher.domain, operator, receipts, models: terms });
    const header = batchHeader(draft, { blobId: keccak256(draft.blob), setId: 1, seen: 0 });
    return checkTensors(openBatch(hasher, header, draft.blob), hasher.domain, models);
  }

  it("finds nothing wrong with proofs that hold, and outputs that are the model's", async () => {
    const plain = signedReceipt(9);
    expect(await faultsOf([await answered(1), await answered(2), await answered(3, { mode: Mode.Vanilla }), plain])).to
      .be.empty;
    expect(await faultsOf([plain], undefined)).to.be.empty;
  });

  it("a receipt of mode ZKML without a proof is shown by its place in the tree", async () => {
    const { receipt, signature } = await answered(1);
    const [fault, ...others] = await faultsOf([{ receipt, signature }, await answered(2)]);
    expect(others).to.be.empty;
    expect(fault).to.include({ kind: "proof-missing", leaf: 1 });
    expect(fault!.challenge?.method).to.equal("challengeMissingProof");
  });

  it("a proof of something else, or under other words, is shown by what the tree commits to", async () => {
    const [right, other] = [await answered(1), await answered(2)];
    const outWords = [right.tensors!.outWords[0]! + 1n, right.tensors!.outWords[1]!];
    const bent: TensorReceipt[] = [
      { ...right, tensors: other.tensors },
      { ...right, tensors: { ...right.tensors!, proof: other.tensors!.proof } },
      { ...signedReceipt(1, { ...right.receipt, outputHash: keccak256("other") }), tensors: right.tensors },
      {
        ...signedReceipt(1, { ...right.receipt, outputHash: tensorHash(outWords) }),
        tensors: { ...right.tensors!, outWords },
      },
      // paid by somebody else than it was proven for
      { ...signedReceipt(1, { ...right.receipt, payer: `0x${"ee".repeat(20)}` }), tensors: right.tensors },
    ];
    for (const receipt of bent) {
      const [fault, ...others] = await faultsOf([receipt]);
      expect(others).to.be.empty;
      expect(fault!.kind).to.equal("proof-invalid");
      const { challenge } = fault!;
      if (challenge?.method !== "challengeProof") throw new Error(`Expected a proof's challenge: ${challenge?.method}`);
      expect(challenge.leaf.path.slice(0, 66)).to.equal(keccak256(Buffer.from(challenge.committed.slice(2), "hex")));
    }
  });

  it("a wrong output of another mode is refuted", async () => {
    const right = await answered(1, { mode: Mode.Vanilla });
    const outWords = [right.tensors!.outWords[0]! + 1n, right.tensors!.outWords[1]!];
    const wrong = {
      ...signedReceipt(1, { ...right.receipt, outputHash: tensorHash(outWords) }),
      tensors: { inWords: right.tensors!.inWords, outWords },
    };
    const [fault, ...others] = await faultsOf([right, wrong].slice(1));
    expect(others).to.be.empty;
    expect(fault!.kind).to.equal("output-refuted");
    expect(fault!.challenge).to.deep.include({ method: "refute", inWords: right.tensors!.inWords });
  });

  it("tensors that are not the receipt's, or no input of the model, cannot be shown", async () => {
    const right = await answered(1, { mode: Mode.Vanilla });
    const strange: Hex = tensorHash([2n ** 255n]);
    const receipts: TensorReceipt[] = [
      { ...right, tensors: { ...right.tensors!, inWords: [1n] } },
      {
        ...signedReceipt(1, { ...right.receipt, inputHash: strange }),
        tensors: { ...right.tensors!, inWords: [2n ** 255n] },
      },
    ];
    for (const receipt of receipts) {
      const [fault, ...others] = await faultsOf([receipt]);
      expect(others).to.be.empty;
      expect(fault!.kind).to.equal("tensors");
      expect(fault!.challenge).to.equal(undefined);
    }
  });

  it("without the means to check proofs, or for another model, nothing of mode ZKML passes", async () => {
    const right = await answered(1);
    const [unchecked] = await faultsOf([right], { ...zk, model: () => Promise.resolve(undefined) });
    expect(unchecked).to.include({ kind: "mode", leaf: 0 });
    const terms = new Map([[modelId, { owner: operator, royaltyBps: 0 }]]);
    const draft = draftBatch({ domain: hasher.domain, operator, receipts: [right], models: terms });
    const header = batchHeader(draft, { blobId: keccak256(draft.blob), setId: 1, seen: 0 });
    const faults = await checkTensors(openBatch(hasher, header, draft.blob), hasher.domain, undefined);
    expect(faults.map(({ kind }) => kind)).to.deep.equal(["mode"]);
  });
});
