import { expect } from "chai";
import { concat, dataSlice, toBeHex, TypedDataEncoder, ZeroHash } from "ethers";

import { BATCH_TYPES } from "../../../simulator/receipts/eip712.ts";
import { signDigest } from "../../../simulator/receipts/secp256k1.ts";
import type { Hex } from "../../../simulator/receipts/types.ts";
import {
  attest,
  buildBatch,
  freshWorld,
  post,
  postedBatch,
  votesOf,
  type BuiltBatch,
  type World,
} from "../../support/batches.ts";
import { domainOf, increaseTime, testKey } from "../../support/protocol.ts";
import { Status } from "../../support/settlement.ts";

const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const LOW_255_BITS = (1n << 255n) - 1n;

const postWith = ({ settlement, submitter }: World, batch: BuiltBatch, seats: bigint, signatures: string) =>
  settlement.connect(submitter).submitBatch(batch.header, [...batch.royalties], seats, signatures);

async function expectInvalidVote(world: World, seat: number | bigint, seats: bigint, signatures: string) {
  const batch = await buildBatch(world);
  await expect(postWith(world, batch, seats, signatures))
    .to.be.revertedWithCustomError(world.settlement, "InvalidVote")
    .withArgs(seat);
}

describe("ProofSettlement: attacks on votes", () => {
  it("votes_forAnotherBatch_areRefused", async () => {
    const world = await freshWorld();
    const [batch, other] = [await buildBatch(world), await buildBatch(world)];
    const { seats, signatures } = votesOf(world, other.id);
    await expect(postWith(world, batch, seats, signatures))
      .to.be.revertedWithCustomError(world.settlement, "InvalidVote")
      .withArgs(0);
    const pending = await postedBatch(world, { seats: [] });
    await expect(attest(world, { ...pending, id: other.id }))
      .to.be.revertedWithCustomError(world.settlement, "InvalidVote")
      .withArgs(0);
  });

  it("votes_forTheSameHeaderInAnotherContractOrOnAnotherChain_areRefused", async () => {
    const world = await freshWorld();
    const batch = await buildBatch(world);
    const domain = await domainOf(world.settlement);
    for (const foreign of [
      { ...domain, verifyingContract: await world.staking.getAddress() },
      { ...domain, chainId: 8453 },
      { ...domain, name: "Other" },
      { ...domain, version: "2" },
    ]) {
      const digest = TypedDataEncoder.hash(foreign, BATCH_TYPES, batch.header) as Hex;
      const { seats, signatures } = votesOf(world, digest);
      await expect(postWith(world, batch, seats, signatures))
        .to.be.revertedWithCustomError(world.settlement, "InvalidVote")
        .withArgs(0);
    }
  });

  it("votes_overTheRootAlone_areRefused", async () => {
    const world = await freshWorld();
    const batch = await buildBatch(world);
    await expect(post(world, { ...batch, id: batch.header.root })).to.be.revertedWithCustomError(
      world.settlement,
      "InvalidVote",
    );
  });

  it("votes_oneSignatureInTwoSeats_countsForItsOwnOnly", async () => {
    const world = await freshWorld();
    const batch = await buildBatch(world);
    const { signatures } = votesOf(world, batch.id, [0]);
    await expect(postWith(world, batch, 0b11n, concat([signatures, signatures])))
      .to.be.revertedWithCustomError(world.settlement, "InvalidVote")
      .withArgs(1);
  });

  it("votes_inAnotherOrder_areRefused", async () => {
    const world = await freshWorld();
    const batch = await buildBatch(world);
    const [zero, two] = [votesOf(world, batch.id, [0]).signatures, votesOf(world, batch.id, [2]).signatures];
    await expect(postWith(world, batch, 0b101n, concat([two, zero])))
      .to.be.revertedWithCustomError(world.settlement, "InvalidVote")
      .withArgs(0);
  });

  it("votes_ofSeatsOutsideTheSet_areRefused", async () => {
    const world = await freshWorld();
    const batch = await buildBatch(world);
    const { signatures } = votesOf(world, batch.id);
    for (const seats of [1n << 4n, 1n << 127n, 1n << 128n, 1n << 255n, 0b1111n | (1n << 255n)]) {
      await expect(postWith(world, batch, seats, signatures))
        .to.be.revertedWithCustomError(world.settlement, "InvalidVote")
        .withArgs(4);
    }
  });

  it("votes_missingOrSurplusBytes_areRefused", async () => {
    const world = await freshWorld();
    const { settlement } = world;
    const batch = await buildBatch(world);
    const { seats, signatures } = votesOf(world, batch.id, [0, 1, 3]);
    for (const [given, expected, actual] of [
      [dataSlice(signatures, 0, 128), 192, 128],
      [dataSlice(signatures, 0, 191), 192, 191],
      ["0x", 64, 0],
      [concat([signatures, "0x00"]), 192, 193],
      [concat([signatures, signatures]), 192, 384],
    ] as const) {
      await expect(postWith(world, batch, seats, given))
        .to.be.revertedWithCustomError(settlement, "InvalidVotesLength")
        .withArgs(expected, actual);
    }
    // with no bit set nothing is looked at, and nothing counts
    await postWith(world, batch, 0n, signatures);
    expect((await settlement.records(batch.id)).approvals).to.equal(0n);
    await expect(settlement.attest(batch.header, [...batch.royalties], 0n, signatures))
      .to.be.revertedWithCustomError(settlement, "InvalidVotesLength")
      .withArgs(0, 192);
  });

  it("votes_malleableTwin_isNoVoteOfItsOwn", async () => {
    const world = await freshWorld();
    const batch = await buildBatch(world);
    const { signatures } = votesOf(world, batch.id, [0]);
    const [r, vs] = [dataSlice(signatures, 0, 32), BigInt(dataSlice(signatures, 32, 64))];
    const highS = ORDER - (vs & LOW_255_BITS);
    const flipped = (vs >> 255n) ^ 1n;
    // 64 bytes have 255 bits for s, so a high s does not fit; what is left of it is nobody's signature
    const twin = concat([r, toBeHex((highS & LOW_255_BITS) | (flipped << 255n), 32)]);
    await expectInvalidVote(world, 0, 1n, twin);
    const otherParity = concat([r, toBeHex(vs ^ (1n << 255n), 32)]);
    await expectInvalidVote(world, 0, 1n, otherParity);
    await postWith(world, batch, 1n, signatures);
    expect((await world.settlement.records(batch.id)).approvals).to.equal(1n);
  });

  it("votes_failedRecovery_doesNotMatchAnEmptySeat", async () => {
    const world = await freshWorld();
    const { settlement, verifiers } = world;
    await settlement.connect(verifiers[0]!.operator).vacateSeat(0);
    await increaseTime(world, 600);
    await settlement.snapshot();
    for (const signature of [
      concat([ZeroHash, ZeroHash]),
      `0x${"ff".repeat(64)}`,
      concat([toBeHex(1, 32), ZeroHash]),
    ]) {
      await expectInvalidVote({ ...world, setId: 2 }, 0, 1n, signature);
    }
    const batch = await buildBatch(world, { header: { setId: 2 } });
    await expect(post(world, batch), "nor may its last operator vote there")
      .to.be.revertedWithCustomError(settlement, "InvalidVote")
      .withArgs(0);
  });

  it("votes_byAKeyWithoutASeat_areRefused", async () => {
    const world = await freshWorld();
    const batch = await buildBatch(world);
    const signature = signDigest(batch.id, testKey(99).privateKey as Hex);
    await expect(postWith(world, batch, 1n, signature))
      .to.be.revertedWithCustomError(world.settlement, "InvalidVote")
      .withArgs(0);
  });

  it("votes_oneInvalidAmongMany_revertsTheWhole", async () => {
    const world = await freshWorld();
    const batch = await postedBatch(world, { seats: [] });
    const { signatures } = votesOf(world, batch.id);
    const broken = concat([dataSlice(signatures, 0, 192), signDigest(batch.id, testKey(99).privateKey as Hex)]);
    await expect(world.settlement.attest(batch.header, [...batch.royalties], 0b1111n, broken))
      .to.be.revertedWithCustomError(world.settlement, "InvalidVote")
      .withArgs(3);
    expect((await world.settlement.records(batch.id)).status).to.equal(Status.Pending);
  });

  it("votes_forASetAreWorthlessInTheNext", async () => {
    const world = await freshWorld();
    const { settlement } = world;
    const batch = await buildBatch(world);
    await increaseTime(world, 600);
    await settlement.snapshot();
    const renamed = { ...batch.header, setId: 2 };
    const { seats, signatures } = votesOf(world, batch.id);
    await expect(settlement.connect(world.submitter).submitBatch(renamed, [...batch.royalties], seats, signatures))
      .to.be.revertedWithCustomError(settlement, "InvalidVote")
      .withArgs(0);
  });
});
