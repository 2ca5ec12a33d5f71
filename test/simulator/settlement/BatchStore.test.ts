import { expect } from "chai";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import type { Hex } from "../../../simulator/receipts/types.ts";
import { BatchStore, type NewBatch } from "../../../simulator/settlement/BatchStore.ts";
import { batchHeader, draftBatch } from "../../../simulator/settlement/buildBatch.ts";
import { bytes32, domain, hasher, operator, signed } from "./receipts.ts";

const models = new Map([[bytes32(2), { owner: operator, royaltyBps: 500 }]]);

function batchOf(...requests: number[]): { batch: NewBatch; requestIds: Hex[] } {
  const receipts = requests.map((request) => signed({ requestId: bytes32(request) }));
  const draft = draftBatch({ domain, operator, receipts, models });
  const header = batchHeader(draft, { blobId: bytes32(9), setId: 1, seen: 0 });
  const batch = {
    batchId: hasher.batchDigest(header),
    header,
    royalties: draft.royalties,
    blob: draft.blob,
    servedAtMs: requests,
    storedAtMs: 1_000,
  };
  return { batch, requestIds: receipts.map(({ receipt }) => receipt.requestId) };
}

describe("BatchStore", () => {
  let directory: string;
  let file: string;
  let store: BatchStore;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "batches-"));
    file = join(directory, "batches.sqlite");
    store = new BatchStore(file);
  });
  afterEach(async () => {
    store.close();
    await rm(directory, { recursive: true });
  });

  const reopened = () => {
    store.close();
    return (store = new BatchStore(file));
  };

  it("returns a batch as it was stored, to the next process as well", () => {
    const { batch, requestIds } = batchOf(1, 2);
    store.insert(batch, requestIds);
    const [found] = reopened().open();
    expect({ ...found, blob: Buffer.from(found!.blob) }).to.deep.equal({
      ...batch,
      state: "stored",
      submittedAtMs: undefined,
      endedAtMs: undefined,
    });
    expect(store.requestIdsOf(batch.batchId)).to.have.members(requestIds);
    expect(store.batchOf(requestIds[0]!)).to.equal(batch.batchId);
    expect(store.batchOf(bytes32(3))).to.equal(undefined);
  });

  it("takes a receipt once: a batch with a taken one is not stored at all", () => {
    const [first, second] = [batchOf(1, 2), batchOf(2, 3)];
    store.insert(first.batch, first.requestIds);
    expect(() => store.insert(second.batch, second.requestIds)).to.throw("UNIQUE");
    expect(store.batchOf(bytes32(3))).to.equal(undefined);
    expect(store.counts().stored).to.equal(1);
  });

  it("moves forward only", () => {
    const { batch, requestIds } = batchOf(1);
    const { batchId } = batch;
    store.insert(batch, requestIds);
    expect(store.markSubmitted(batchId, 2_000)).to.equal(true);
    expect(store.markSubmitted(batchId, 3_000), "again is no news").to.equal(false);
    store.abandon(batchId, 3_000);
    expect(store.get(batchId), "what is on chain can not be abandoned").to.include({ state: "submitted" });
    store.markStored(batchId);
    expect(store.get(batchId)).to.include({ state: "stored", submittedAtMs: undefined });
    store.markEnded(batchId, "final", 4_000);
    store.markEnded(batchId, "rejected", 5_000);
    expect(reopened().get(batchId)).to.include({ state: "final", submittedAtMs: 4_000, endedAtMs: 4_000 });
    expect(store.open()).to.deep.equal([]);
  });

  it("gives the receipts of an abandoned batch to another", () => {
    const first = batchOf(1, 2);
    store.insert(first.batch, first.requestIds);
    store.abandon(first.batch.batchId, 2_000);
    const returned = reopened().returned(10);
    expect(returned.map(({ receipt }) => receipt.requestId)).to.deep.equal([bytes32(1), bytes32(2)]);
    expect(returned[0]).to.deep.equal(signed({ requestId: bytes32(1) }));
    store.refuse(bytes32(2), "expired");
    const second = batchOf(1);
    store.insert(second.batch, second.requestIds);
    expect(store.returned(10)).to.deep.equal([]);
    expect(store.refusalOf(bytes32(2))).to.equal("expired");
    expect(store.refusedCount()).to.equal(1);
    expect(store.counts()).to.include({ abandoned: 1, stored: 1 });
  });
});
