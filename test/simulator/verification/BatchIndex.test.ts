import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { expect } from "chai";

import { keccak256 } from "../../../simulator/receipts/keccak.ts";
import type { BatchHeader, Hex } from "../../../simulator/receipts/types.ts";
import { BatchIndex } from "../../../simulator/verification/BatchIndex.ts";
import { operator, sampleBatch } from "./sampleBatch.ts";

const [a, b, c] = ["a", "b", "c"].map((text) => keccak256(text)) as [Hex, Hex, Hex];
const { header, blob } = sampleBatch();
const rival: BatchHeader = { ...header, operator: `0x${"0c".repeat(20)}` };
const contents = (...requests: string[]) => ({ blob, requestIds: requests.map((text) => keccak256(text)) });
const signature: Hex = `0x${"11".repeat(64)}`;

describe("BatchIndex", () => {
  let directory: string;
  let index: BatchIndex;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "index-"));
    index = new BatchIndex(join(directory, "index.sqlite"));
  });

  afterEach(() => {
    index.close();
    rmSync(directory, { recursive: true });
  });

  const reopenFile = (): void => {
    index.close();
    index = new BatchIndex(join(directory, "index.sqlite"));
  };

  const usesOf = (...requests: string[]) => index.findUses(operator, contents(...requests).requestIds, c);

  it("finds a request in posted batches and in those voted for, of the same operator", () => {
    index.addPosted(a, header, 7, 0);
    index.addContents(a, contents("one", "two"));
    index.addVote(b, header, signature, contents("two", "three"));
    index.addPosted(c, rival, 8, 0);
    index.addContents(c, contents("one"));
    reopenFile();
    const two = keccak256("two");
    expect(usesOf("two", "four")).to.have.deep.members([
      { requestId: two, batchId: a, leaf: 1, sequence: 7 },
      { requestId: two, batchId: b, leaf: 0, sequence: undefined },
    ]);
    expect(index.findUses(rival.operator, contents("one").requestIds, a).map(({ batchId }) => batchId)).to.deep.equal([
      c,
    ]);
    expect(index.contentsOf(b)).to.deep.equal({ header, blob: Buffer.from(blob) });
    expect(index.voteOn(b)).to.equal(signature);
    expect(index.voteOn(a)).to.equal(undefined);
  });

  it("forgets nothing of a batch that was reorganised away, but does not count it", () => {
    index.addPosted(a, header, 7, 0);
    index.addContents(a, contents("one"));
    index.removePosted(a);
    expect(usesOf("one")).to.deep.equal([]);
    expect(index.lastSequence).to.equal(0);
    index.addPosted(a, header, 9, 0);
    expect(usesOf("one").map(({ sequence }) => sequence)).to.deep.equal([9]);
  });

  it("a rejected batch's requests may settle again", () => {
    index.addPosted(a, header, 7, 0);
    index.addContents(a, contents("one"));
    index.markVoid(a);
    expect(usesOf("one")).to.deep.equal([]);
    expect(index.due(Infinity, 9)).to.deep.equal([]);
    index.wake(a, 0);
    expect(usesOf("one"), "unless the rejection was reorganised away").to.have.length(1);
  });

  it("an operator's batches can be searched up to the first that is not read", () => {
    expect(index.searchable(operator)).to.equal(0);
    index.addPosted(a, header, 3, 0);
    index.addPosted(b, rival, 4, 0);
    expect([index.searchable(operator), index.searchable(rival.operator)]).to.deep.equal([2, 3]);
    index.addContents(a, contents("one"));
    expect(index.searchable(operator)).to.equal(4);
    index.markVoid(b);
    expect(index.searchable(rival.operator)).to.equal(4);
  });

  it("an older look's result does not undo what came after it", () => {
    index.addPosted(a, header, 3, 0);
    const [job] = index.due(0, 9);
    index.reopen(a, 0);
    index.finish(job!);
    index.postpone(job!, 1_000);
    index.judge(job!, "right", 1_000);
    const [again] = index.due(0, 9);
    expect(again).to.include({ batchId: a, attempts: 0, verdict: undefined });
    index.judge(again!, "wrong", 500);
    reopenFile();
    expect(index.due(499, 9)).to.deep.equal([]);
    expect(index.nextDueMs(0)).to.equal(500);
    expect(index.due(500, 9)[0]).to.include({ verdict: "wrong", sequence: 3 });
    expect(index.counts()).to.include({ posted: 1, open: 1, unread: 1 });
    index.finish(index.due(500, 9)[0]!);
    expect(index.nextDueMs(-1)).to.equal(undefined);
    expect(index.counts()).to.include({ posted: 1, open: 0, unread: 1 });
  });

  it("hurries only what waits to be read", () => {
    for (const [batchId, sequence] of [
      [a, 1],
      [b, 2],
    ] as const) {
      index.addPosted(batchId, header, sequence, 5_000);
    }
    index.addContents(b, contents("one"));
    index.hurry(operator, 10);
    expect(index.due(10, 9).map(({ batchId }) => batchId)).to.deep.equal([a]);
  });
});
