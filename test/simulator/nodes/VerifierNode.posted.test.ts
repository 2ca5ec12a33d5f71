import { expect } from "chai";

import type { Hex, SignedReceipt } from "../../../simulator/receipts/types.ts";
import { BatchStatus } from "../../../simulator/settlement/SettlementView.ts";
import type { FaultKind } from "../../../simulator/verification/Fault.ts";
import { turnOf } from "../../../simulator/verification/stagger.ts";
import {
  OPERATOR_STAKE,
  post,
  signedReceipt,
  SUBMITTER_SLASH,
  VERIFIER_STAKE,
  VOTER_SLASH,
  type BuiltBatch,
} from "../../support/batches.ts";
import { DAY, increaseTime, latestTimestamp, Role, testKey } from "../../support/protocol.ts";
import {
  createVerifierWorld,
  eventually,
  type BuildOptions,
  type VerifierWorld,
} from "../verification/verifierWorld.ts";

/** A tree counts a leaf, or an inner node, as more than is below it, and the header believes the tree. */
const MORE = (1n << 96n) | 1n;

describe("VerifierNode: batches on chain", () => {
  let world: VerifierWorld;

  beforeEach(async () => {
    world = await createVerifierWorld();
  });

  afterEach(() => world.close());

  const recentReceipt = async (requestId?: Hex): Promise<SignedReceipt> =>
    signedReceipt(world, { servedAt: BigInt(await latestTimestamp(world)) - 5n, ...(requestId && { requestId }) });

  const operatorStake = () => world.staking.activeStake(world.operatorAddress, Role.Inference);

  /** Waits until a batch is punished, and every verifier has nothing left to do. */
  const expectPunishedOnce = async ({ id }: BuiltBatch, faults: readonly FaultKind[]): Promise<void> => {
    await eventually(async () => (await world.settlement.records(id)).punished, "punished");
    await world.toldBy("provenWrong", 4);
    await eventually(() => world.running.every((node) => node.isIdle), "idle");
    const events = await world.settlement.queryFilter(world.settlement.filters.BatchProvenWrong(id));
    expect(events, "proofs on chain").to.have.length(1);
    const challenges = world.told("challenged").filter(({ batchId }) => batchId === id);
    expect(challenges, "rewards").to.have.length(1);
    expect(challenges[0]!.transactionHash).to.equal(events[0]!.transactionHash);
    expect(faults).to.include(challenges[0]!.fault);
    expect(await world.staking.credits(events[0]!.args.challenger)).to.be.greaterThan(0n);
  };

  describe("that are wrong are proven so once, and the operator is slashed", () => {
    const cases: [string, BuildOptions, FaultKind[]][] = [
      [
        "a signature of nobody",
        { tamper: (i, signed) => (i === 1 ? { ...signed, signature: `0x${"f".repeat(128)}` } : signed) },
        ["signature"],
      ],
      ["a stranger's key", { key: (i) => (i === 1 ? testKey(99) : undefined) }, ["signer"]],
      ["a mode the key may not sign", { receipt: (i) => (i === 1 ? { mode: 2 } : undefined) }, ["signer"]],
      ["another count", { header: { count: 3 } }, ["count"]],
      ["other fees", { header: { fees: 10n ** 18n } }, ["fees"]],
      ["another fee of the only receipt", { size: 1, header: { fees: 10n ** 18n } }, ["fees"]],
      [
        "a leaf counted wrong",
        { leafTotal: (i) => (i === 1 ? MORE : undefined), headerFollowsTree: true },
        ["leaf-total"],
      ],
      [
        "an inner node counted wrong",
        {
          size: 5,
          node: (level, i, node) => (level === 1 && i === 1 ? { ...node, total: node.total + MORE } : node),
          headerFollowsTree: true,
        },
        ["node-total"],
      ],
    ];
    for (const [what, options, faults] of cases) {
      it(what, async () => {
        await world.startAll();
        const batch = await world.build(options);
        await post(world, batch, []);
        await expectPunishedOnce(batch, faults);
        expect((await world.settlement.records(batch.id)).status).to.equal(BatchStatus.Rejected);
        expect(await operatorStake()).to.equal(OPERATOR_STAKE - SUBMITTER_SLASH);
        expect(world.told("attested")).to.deep.equal([]);
        expect(world.told("voted")).to.deep.equal([]);
      });
    }

    it("a time outside the header's", async () => {
      await world.startAll();
      const servedAt = BigInt(await latestTimestamp(world)) - 5n;
      const batch = await world.build({ header: { servedFrom: servedAt + 1n, servedTo: servedAt + 2n } });
      await post(world, batch, []);
      await expectPunishedOnce(batch, ["served-at"]);
    });

    it("a receipt of a key that was revoked before", async () => {
      await world.nodes.connect(world.operator).revokeSigner(world.nodeKey);
      const servedAt = BigInt(await latestTimestamp(world));
      await increaseTime(world, 10);
      await world.startAll();
      const batch = await world.build({ receipt: () => ({ servedAt }) });
      await post(world, batch, []);
      await expectPunishedOnce(batch, ["signer"]);
    });

    it("a request twice in one batch", async () => {
      await world.startAll();
      const { requestId } = (await recentReceipt()).receipt;
      const batch = await world.build({ receipt: (i) => (i < 2 ? { requestId } : undefined) });
      await post(world, batch, []);
      await expectPunishedOnce(batch, ["duplicate"]);
    });

    it("a request in two batches: the later one's fault", async () => {
      await world.startAll();
      const receipt = await recentReceipt();
      const earlier = await world.build({ receipts: [await recentReceipt(), receipt] });
      await post(world, earlier);
      const later = await world.build({ receipts: [receipt, await recentReceipt(), await recentReceipt()] });
      await post(world, later, []);
      await expectPunishedOnce(later, ["duplicate"]);
      expect((await world.settlement.records(earlier.id)).punished).to.equal(false);
    });

    it("also when all verifiers act at once", async () => {
      await world.startAll({ staggerMs: 0 });
      const batch = await world.build({ header: { count: 3 } });
      await post(world, batch, []);
      await expectPunishedOnce(batch, ["count"]);
    });

    it("even when verifiers approved them, who are slashed too", async () => {
      await world.startAll();
      const batch = await world.build({ key: (i) => (i === 1 ? testKey(99) : undefined) });
      await post(world, batch, [1, 2, 3]);
      await expectPunishedOnce(batch, ["signer"]);
      expect((await world.settlement.records(batch.id)).status).to.equal(BatchStatus.Attested);
      const stakes = await Promise.all(
        world.verifiers.map(({ operator }) => world.staking.activeStake(operator, Role.Verifier)),
      );
      const slashed = VERIFIER_STAKE - VOTER_SLASH;
      expect(stakes).to.deep.equal([VERIFIER_STAKE, slashed, slashed, slashed]);
    });

    it("by verifiers that come later, as long as the batch is accountable", async () => {
      const old = await world.build({ header: { count: 3 } });
      await post(world, old, []);
      await increaseTime(world, 2 * DAY + 60);
      await world.settlement.snapshot();
      const young = await world.build({ header: { count: 3, setId: 2 } });
      await post(world, young, []);
      await world.startAll();
      await expectPunishedOnce(young, ["count"]);
      await world.toldBy("judged", 8);
      expect((await world.settlement.records(old.id)).punished).to.equal(false);
    });
  });

  it("that are wrong beyond proof get no vote", async () => {
    await world.startAll();
    const royalties = await world.build({ royalties: [] });
    await post(world, royalties, []);
    const otherTree = await world.build({ node: (level, _, node) => ({ ...node, total: node.total + BigInt(level) }) });
    await post(world, otherTree, []);
    const judged = await world.toldBy("judged", 8);
    expect(new Set(judged.map(({ verdict }) => verdict))).to.deep.equal(new Set(["unprovable"]));
    await eventually(() => world.running.every((node) => node.isIdle), "idle");
    for (const { id } of [royalties, otherTree]) {
      expect((await world.settlement.records(id)).approvals).to.equal(0n);
    }
  });

  it("that are right and lack votes are voted for, with no transaction more than a quorum takes", async () => {
    await world.startAll();
    const batch = await world.build({ size: 32 });
    await post(world, batch, []);
    await eventually(async () => (await world.settlement.records(batch.id)).status === BigInt(BatchStatus.Attested));
    await eventually(() => world.running.every((node) => node.isIdle), "idle");
    expect(world.told("attested")).to.have.length(3);
    const seats = world.told("attested").map(({ seat }) => seat);
    const { approvals } = await world.settlement.records(batch.id);
    expect(approvals).to.equal(seats.reduce((bits, seat) => bits | (1n << BigInt(seat)), 0n));
  });

  it("that have some votes get the missing ones from others", async () => {
    await world.startAll();
    const batch = await world.build();
    await post(world, batch, [0, 2]);
    await eventually(async () => (await world.settlement.records(batch.id)).status === BigInt(BatchStatus.Attested));
    await eventually(() => world.running.every((node) => node.isIdle), "idle");
    expect(world.told("attested").map(({ seat }) => seat)).to.have.length(1);
    expect([1, 3]).to.include(world.told("attested")[0]!.seat);
  });

  it("whose blob is withheld get no vote until it appears, and then the fault of a later one shows", async () => {
    await world.startAll();
    const receipt = await recentReceipt();
    const hidden = await world.build({ receipts: [receipt, await recentReceipt()] });
    world.blobs.withheld.add(hidden.header.blobId);
    await post(world, hidden, []);
    await world.toldBy("unreadable", 8);
    expect((await world.settlement.records(hidden.id)).approvals).to.equal(0n);

    // its twin counts on no search that found the hidden one, so it passes for right
    const twin = await world.build({ receipts: [receipt], header: { seen: 0 } });
    await post(world, twin, []);
    await eventually(async () => (await world.settlement.records(twin.id)).status === BigInt(BatchStatus.Attested));
    await eventually(() => world.running.every((node) => node.counts.open === 1), "done with the twin");

    world.blobs.withheld.clear();
    await expectPunishedOnce(twin, ["duplicate"]);
    await eventually(async () => (await world.settlement.records(hidden.id)).status === BigInt(BatchStatus.Attested));
    const stakes = await Promise.all(
      world.verifiers.map(({ operator }) => world.staking.activeStake(operator, Role.Verifier)),
    );
    expect(stakes, "voters could not have known").to.deep.equal(Array(4).fill(VERIFIER_STAKE));
  });

  it("that count on a search which could not be made get no vote until it can", async () => {
    await world.startAll();
    const hidden = await world.build();
    world.blobs.withheld.add(hidden.header.blobId);
    await post(world, hidden, []);
    const right = await world.build();
    await post(world, right, []);
    await eventually(() => world.told("judged").filter(({ batchId }) => batchId === right.id).length === 4);
    await world.toldBy("unreadable", 16);
    expect(world.told("attested")).to.deep.equal([]);
    world.blobs.withheld.clear();
    await eventually(async () => (await world.settlement.records(right.id)).status === BigInt(BatchStatus.Attested));
  });

  it("are remembered across a restart, with blobs that are gone since", async () => {
    await world.startAll();
    const receipt = await recentReceipt();
    const earlier = await world.build({ receipts: [receipt, await recentReceipt()] });
    await post(world, earlier);
    await world.toldBy("judged", 4);
    for (const seat of [0, 1, 2, 3]) await world.stopVerifier(seat);
    world.blobs.withheld.add(earlier.header.blobId);
    world.reports.length = 0;

    const later = await world.build({ receipts: [receipt] });
    await post(world, later, []);
    await world.startAll();
    await expectPunishedOnce(later, ["duplicate"]);
    expect(world.told("judged").map(({ batchId }) => batchId)).to.not.include(earlier.id);
  });

  it("that were judged and not yet challenged are challenged after a restart", async () => {
    await world.startVerifier(0, { staggerMs: 3_600_000 });
    let wrong = await world.build({ header: { count: 5 } });
    // one whose first turn is another seat's, so that seat 0 waits for an hour
    while (turnOf(wrong.id, [0, 1, 2, 3], 0) === 0) wrong = await world.build({ header: { count: 5 } });
    await post(world, wrong, []);
    await world.toldBy("judged", 1);
    await world.stopVerifier(0);
    expect(world.told("challenged")).to.deep.equal([]);

    world.reports.length = 0;
    await world.startAll();
    await expectPunishedOnce(wrong, ["count"]);
    expect(
      world.told("judged").map(({ seat }) => seat),
      "seat 0 knew",
    ).to.not.include(0);
  });

  it("may be reorganised away, or come back in another order", async () => {
    await world.startAll();
    const provider = world.connection.provider;
    const receipt = await recentReceipt();
    const first = await world.build({ receipts: [receipt, await recentReceipt()] });
    const second = await world.build({ receipts: [receipt] });
    const snapshot: unknown = await provider.request({ method: "evm_snapshot", params: [] });
    await post(world, first);
    await world.toldBy("judged", 4);
    expect(world.running.map((node) => node.counts.posted)).to.deep.equal([1, 1, 1, 1]);

    await provider.request({ method: "evm_revert", params: [snapshot] });
    await increaseTime(world, 3);
    await eventually(() => world.running.every((node) => node.counts.posted === 0), "taken back");

    world.reports.length = 0;
    await post(world, second);
    const judged = await world.toldBy("judged", 4);
    expect(
      judged.map(({ verdict }) => verdict),
      "the first is not on this chain",
    ).to.deep.equal(Array(4).fill("right"));

    world.reports.length = 0;
    await post(world, first);
    await expectPunishedOnce(first, ["duplicate"]);
    expect((await world.settlement.records(second.id)).punished).to.equal(false);
  });
});
