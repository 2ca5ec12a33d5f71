import { expect } from "chai";
import { solidityPackedKeccak256 } from "ethers";
import fc from "fast-check";

import { leafPositions, sumLeaf, verifySumPath } from "../../../simulator/receipts/sumTree.ts";
import { tensorReceiptToJson, type TensorReceipt } from "../../../simulator/receipts/tensors.ts";
import { Mode, type Hex } from "../../../simulator/receipts/types.ts";
import {
  decodeBatchBlob,
  encodeBatchBlob,
  fittingReceipts,
  MAX_BATCH_BYTES,
  type BatchBlob,
} from "../../../simulator/settlement/batchBlob.ts";
import { batchFacts, batchHeader, draftBatch } from "../../../simulator/settlement/buildBatch.ts";
import {
  packRoyalty,
  royaltiesHash,
  royaltiesOf,
  unpackRoyalty,
  type RoyaltyTerms,
} from "../../../simulator/settlement/royalties.ts";
import { bytes32, domain, operator, signed, someReceipts } from "./receipts.ts";

const owners: Hex[] = [`0x${"01".repeat(20)}`, `0x${"f2".repeat(20)}`];
const models = new Map<Hex, RoyaltyTerms>([
  [bytes32(0), { owner: owners[1]!, royaltyBps: 1_000 }],
  [bytes32(1), { owner: owners[0]!, royaltyBps: 2_000 }],
  [bytes32(2), { owner: owners[1]!, royaltyBps: 333 }],
  [bytes32(3), { owner: owners[0]!, royaltyBps: 0 }],
]);
const place = { blobId: bytes32(9), setId: 3, seen: 7 };
const shuffled = someReceipts.chain((receipts) =>
  fc.tuple(fc.constant(receipts), fc.shuffledSubarray(receipts, { minLength: receipts.length })),
);

describe("draftBatch", () => {
  it("does not depend on the order in which receipts come", () => {
    fc.assert(
      fc.property(shuffled, ([receipts, others]) => {
        fc.pre(new Set(receipts.map(({ receipt }) => receipt.requestId)).size === receipts.length);
        const drafts = [receipts, others].map((some) => draftBatch({ domain, operator, receipts: some, models }));
        expect(batchHeader(drafts[0]!, place)).to.deep.equal(batchHeader(drafts[1]!, place));
        expect(drafts[0]!.blob).to.deep.equal(drafts[1]!.blob);
      }),
    );
  });

  it("the header says what is in the blob, and every receipt proves into its root", () => {
    fc.assert(
      fc.property(someReceipts, (receipts) => {
        const draft = draftBatch({ domain, operator, receipts, models });
        const header = batchHeader(draft, place);
        const blob = decodeBatchBlob(draft.blob);
        expect(blob).to.deep.equal({ domain, operator, receipts: draft.receipts, royalties: draft.royalties });
        expect(header).to.deep.include({ ...batchFacts(blob.receipts), ...place, operator });
        expect(header.royaltiesHash).to.equal(royaltiesHash(blob.royalties));
        expect(header.fees).to.equal(receipts.reduce((sum, { receipt }) => sum + receipt.fee, 0n));
        const root = { hash: header.root, total: (header.fees << 32n) | BigInt(header.count) };
        blob.receipts.forEach((receipt, i) => {
          expect(verifySumPath(sumLeaf(receipt), draft.tree.path(i), root)).to.equal(true);
          expect(receipt.receipt.servedAt >= header.servedFrom && receipt.receipt.servedAt <= header.servedTo).to.equal(
            true,
          );
        });
      }),
    );
  });

  it("refuses an unknown model, nothing at all, and fees beyond a uint96", () => {
    const draft = (receipts: ReturnType<typeof signed>[]) => draftBatch({ domain, operator, receipts, models });
    expect(() => draft([signed({ modelId: bytes32(99) })])).to.throw("royalty terms");
    expect(() => draft([])).to.throw("at least one leaf");
    const most = signed({ modelId: bytes32(3), fee: 2n ** 96n - 1n });
    expect(() => batchHeader(draft([most, most]), place)).to.throw("totals below 2^128");
  });
});

describe("royalties", () => {
  it("round down once a model, are sorted by owner and never exceed the fees", () => {
    fc.assert(
      fc.property(someReceipts, (receipts) => {
        const royalties = royaltiesOf(receipts, models);
        const feesOf = (model: number) =>
          receipts.reduce((sum, { receipt }) => sum + (receipt.modelId === bytes32(model) ? receipt.fee : 0n), 0n);
        const expected = [
          { owner: owners[0]!, amount: (feesOf(1) * 2_000n) / 10_000n },
          { owner: owners[1]!, amount: (feesOf(0) * 1_000n) / 10_000n + (feesOf(2) * 333n) / 10_000n },
        ];
        expect(royalties).to.deep.equal(expected.filter(({ amount }) => amount > 0n));
        // what ProofSettlement allows for a rate of at most 20 %
        const fees = receipts.reduce((sum, { receipt }) => sum + receipt.fee, 0n);
        expect(royalties.reduce((sum, { amount }) => sum + amount, 0n) <= (fees * 2_000n) / 10_000n).to.equal(true);
      }),
    );
  });

  it("pack as the contract unpacks them, and hash as abi.encodePacked", () => {
    const royalty = { owner: owners[0]!, amount: 2n ** 96n - 1n };
    const word = packRoyalty(royalty);
    expect(word >> 96n).to.equal(BigInt(royalty.owner));
    expect(unpackRoyalty(word)).to.deep.equal(royalty);
    expect(royaltiesHash([word, 5n])).to.equal(solidityPackedKeccak256(["uint256[]"], [[word, 5n]]));
    expect(royaltiesHash([])).to.equal(solidityPackedKeccak256(["bytes"], ["0x"]));
    expect(() => packRoyalty({ ...royalty, amount: 2n ** 96n })).to.throw("uint96");
  });
});

describe("batch blobs", () => {
  const blob: BatchBlob = { domain, operator, receipts: [signed()], royalties: [7n] };
  const json = JSON.parse(Buffer.from(encodeBatchBlob(blob)).toString()) as Record<string, unknown>;
  const bytes = (value: unknown) => Buffer.from(JSON.stringify(value));
  const tensors = { inputs: [bytes32(1)], outputs: [bytes32(2), bytes32(3)] };

  it("decode to what was encoded", () => {
    expect(json.format).to.equal("opengradient-batch-1");
    expect(decodeBatchBlob(encodeBatchBlob(blob))).to.deep.equal(blob);
  });

  it("refuse everything else", () => {
    const wrong: [string, Uint8Array][] = [
      ["no JSON", Buffer.from("{")],
      ["no UTF-8", Buffer.concat([bytes(json).subarray(0, -2), Uint8Array.of(0xff, 0x7d)])],
      ["another format", bytes({ ...json, format: "opengradient-batch-3" })],
      ["tensors in the first format", bytes({ ...json, receipts: [{ ...(json.receipts as object[])[0], tensors }] })],
      ["surplus members", bytes({ ...json, extra: 1 })],
      ["no receipts", bytes({ ...json, receipts: [] })],
      ["unsigned receipt members", bytes({ ...json, receipts: [{ ...(json.receipts as object[])[0], extra: 1 }] })],
      ["royalties of another size", bytes({ ...json, royalties: ["0x07"] })],
      ["too many bytes", Buffer.alloc(MAX_BATCH_BYTES + 1, " ")],
    ];
    for (const [what, text] of wrong) {
      expect(() => decodeBatchBlob(text), what)
        .to.throw("Expected")
        .with.property("code", "invalid_batch_blob");
    }
  });
});

describe("batches with tensors", () => {
  const words = { inWords: [1n], outWords: [2n, 3n] };
  const proof = { a: [4n, 5n], b: [6n, 7n, 8n, 9n], c: [10n, 11n] } as const;
  const plain: TensorReceipt = signed({ requestId: bytes32(9) });
  const shown: TensorReceipt = { ...signed({ requestId: bytes32(7) }), tensors: words };
  const proven: TensorReceipt = { ...signed({ requestId: bytes32(8), mode: Mode.Zkml }), tensors: { ...words, proof } };
  const encode = (receipts: TensorReceipt[]) => encodeBatchBlob({ domain, operator, receipts, royalties: [] });
  const parse = (blob: Uint8Array) =>
    JSON.parse(Buffer.from(blob).toString()) as { format: string; receipts: object[] };

  it("are of the second format, and decode to what was encoded", () => {
    const receipts = [proven, plain, shown];
    expect(parse(encode(receipts)).format).to.equal("opengradient-batch-2");
    expect(parse(encode([plain])).format, "where it is not needed").to.equal("opengradient-batch-1");
    expect(decodeBatchBlob(encode(receipts)).receipts).to.deep.equal(receipts);
  });

  it("refuse a proof in another mode, words of other sizes and members nobody signed", () => {
    const json = parse(encode([proven, shown]));
    const [first, second] = json.receipts as [{ tensors: object }, { tensors: object }];
    const wrong: object[] = [
      { ...second, tensors: first.tensors },
      { ...first, tensors: { ...first.tensors, inputs: ["0x01"] } },
      { ...first, tensors: { ...first.tensors, outputs: [] } },
      { ...first, tensors: { ...first.tensors, extra: 1 } },
      { ...first, extra: 1 },
    ];
    for (const receipt of wrong) {
      const blob = Buffer.from(JSON.stringify({ ...json, receipts: [receipt] }));
      expect(() => decodeBatchBlob(blob), JSON.stringify(receipt)).to.throw("Expected a batch");
    }
  });

  it("put receipts with a proof first, each followed by its proof, which counts for nothing", () => {
    const draft = draftBatch({ domain, operator, receipts: [plain, shown, proven], models });
    expect(draft.receipts).to.deep.equal([proven, shown, plain]);
    const [leaf, committed, ...others] = draft.tree.levels[0]!;
    expect(leaf).to.deep.equal(sumLeaf(proven));
    const text = solidityPackedKeccak256(["uint8", "uint256[]"], [2, [4n, 5n, 6n, 7n, 8n, 9n, 10n, 11n, 2n, 3n, 1n]]);
    expect(committed).to.deep.equal({ hash: text, total: 0n });
    expect(others).to.deep.equal([sumLeaf(shown), sumLeaf(plain)]);
    expect(leafPositions(draft.receipts)).to.deep.equal([0, 2, 3]);
    expect(draft.tree.root.total).to.equal((3_000n << 32n) | 3n);
  });

  it("take as many receipts as a blob holds, and one at least", () => {
    const one = Buffer.byteLength(JSON.stringify(tensorReceiptToJson(proven)));
    const many = Array.from({ length: Math.ceil(MAX_BATCH_BYTES / one) }, () => proven);
    const fitting = fittingReceipts(many);
    expect(fitting.length)
      .to.be.lessThan(many.length)
      .and.greaterThan(many.length / 2);
    const royalties = fitting.map((_, i) => BigInt(i));
    const blob = encodeBatchBlob({ domain, operator, receipts: fitting, royalties });
    expect(blob.length).to.be.at.most(MAX_BATCH_BYTES);
    expect(fittingReceipts([proven, plain])).to.deep.equal([proven, plain]);
  });
});
