import { expect } from "chai";
import { solidityPackedKeccak256 } from "ethers";
import fc from "fast-check";

import { sumLeaf, verifySumPath } from "../../../simulator/receipts/sumTree.ts";
import type { Hex } from "../../../simulator/receipts/types.ts";
import {
  decodeBatchBlob,
  encodeBatchBlob,
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

  it("decode to what was encoded", () => {
    expect(json.format).to.equal("opengradient-batch-1");
    expect(decodeBatchBlob(encodeBatchBlob(blob))).to.deep.equal(blob);
  });

  it("refuse everything else", () => {
    const wrong: [string, Uint8Array][] = [
      ["no JSON", Buffer.from("{")],
      ["no UTF-8", Buffer.concat([bytes(json).subarray(0, -2), Uint8Array.of(0xff, 0x7d)])],
      ["another format", bytes({ ...json, format: "opengradient-batch-2" })],
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
