import { expect } from "chai";
import fc from "fast-check";

import { keccak256 } from "../../../simulator/receipts/keccak.ts";
import { sumLeaf, walkSumPath, type SumNode } from "../../../simulator/receipts/sumTree.ts";
import { Mode, type BatchHeader } from "../../../simulator/receipts/types.ts";
import { packRoyalty } from "../../../simulator/settlement/royalties.ts";
import { headerTotal, type Challenge } from "../../../simulator/verification/challenge.ts";
import { checkBatch } from "../../../simulator/verification/checkBatch.ts";
import type { Fault, FaultKind } from "../../../simulator/verification/Fault.ts";
import {
  hasher,
  reencode,
  sampleBatch,
  SERVED_AT,
  signedReceipt,
  VALID_FROM,
  VALID_UNTIL,
  views,
  withTotals,
  type Sample,
} from "./sampleBatch.ts";

const check = ({ header, blob }: Pick<Sample, "header" | "blob">) => checkBatch(hasher, views, header, blob);

async function onlyFault(batch: Pick<Sample, "header" | "blob">, kind: FaultKind): Promise<Fault> {
  const { faults } = await check(batch);
  expect(faults.map((fault) => fault.kind)).to.deep.equal([kind]);
  return faults[0]!;
}

/** Whether the challenge's nodes lead to the header's root, with what the contract requires of totals. */
function expectInTree(challenge: Challenge | undefined, header: BatchHeader): void {
  if (challenge?.method !== "challengeReceipt") throw new Error(`Expected a receipt's challenge: ${challenge?.method}`);
  const { leaf, claimedTotal } = challenge;
  const signature = `${leaf.sig.r}${leaf.sig.vs.slice(2)}` as const;
  const { hash } = sumLeaf({ receipt: leaf.receipt, signature });
  expect(walkSumPath({ hash, total: claimedTotal }, leaf)?.hash).to.equal(header.root);
}

describe("checkBatch", () => {
  it("finds nothing wrong with an honest batch of any size", async () => {
    for (const size of [1, 2, 3, 7, 64]) {
      const { faults, covered, batch } = await check(sampleBatch({ size }));
      expect(faults, `${size} receipts`).to.deep.equal([]);
      expect(covered).to.equal(true);
      expect(batch?.receipts).to.have.length(size);
    }
  });

  it("a blob that is no batch, or another's, covers nothing", async () => {
    const { header, blob } = sampleBatch();
    const text = Buffer.from(blob).toString();
    const blobs = [
      Buffer.from("{}"),
      Buffer.from([0xff]),
      Buffer.from(text.replace("opengradient-batch-1", "opengradient-batch-3")),
      Buffer.from(text.replace('"chainId":31337', '"chainId":1')),
      Buffer.from(text.replace(header.operator, `0x${"0c".repeat(20)}`)),
    ];
    for (const bytes of blobs) {
      const { faults, covered } = await check({ header, blob: bytes });
      expect(faults.map(({ kind }) => kind)).to.deep.equal(["blob"]);
      expect(covered).to.equal(false);
      expect(faults[0]!.challenge).to.equal(undefined);
    }
  });

  it("other receipts than those under the root cannot be proven, and cover nothing", async () => {
    const { header } = sampleBatch({ size: 4 });
    const { blob } = sampleBatch({ size: 4, receipt: (i) => ({ payer: `0x${"0d".repeat(19)}0${i}` }) });
    const { faults, covered } = await check({ header, blob });
    expect(faults.map(({ kind }) => kind)).to.deep.equal(["root"]);
    expect(covered).to.equal(false);
  });

  it("a signature of nobody is the receipt's fault", async () => {
    const sample = sampleBatch();
    const receipts = [...sample.receipts];
    receipts[3] = { ...receipts[3]!, signature: `0x${"f".repeat(128)}` };
    const tampered = withTotals({ ...sample, receipts }, {});
    const royalties = [packRoyalty({ owner: `0x${"aa".repeat(20)}`, amount: tampered.header.fees / 10n })];
    const fault = await onlyFault(
      { header: tampered.header, blob: reencode({ ...sample, receipts }, royalties) },
      "signature",
    );
    expect(fault.leaf).to.equal(3);
    expectInTree(fault.challenge, tampered.header);
  });

  for (const [what, options] of [
    ["a stranger's key", { key: (i: number) => (i === 2 ? keccak256("stranger") : undefined) }],
    ["a mode the key may not sign", { receipt: (i: number) => (i === 2 ? { mode: Mode.Tee } : {}) }],
    ["a time before the key", { receipt: (i: number) => (i === 2 ? { servedAt: VALID_FROM - 1n } : {}) }],
    ["a time after the key", { receipt: (i: number) => (i === 2 ? { servedAt: VALID_UNTIL } : {}) }],
  ] as const) {
    it(`${what} is the receipt's fault`, async () => {
      const sample = sampleBatch(options);
      const fault = await onlyFault(sample, "signer");
      const expected = signedReceipt(2, "receipt" in options ? options.receipt(2) : {}).receipt.requestId;
      expect(sample.receipts[fault.leaf!]!.receipt.requestId).to.equal(expected);
      expectInTree(fault.challenge, sample.header);
    });
  }

  it("asks the registry for the ends of a key's receipts only, when both are right", async () => {
    let questions = 0;
    const counting: typeof views = {
      ...views,
      operatorOf: (...args) => {
        questions++;
        return views.operatorOf(...args);
      },
    };
    const { header, blob } = sampleBatch({ size: 50, receipt: (i) => ({ servedAt: SERVED_AT + BigInt(i) }) });
    expect((await checkBatch(hasher, counting, header, blob)).faults).to.deep.equal([]);
    expect(questions).to.equal(2);
  });

  it("a receipt served outside the header's times is its fault", async () => {
    const early = sampleBatch({ header: { servedFrom: SERVED_AT + 1n, servedTo: SERVED_AT + 9n } });
    expectInTree((await onlyFault(early, "served-at")).challenge, early.header);
    const late = sampleBatch({ header: { servedFrom: SERVED_AT - 9n, servedTo: SERVED_AT - 1n } });
    expectInTree((await onlyFault(late, "served-at")).challenge, late.header);
  });

  it("a request that is twice in the batch is shown by both receipts", async () => {
    const sample = sampleBatch({ receipt: (i) => (i === 4 ? { requestId: keccak256("request 1") } : {}) });
    const { challenge } = await onlyFault(sample, "duplicate");
    if (challenge?.method !== "challengeDuplicate") throw new Error("Expected a duplicate's challenge");
    expect(challenge.leaf.receipt.requestId).to.equal(challenge.earlierLeaf.receipt.requestId);
    expect([challenge.leaf.path, challenge.leaf.right]).not.to.deep.equal([
      challenge.earlierLeaf.path,
      challenge.earlierLeaf.right,
    ]);
  });

  it("a header with another count or other fees is shown by a child of the root", async () => {
    for (const [kind, change] of [
      ["count", { count: 6 }],
      ["fees", { fees: 1n }],
    ] as const) {
      const { header, blob } = sampleBatch({ header: change });
      const { challenge } = await onlyFault({ header, blob }, kind);
      if (challenge?.method !== "challengeHeaderTotal") throw new Error("Expected a header's challenge");
      const root = walkSumPath({ hash: challenge.node, total: challenge.nodeTotal }, challenge);
      expect(root?.hash).to.equal(header.root);
      expect(root?.total).not.to.equal(headerTotal(header));
    }
  });

  it("a header that counts its only receipt wrong is shown by that receipt", async () => {
    const { header, blob } = sampleBatch({ size: 1, header: { fees: 1n } });
    const { challenge } = await onlyFault({ header, blob }, "fees");
    expectInTree(challenge, header);
    expect(challenge).to.include({ claimedTotal: headerTotal(header) });
  });

  it("finds any single leaf or node that is counted wrong, by what reached the header", async () => {
    const cases = fc
      .integer({ min: 2, max: 20 })
      .chain((size) => fc.tuple(fc.constant(size), fc.nat(size - 1), fc.boolean(), fc.integer({ min: 1, max: 90 })));
    await fc.assert(
      fc.asyncProperty(cases, async ([size, index, isLower, amount]) => {
        const sample = sampleBatch({ size });
        const difference = isLower ? -(BigInt(amount) << 32n) : (BigInt(amount) << 32n) | 1n;
        const { header, tree } = withTotals(sample, { leaf: (i) => (i === index ? difference : 0n) });
        const { faults, covered } = await check({ ...sample, header });
        const fault = faults.find(({ kind }) => kind === "leaf-total");
        expect(covered).to.equal(true);
        expect(fault?.leaf).to.equal(index);
        expect(fault?.challenge).to.include({ claimedTotal: tree.levels[0]![index]!.total });
        expectInTree(fault?.challenge, header);
      }),
      { numRuns: 40 },
    );
    const sample = sampleBatch({ size: 11 });
    for (const [level, index] of [
      [1, 0],
      [1, 4],
      [2, 1],
      [3, 0],
    ] as const) {
      const alter = (atLevel: number, at: number, node: SumNode): SumNode =>
        atLevel === level && at === index ? { ...node, total: node.total - 1n - (7n << 32n) } : node;
      const { header, tree } = withTotals(sample, { node: alter });
      const { faults } = await check({ ...sample, header });
      const challenge = faults.find(({ kind }) => kind === "node-total")?.challenge;
      if (challenge?.method !== "challengeNodeTotal") throw new Error("Expected a node's challenge");
      expect(challenge.claimedTotal).to.equal(tree.levels[level]![index]!.total);
      expect(challenge.leftTotal + challenge.rightTotal).not.to.equal(challenge.claimedTotal);
    }
  });

  it("two lies about totals cannot be told from other receipts", async () => {
    const sample = sampleBatch({ size: 8 });
    const { header } = withTotals(sample, { leaf: (i) => (i < 2 ? 5n << 32n : 0n) });
    const { faults, covered } = await check({ ...sample, header });
    expect(faults.map(({ kind }) => kind)).to.include("root");
    expect(covered).to.equal(false);
    expect(faults.filter(({ challenge }) => challenge)).to.deep.equal([]);
  });

  it("models, modes, prices and royalties are faults without a proof", async () => {
    const cases: [FaultKind, Sample][] = [
      ["model", sampleBatch({ receipt: (i) => (i === 1 ? { modelId: keccak256("unknown") } : {}) })],
      ["price", sampleBatch({ receipt: (i) => (i === 1 ? { fee: 9n } : {}) })],
      ["royalties", sampleBatch({ header: { royaltiesHash: keccak256("other") } })],
    ];
    const sample = sampleBatch();
    cases.push(["royalties", { ...sample, blob: reencode(sample, []) }]);
    for (const [kind, batch] of cases) expect((await onlyFault(batch, kind)).challenge).to.equal(undefined);

    const notOffered = sampleBatch({ receipt: (i) => (i === 1 ? { mode: Mode.Zkml } : {}) });
    expect((await check(notOffered)).faults.map(({ kind }) => kind)).to.deep.equal(["signer", "mode", "proof-missing"]);
  });
});
