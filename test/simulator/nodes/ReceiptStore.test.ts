import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { expect } from "chai";

import { ReceiptStore, type StoredAnswer } from "../../../simulator/nodes/ReceiptStore.ts";
import type { Hex } from "../../../simulator/receipts/types.ts";
import { rejection } from "../../support/rejection.ts";

const word = (n: number): Hex => `0x${n.toString(16).padStart(64, "0")}`;
const answer = (n: number): StoredAnswer => ({
  kind: "chat",
  bodyHash: `hash ${n}`,
  streamed: n % 2 === 1,
  content: `{"answer":${n}}`,
  receipt: {
    receipt: {
      requestId: word(n),
      modelId: word(1000),
      mode: 0,
      inputHash: word(1),
      outputHash: word(2),
      payer: `0x${"bb".repeat(20)}`,
      fee: 2n ** 95n + BigInt(n),
      servedAt: 1_700_000_000n,
    },
    signature: `0x${"11".repeat(64)}`,
  },
});

/** Receipts in the outbox, without when they came. */
const waiting = (receipts: ReceiptStore, limit = 10) =>
  receipts.unbatched(limit).map(({ receipt, signature }) => ({ receipt, signature }));

describe("ReceiptStore", () => {
  let directory: string;
  let path: string;
  const open: ReceiptStore[] = [];
  const store = () => {
    open.push(new ReceiptStore(path));
    return open.at(-1) as ReceiptStore;
  };

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "receipt-store-"));
    path = join(directory, "node.sqlite");
  });
  afterEach(() => {
    for (const each of open.splice(0)) each.close();
    rmSync(directory, { recursive: true });
  });

  it("add_thenOpenedElsewhere_isThere", async () => {
    const before = Date.now();
    await store().add(answer(1));
    const other = store();
    expect(other.unbatched(1)[0]?.storedAtMs).to.be.within(before, Date.now());
    expect(other.find(word(1))).to.deep.equal(answer(1));
    expect(other.find(word(2))).to.equal(undefined);
    expect(waiting(other, 10)).to.deep.equal([answer(1).receipt]);
  });

  it("add_manyAtOnce_keepsOrderAndTellsOnce", async () => {
    const receipts = store();
    let told = 0;
    const end = receipts.onAdded(() => told++);
    await Promise.all([3, 1, 2].map((n) => receipts.add(answer(n))));
    expect(receipts.unbatched(2).map(({ receipt }) => receipt.requestId)).to.deep.equal([word(3), word(1)]);
    expect(told).to.equal(1);
    end();
    await receipts.add(answer(4));
    expect(told).to.equal(1);
  });

  it("add_sameRequestTwice_rejectsOnlyTheSecond", async () => {
    const receipts = store();
    const [first, second, third] = await Promise.allSettled([1, 1, 2].map((n) => receipts.add(answer(n))));
    expect([first?.status, second?.status, third?.status]).to.deep.equal(["fulfilled", "rejected", "fulfilled"]);
    expect(waiting(receipts, 10)).to.have.length(2);
  });

  it("markBatched_takesOutOfTheOutbox_andKeepsTheAnswer", async () => {
    const receipts = store();
    await Promise.all([1, 2, 3].map((n) => receipts.add(answer(n))));
    receipts.markBatched([word(1), word(3)], word(77));
    expect(waiting(receipts, 10)).to.deep.equal([answer(2).receipt]);
    expect(receipts.find(word(1))).to.deep.equal(answer(1));
    expect(waiting(store())).to.deep.equal([answer(2).receipt]);
  });

  it("add_individual_waitsApartUntilItIsBatched", async () => {
    const receipts = store();
    await receipts.add(answer(1));
    await receipts.add(answer(2), { individual: true });
    await receipts.add(answer(3), { individual: true });
    const apart = (of: ReceiptStore) => of.individual(10).map(({ receipt }) => receipt.requestId);
    expect(waiting(receipts)).to.deep.equal([answer(1).receipt]);
    expect(apart(store()), "oldest first, also elsewhere").to.deep.equal([word(2), word(3)]);
    expect(receipts.individual(1)).to.have.length(1);
    receipts.markBatched([word(2)], word(77));
    expect(apart(receipts)).to.deep.equal([word(3)]);
    expect(waiting(receipts)).to.deep.equal([answer(1).receipt]);
  });

  it("placeOf_followsTheBatch", async () => {
    const receipts = store();
    await receipts.add(answer(1));
    expect(receipts.placeOf(word(2))).to.equal(undefined);
    expect(receipts.placeOf(word(1))).to.deep.equal({ state: "waiting" });
    receipts.markBatched([word(1)], word(77));
    expect(receipts.placeOf(word(1))).to.deep.equal({ state: "batched", batchId: word(77) });
    const place = { batchId: word(77), blobId: word(88), transaction: word(99) };
    receipts.markPlaced({ ...place, state: "posted" });
    expect(store().placeOf(word(1))).to.deep.equal({ ...place, state: "posted" });
    // a later run may not know what posted it
    receipts.markPlaced({ ...place, state: "final", transaction: undefined });
    expect(receipts.placeOf(word(1))).to.deep.equal({ ...place, state: "final" });
    // its batch was given up, and another took it
    receipts.markBatched([word(1)], word(78));
    expect(receipts.placeOf(word(1))).to.deep.equal({ state: "batched", batchId: word(78) });
  });

  it("close_withAnswersWaiting_commitsThem", async () => {
    const receipts = new ReceiptStore(path);
    const added = receipts.add(answer(1));
    receipts.close();
    await added;
    expect(store().find(word(1))).to.deep.equal(answer(1));
  });

  it("add_afterClose_rejects", async () => {
    const receipts = new ReceiptStore(path);
    receipts.close();
    await rejection(receipts.add(answer(1)));
  });
});
