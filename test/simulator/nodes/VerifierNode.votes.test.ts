import { expect } from "chai";

import {
  batchHeaderToJson,
  type BatchHeader,
  type Hex,
  type SignedReceipt,
} from "../../../simulator/receipts/types.ts";
import { collectVotes, packVotes } from "../../../simulator/settlement/collectVotes.ts";
import { BatchStatus, SettlementView } from "../../../simulator/settlement/SettlementView.ts";
import { hexAddress, OPERATOR_STAKE, post, signedReceipt } from "../../support/batches.ts";
import { DAY, increaseTime, latestTimestamp, registerNode, Role, testKey } from "../../support/protocol.ts";
import {
  createVerifierWorld,
  eventually,
  type BuildOptions,
  type VerifierWorld,
} from "../verification/verifierWorld.ts";

describe("VerifierNode: votes before posting", () => {
  let world: VerifierWorld;

  beforeEach(async () => {
    world = await createVerifierWorld();
    await world.startAll();
  });

  afterEach(() => world.close());

  const ask = async (header: BatchHeader, seat = 0): Promise<{ status: number; body: Record<string, unknown> }> => {
    const response = await fetch(new URL("/votes", world.running[seat]!.url), {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ header: batchHeaderToJson(header) }),
    });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  };

  const recentReceipt = async (requestId?: Hex): Promise<SignedReceipt> =>
    signedReceipt(world, { servedAt: BigInt(await latestTimestamp(world)) - 5n, ...(requestId && { requestId }) });

  const refusalOf = async (options: BuildOptions): Promise<string> => {
    const { status, body } = await ask((await world.build(options)).header);
    expect(status, JSON.stringify(body)).to.equal(422);
    return body.code as string;
  };

  it("four verifiers vote for an honest batch, and the contract accepts all four", async () => {
    const batch = await world.build({ size: 16 });
    const view = new SettlementView({ chain: world.chain, ...world.contracts });
    const { votes, quorum, failures } = await collectVotes({
      header: batch.header,
      digest: batch.id,
      set: { ...(await view.verifierSet(1)), totalStake: 1n << 200n },
      urls: world.running.map(({ url }) => url),
      timeoutMs: 10_000,
    });
    expect({ quorum, failures }).to.deep.equal({ quorum: false, failures: [] });
    expect([...votes.keys()].sort()).to.deep.equal([0, 1, 2, 3]);
    const { seats, signatures } = packVotes(votes);
    await world.settlement.connect(world.submitter).submitBatch(batch.header, [...batch.royalties], seats, signatures);
    const record = await world.settlement.records(batch.id);
    expect(record.status).to.equal(BatchStatus.Attested);
    expect(record.approvals).to.equal(0b1111n);
    await world.toldBy("judged", 4);
    expect(world.told("judged").map(({ verdict }) => verdict)).to.deep.equal(Array(4).fill("right"));
    expect(world.told("attested")).to.deep.equal([]);
  });

  it("the same header gets the same vote", async () => {
    const { header } = await world.build();
    const first = await ask(header);
    expect(first.status).to.equal(200);
    expect(await ask(header)).to.deep.equal(first);
  });

  it("a faulty batch gets none", async () => {
    const faults: [string, BuildOptions][] = [
      ["signature", { tamper: (i, signed) => (i === 1 ? { ...signed, signature: `0x${"f".repeat(128)}` } : signed) }],
      ["signer", { key: (i) => (i === 1 ? testKey(99) : undefined) }],
      ["signer", { receipt: (i) => (i === 1 ? { mode: 2 } : undefined) }],
      ["count", { header: { count: 3 } }],
      ["fees", { header: { fees: 1n } }],
      ["royalties", { royalties: [] }],
      ["leaf-total", lyingLeaf],
      ["node-total", lyingNode],
    ];
    for (const [kind, options] of faults) {
      expect(await refusalOf(options), kind).to.equal("faulty_batch");
      const { faults: found } = world.told("refused").at(-1)!;
      expect(found.map((fault) => fault.kind)).to.include(kind);
    }
    expect(world.told("voted")).to.deep.equal([]);
  });

  it("a request that is twice in the batch gets none", async () => {
    const { requestId } = signedReceipt(world, {}).receipt;
    expect(await refusalOf({ receipt: (i) => (i < 2 ? { requestId } : undefined) })).to.equal("faulty_batch");
  });

  it("a receipt dated where a key may still be revoked gets none", async () => {
    // the next block's time: that of the last may be long past, and this machine's is not the chain's once a test has moved it
    const pending = (await world.connection.ethers.provider.send("eth_getBlockByNumber", ["pending", false])) as {
      timestamp: string;
    };
    const servedAt = BigInt(pending.timestamp) + 100n;
    expect(await refusalOf({ receipt: () => ({ servedAt }) })).to.equal("served_in_future");
  });

  it("a receipt served since the last block gets a vote, though the chain stands still", async () => {
    const servedAt = BigInt(await latestTimestamp(world));
    const { header } = await world.build({ receipt: () => ({ servedAt }) });
    expect((await ask(header)).status).to.equal(200);
  });

  it("receipts that cannot be posted in time get none", async () => {
    const servedAt = BigInt(await latestTimestamp(world)) - BigInt(DAY) + 30n;
    expect(await refusalOf({ receipt: () => ({ servedAt }) })).to.equal("too_old");
  });

  it("a receipt of a revoked key gets a vote when it was served before", async () => {
    const batch = await world.build();
    await world.nodes.connect(world.operator).revokeSigner(world.nodeKey);
    expect((await ask(batch.header)).status).to.equal(200);
    const later = BigInt(await latestTimestamp(world));
    await increaseTime(world, 10);
    expect(await refusalOf({ receipt: () => ({ servedAt: later }) })).to.equal("faulty_batch");
  });

  it("an unknown or worn-out verifier set gets none", async () => {
    expect(await refusalOf({ header: { setId: 0 } })).to.equal("set_not_usable");
    expect(await refusalOf({ header: { setId: 2 } })).to.equal("set_not_usable");
    await increaseTime(world, DAY);
    expect(await refusalOf({})).to.equal("set_not_usable");
  });

  it("an operator that cannot post gets none", async () => {
    await world.settlement.connect(world.operator).setSubmitter("0x0000000000000000000000000000000000000000");
    expect(await refusalOf({})).to.equal("operator_not_ready");
  });

  it("a blob that is withheld gets none", async () => {
    const { header } = await world.build();
    world.blobs.withheld.add(header.blobId);
    expect((await ask(header)).body.code).to.equal("blob_unavailable");
    world.blobs.withheld.clear();
    expect((await ask(header)).status, "until it is there").to.equal(200);
  });

  it("a search that could not be made is not vouched for", async () => {
    expect(await refusalOf({ header: { seen: 1 } })).to.equal("seen_ahead");
    const withheld = await world.build();
    world.blobs.withheld.add(withheld.header.blobId);
    await post(world, withheld, []);
    expect(await refusalOf({}), "one batch before it cannot be read").to.equal("seen_ahead");
    expect((await ask((await world.build({ header: { seen: 0 } })).header)).status, "without it").to.equal(200);
    world.blobs.withheld.clear();
    expect((await ask((await world.build()).header)).status, "once it can be read").to.equal(200);
  });

  it("a request that has settled gets none, whatever the header has seen", async () => {
    const settled = await recentReceipt();
    await post(world, await world.build({ receipts: [settled] }));
    const receipts = [await recentReceipt(), settled];
    expect(await refusalOf({ receipts })).to.equal("duplicate");
    expect(await refusalOf({ receipts, header: { seen: 0 } })).to.equal("duplicate");
  });

  it("a request of a batch that was rejected gets a vote again", async () => {
    const receipt = await recentReceipt();
    const wrong = await world.build({ receipts: [receipt, await recentReceipt()], header: { count: 3 } });
    await post(world, wrong, []);
    await world.toldBy("provenWrong", 4);
    const again = await world.build({ receipts: [receipt] });
    expect((await ask(again.header)).status).to.equal(200);
    await post(world, again);
    await eventually(() => world.told("judged").filter(({ batchId }) => batchId === again.id).length === 4);
    expect(world.told("judged").at(-1)!.verdict).to.equal("right");
  });

  it("two batches that share a request do not both get a vote while both can be posted", async () => {
    const shared = await recentReceipt();
    const first = await world.build({ receipts: [shared] });
    const second = await world.build({ receipts: [shared, await recentReceipt()] });
    const answers = await Promise.all([ask(first.header), ask(second.header)]);
    expect(answers.map(({ status }) => status).sort()).to.deep.equal([200, 422]);
    expect(world.told("refused").map(({ code }) => code)).to.deep.equal(["vote_outstanding"]);

    await increaseTime(world, DAY - 60);
    await world.settlement.snapshot();
    await increaseTime(world, 61);
    const again = await world.build({
      receipts: [await recentReceipt(shared.receipt.requestId)],
      header: { setId: 2 },
    });
    expect((await ask(again.header)).status, "once neither can be posted any more").to.equal(200);
  });

  it("who has no seat in the set does not vote", async () => {
    await world.stopVerifier(3);
    await world.settlement.connect(world.verifiers[3]!.operator).vacateSeat(3);
    await increaseTime(world, 600);
    await world.settlement.snapshot();
    await world.startVerifier(3);
    const { header } = await world.build({ header: { setId: 2 } });
    expect((await ask(header, 3)).body.code).to.equal("not_seated");
    expect((await ask(header, 2)).status).to.equal(200);
  });

  it("another operator's use of a request id is no duplicate", async () => {
    const receipt = await recentReceipt();
    await post(world, await world.build({ receipts: [receipt] }));
    const [rival, nodeKey] = [world.bystanders[5]!, testKey(50)];
    await world.staking.connect(rival).stake(Role.Inference, OPERATOR_STAKE);
    await registerNode(world, rival, nodeKey);
    await world.settlement.connect(rival).setSubmitter(rival);
    await increaseTime(world, 10);
    const by = { operatorAddress: await hexAddress(rival), nodeKey };
    const { requestId } = receipt.receipt;
    const { header } = await world.build({ size: 1, receipt: () => ({ requestId }), by });
    expect((await ask(header)).status).to.equal(200);
  });

  it("more questions than it can hold are sent away, and the rest answered", async () => {
    await world.stopVerifier(0);
    await world.startVerifier(0, { blobAttempts: 2 });
    const hidden = await world.build();
    world.blobs.withheld.add(hidden.header.blobId);
    const answers = await Promise.all(Array.from({ length: 40 }, () => ask(hidden.header)));
    const codes = answers.map(({ body }) => body.code);
    expect(new Set(codes)).to.deep.equal(new Set(["blob_unavailable", "busy"]));
    expect((await ask((await world.build()).header)).status).to.equal(200);
  });

  it("what is no header is refused without a look", async () => {
    const response = await fetch(new URL("/votes", world.running[0]!.url), {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ header: { root: "0x" } }),
    });
    expect(response.status).to.equal(400);
    const large = await fetch(new URL("/votes", world.running[0]!.url), {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ header: "x".repeat(20_000) }),
    });
    expect(large.status).to.equal(413);
  });

  it("tells that it is well", async () => {
    const response = await fetch(new URL("/health", world.running[0]!.url));
    expect(await response.json()).to.include({ status: "ok", voter: world.running[0]!.voter, votes: 0 });
  });
});

/** The tree counts a leaf, or an inner node, as more than is below it, and the header believes the tree. */
const MORE = (1n << 96n) | 1n;
const lyingLeaf: BuildOptions = { leafTotal: (i) => (i === 1 ? MORE : undefined), headerFollowsTree: true };
const lyingNode: BuildOptions = {
  node: (level, i, node) => (level === 1 && i === 1 ? { ...node, total: node.total + MORE } : node),
  headerFollowsTree: true,
};
