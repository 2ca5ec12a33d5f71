import { expect } from "chai";

import { Mode, type Hex, type Receipt, type SignedReceipt } from "../../../simulator/receipts/types.ts";
import { SumTree } from "../../../simulator/receipts/sumTree.ts";
import { decodeBatchBlob } from "../../../simulator/settlement/batchBlob.ts";
import { registeredVerifiers } from "../../../simulator/settlement/registeredVerifiers.ts";
import { DAY, HOUR, increaseTime, latestTimestamp, Role, TERMS } from "../../support/protocol.ts";
import { createSettlementWorld, eventually, type SettlementWorld } from "./settlementWorld.ts";

const idsOf = (receipts: readonly SignedReceipt[]): Hex[] => receipts.map(({ receipt }) => receipt.requestId);

describe("BatchSettler", () => {
  let world: SettlementWorld;

  beforeEach(async () => {
    world = await createSettlementWorld();
  });
  afterEach(() => world.close());

  const outcome = async (type: string, count = 1) => {
    // a blob's id alone takes a second of a core that is free
    await eventually(() => world.events.filter((event) => event.type === type).length >= count, count * 20_000);
    return world.events.filter((event) => event.type === type);
  };
  const statusOf = async (batchId: Hex) => Number((await world.settlement.records(batchId)).status);

  it("settles served receipts in one transaction, with their royalties and votes", async () => {
    const receipts = await world.serve(5);
    await world.settler();
    const [event] = await outcome("attested");
    expect(await statusOf(event!.batchId)).to.equal(2);
    expect(event!.header).to.include({ count: 5, operator: world.operatorAddress, setId: 1, seen: 0 });
    expect(event!.latenciesMs).to.have.lengthOf(5);
    const posted = await world.posted();
    expect(posted.size).to.equal(1);
    expect(idsOf(posted.get(event!.batchId)!)).to.have.members(idsOf(receipts));
    expect(world.outbox.unbatched(10)).to.deep.equal([]);

    const fees = receipts.reduce((sum, { receipt }) => sum + receipt.fee, 0n);
    expect(event!.header.fees).to.equal(fees);
    expect(await world.settlement.credits(world.modelOwner)).to.equal(fees / 10n);
    expect(world.events.map(({ type }) => type)).to.deep.equal(["stored", "submitted", "attested"]);

    const leaves = posted.get(event!.batchId)!;
    const { receipt, signature } = leaves[3]!;
    const sig = { r: signature.slice(0, 66), vs: `0x${signature.slice(66)}` };
    const leaf = { receipt, sig, ...SumTree.ofReceipts(leaves).path(3) };
    expect(await world.settlement.isAttested(event!.header, leaf)).to.equal(true);
  });

  it("makes batches by count and by age", async () => {
    const settler = await world.settler({ maxReceipts: 2, maxAgeMs: 3_600_000 });
    // not later than the chain's last block: what is dated ahead of it is held back until the next
    const servedAt = BigInt(await latestTimestamp(world));
    const receipts = await world.serve(5, () => ({ servedAt }));
    await outcome("attested", 2);
    expect(settler.counts.final).to.equal(2);
    expect(world.outbox.unbatched(10), "the fifth waits").to.have.lengthOf(1);
    await settler.flush();
    await settler.idle();
    const posted = [...(await world.posted()).values()];
    expect(posted.map((batch) => batch.length)).to.have.members([2, 2, 1]);
    expect(posted.flatMap(idsOf)).to.have.members(idsOf(receipts));
  });

  it("settles a receipt that asked for it at once and alone, and says where", async () => {
    await world.settler({ maxAgeMs: 3_600_000 });
    const servedAt = BigInt(await latestTimestamp(world));
    const shared = await world.serve(3, () => ({ servedAt }));
    const [first, second] = await world.serve(2, () => ({ servedAt }), true);
    await outcome("attested", 2);
    const posted = await world.posted();
    expect([...posted.values()].map(idsOf)).to.have.deep.members([idsOf([first!]), idsOf([second!])]);
    expect(idsOf(world.outbox.unbatched(10)), "the others wait for more").to.have.members(idsOf(shared));

    const { requestId } = first!.receipt;
    const [batchId] = [...posted].find(([, receipts]) => receipts[0]!.receipt.requestId === requestId)!;
    const [event] = await world.settlement.queryFilter(world.settlement.filters.BatchSubmitted(batchId));
    expect(world.outbox.placeOf(requestId)).to.deep.equal({
      ...{ state: "final", batchId, blobId: event!.args.batch.blobId, transaction: event!.transactionHash },
    });
    expect(world.outbox.placeOf(shared[0]!.receipt.requestId)).to.deep.equal({ state: "waiting" });
  });

  it("settles a receipt that cost too little for a batch of its own with others", async () => {
    const servedAt = BigInt(await latestTimestamp(world));
    const shared = await world.serve(1, () => ({ servedAt }));
    const { fee } = shared[0]!.receipt;
    const cheap = await world.serve(2, () => ({ servedAt }), true);
    const dear = await world.serve(1, () => ({ servedAt, fee: 10n * fee }), true);
    await world.settler({ individualFeeWei: 10n * fee });
    await outcome("attested", 2);
    const sorted = (receipts: readonly SignedReceipt[]): Hex[] => idsOf(receipts).sort();
    expect([...(await world.posted()).values()].map(sorted)).to.have.deep.members([
      idsOf(dear),
      sorted([...shared, ...cheap]),
    ]);
  });

  it("lets neither sort of receipts wait while the other goes on", async () => {
    const servedAt = BigInt(await latestTimestamp(world));
    const alone = await world.serve(2, () => ({ servedAt }), true);
    const shared = await world.serve(2, () => ({ servedAt }));
    await world.settler({ maxReceipts: 2 });
    const stored = await outcome("stored", 3);
    expect(stored.map(({ header }) => header.count)).to.deep.equal([1, 2, 1]);
    await outcome("attested", 3);
    expect([...(await world.posted()).values()].flatMap(idsOf)).to.have.members(idsOf([...alone, ...shared]));
  });

  it("takes a verifier snapshot when there is none young enough", async () => {
    await increaseTime(world, DAY);
    await world.serve(1);
    await world.settler();
    const [event] = await outcome("attested");
    expect(event!.header.setId).to.equal(2);
    expect(Number((await world.settlement.state()).setId)).to.equal(2);
  });

  it("asks the verifiers that are registered and in service", async () => {
    for (const [i, url] of world.voters.entries()) {
      const nodes = world.nodes.connect(world.verifiers[i]!.operator);
      const registered = await (await nodes.register(Role.Verifier, world.verifiers[i]!.operator, url)).wait();
      if (i === 0) await nodes.disable(registered!.logs[0]!.topics[1]!);
    }
    const registry = (await world.nodes.getAddress()) as Hex;
    expect(await registeredVerifiers(world.chain, registry)).to.deep.equal(world.voters.slice(1));
    await world.serve(1);
    await world.settler({ verifiers: () => registeredVerifiers(world.chain, registry) });
    const [event] = await outcome("attested");
    expect((await world.settlement.records(event!.batchId)).approvals).to.equal(0b1110n);
  });

  it("posts again what a reorganisation took off the chain", async () => {
    await world.serve(1);
    const before = await world.connection.networkHelpers.takeSnapshot();
    await world.settler({ faults: { collectVotes: false } });
    await outcome("submitted");
    await before.restore();
    const [first, second] = await outcome("submitted", 2);
    expect(second!.batchId).to.equal(first!.batchId);
    expect(await statusOf(first!.batchId)).to.equal(1);
  });

  it("waits for a quorum, then posts with it", async () => {
    world.voting.clear();
    world.voting.add(0);
    await world.serve(1);
    await world.settler();
    await eventually(() => world.questions >= 8);
    expect((await world.posted()).size).to.equal(0);
    world.voting.add(1).add(2);
    const [event] = await outcome("attested");
    const { approvals } = await world.settlement.records(event!.batchId);
    expect(approvals & 0b1000n, "seat 3 never voted").to.equal(0n);
  });

  it("posts with a bond when the votes do not come, and adds them when they do", async () => {
    world.voting.clear();
    world.voting.add(0);
    await world.serve(1);
    await world.settler({ quorumPatienceMs: 0 });
    const [event] = await outcome("submitted");
    expect(await statusOf(event!.batchId)).to.equal(1);
    expect((await world.settlement.records(event!.batchId)).approvals).to.equal(0b1n);
    world.voting.add(1).add(3);
    await outcome("attested");
    expect(await statusOf(event!.batchId)).to.equal(2);
  });

  it("finalises an unattested batch when its window is over", async () => {
    await world.serve(1);
    await world.settler({ faults: { collectVotes: false } });
    const [event] = await outcome("submitted");
    expect(await statusOf(event!.batchId)).to.equal(1);
    expect(world.questions, "nobody was asked").to.equal(0);
    await increaseTime(world, TERMS.window + 1);
    await outcome("unchallenged");
    expect(await statusOf(event!.batchId)).to.equal(3);
  });

  it("tells when a batch was proven wrong", async () => {
    const forged: Hex = `0x${"11".repeat(64)}`;
    const tamper = (receipts: SignedReceipt[]) => receipts.map((signed) => ({ ...signed, signature: forged }));
    await world.serve(1);
    const settler = await world.settler({ faults: { collectVotes: false, tamper } });
    const [event] = await outcome("submitted");
    const { batchId, header } = event!;
    const [signed] = decodeBatchBlob(await world.blobs.get(header.blobId)).receipts;
    const sig = { r: forged.slice(0, 66), vs: `0x${forged.slice(66)}` };
    const leaf = { receipt: signed!.receipt, sig, path: "0x", right: 0n };
    await world.settlement.connect(world.challenger).challengeReceipt(header, leaf, (header.fees << 32n) | 1n);
    await outcome("rejected");
    expect(await statusOf(batchId)).to.equal(4);
    expect(settler.counts.rejected).to.equal(1);
  });

  it("posts a tampered header as it is", async () => {
    await world.serve(2);
    const tamperHeader = <T extends { fees: bigint }>(header: T): T => ({ ...header, fees: header.fees - 1n });
    await world.settler({ faults: { tamperHeader } });
    const [event] = await outcome("attested");
    const [receipts] = [...(await world.posted()).values()];
    expect(event!.header.fees).to.equal(receipts!.reduce((sum, { receipt }) => sum + receipt.fee, 0n) - 1n);
  });

  it("leaves out what would be a fault, and keeps the rest going", async () => {
    const wrong: Partial<Receipt>[] = [
      { servedAt: 1n }, // before the key was valid, and too old
      { mode: Mode.Tee }, // by a key that is no enclave's
      { modelId: `0x${"99".repeat(32)}` }, // not registered, perhaps not yet
    ];
    await world.serve(wrong.length, (i) => wrong[i]!);
    const right = await world.serve(1);
    await world.settler();
    await outcome("attested");
    const posted = [...(await world.posted()).values()];
    expect(posted.map(idsOf)).to.deep.equal([idsOf(right)]);
  });

  it("gives up a batch that the chain can no longer take, and settles its receipts in another", async () => {
    world.voting.clear();
    const receipts = await world.serve(2);
    const first = await world.settler();
    await outcome("stored");
    await first.stop();
    await increaseTime(world, 700);
    await world.settlement.snapshot();
    await increaseTime(world, 2 * HOUR);
    world.voting.add(0).add(1).add(2);

    const second = await world.settler();
    const [event] = await outcome("attested");
    expect(event!.header.setId).to.equal(2);
    expect(world.events.map(({ type }) => type)).to.include("abandoned");
    expect([...(await world.posted()).values()].flatMap(idsOf)).to.have.members(idsOf(receipts));
    expect(second.counts).to.include({ abandoned: 1, final: 1, stored: 0 });
  });

  it("waits while the operator's account cannot pay", async () => {
    const { balance } = await world.settlement.accounts(world.operatorAddress);
    await world.settlement.connect(world.operator).withdraw(balance);
    await world.serve(1);
    const settler = await world.settler();
    await eventually(() => world.questions >= 8);
    expect(settler.counts.stored).to.equal(1);
    await world.settlement.connect(world.operator).deposit(world.operatorAddress, balance);
    await outcome("attested");
  });
});
