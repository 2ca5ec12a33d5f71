import { expect } from "chai";
import { concat, ethers, keccak256, toBeHex } from "ethers";

import { receiptStructHash } from "../../../simulator/receipts/eip712.ts";
import type { Hex } from "../../../simulator/receipts/types.ts";
import {
  buildBatch,
  challengeNodeTotal,
  freshWorld,
  post,
  postedBatch,
  SUBMITTER_SLASH,
  VOTER_SLASH,
  type BuiltBatch,
  type World,
} from "../../support/batches.ts";
import { Fault, Status } from "../../support/settlement.ts";

const ONE_FEE = 1n << 32n;

/** A batch in which node `index` of `level` counts `delta` more than its children have; the header agrees with the root. */
async function skewed(world: World, size: number, level: number, index: number, delta: bigint): Promise<BuiltBatch> {
  const batch = await buildBatch(world, {
    size,
    royalties: [],
    node: (l, i, node) => (l === level && i === index ? { ...node, total: node.total + delta } : node),
  });
  const { total } = batch.tree.root;
  const header = { ...batch.header, fees: total >> 32n, count: Number(total & (ONE_FEE - 1n)) };
  return { ...batch, header, id: world.hasher.batchDigest(header) };
}

describe("ProofSettlement.challengeNodeTotal", () => {
  it("challengeNodeTotal_sumOffAnywhere_isAFault", async () => {
    const world = await freshWorld();
    for (const [size, level, index, delta] of [
      [8, 1, 0, ONE_FEE],
      [8, 1, 3, -ONE_FEE],
      [8, 2, 1, 1n],
      [7, 1, 2, -1n],
      [9, 3, 0, 5n * ONE_FEE + 1n],
    ] as const) {
      const batch = await skewed(world, size, level, index, delta);
      await post(world, batch, []);
      await expect(challengeNodeTotal(world, batch, level, index), `${size}: ${level}/${index}`)
        .to.emit(world.settlement, "BatchProvenWrong")
        .withArgs(batch.id, world.challenger, Fault.NodeTotal, false, SUBMITTER_SLASH);
      expect((await world.settlement.records(batch.id)).status).to.equal(Status.Rejected);
    }
  });

  it("challengeNodeTotal_rootAgainstHeader_isAFault", async () => {
    const world = await freshWorld();
    const { settlement, challenger } = world;
    for (const header of [{ count: 5 }, { fees: 7n }]) {
      const batch = await postedBatch(world, { seats: [], header, royalties: [] });
      const claimed = (batch.header.fees << 32n) | BigInt(batch.header.count);
      await expect(challengeNodeTotal(world, batch, 2, 0, claimed))
        .to.emit(settlement, "BatchProvenWrong")
        .withArgs(batch.id, challenger, Fault.NodeTotal, false, SUBMITTER_SLASH);
    }
  });

  it("challengeNodeTotal_childrenBeyond128Bits_isAFault", async () => {
    const world = await freshWorld();
    const half = 1n << 127n;
    const [left, right] = [ethers.id("left"), ethers.id("right")];
    const root = keccak256(concat(["0x01", left, right, toBeHex(half, 16), toBeHex(half, 16)])) as Hex;
    // wrapped to 128 bits the children's sum is 0
    const header = { root, fees: 0n, count: 1 };
    const batch = await postedBatch(world, { seats: [], header, royalties: [] });
    const { settlement, challenger } = world;
    await expect(settlement.connect(challenger).challengeNodeTotal(batch.header, left, half, right, half, 1n, "0x", 0n))
      .to.emit(settlement, "BatchProvenWrong")
      .withArgs(batch.id, challenger, Fault.NodeTotal, false, SUBMITTER_SLASH);
  });

  it("challengeNodeTotal_attestedBatch_slashesTheVoters", async () => {
    const world = await freshWorld();
    const batch = await skewed(world, 4, 1, 0, ONE_FEE);
    await post(world, batch);
    await expect(challengeNodeTotal(world, batch, 1, 0))
      .to.emit(world.settlement, "BatchProvenWrong")
      .withArgs(batch.id, world.challenger, Fault.NodeTotal, true, SUBMITTER_SLASH + 4n * VOTER_SLASH);
  });

  it("challengeNodeTotal_honestNodes_revert", async () => {
    const world = await freshWorld();
    const batch = await postedBatch(world, { size: 8 });
    for (let level = 1; level < batch.tree.levels.length; level++) {
      for (const index of batch.tree.levels[level]!.keys()) {
        await expect(challengeNodeTotal(world, batch, level, index)).to.be.revertedWithCustomError(
          world.settlement,
          "NoFault",
        );
      }
    }
  });

  it("challengeNodeTotal_falseClaimAboutAnHonestNode_reverts", async () => {
    const world = await freshWorld();
    const batch = await postedBatch(world, { size: 8 });
    for (let level = 1; level < batch.tree.levels.length; level++) {
      const { total } = batch.tree.levels[level]![0]!;
      for (const claimed of [0n, total - 1n, total + ONE_FEE]) {
        await expect(challengeNodeTotal(world, batch, level, 0, claimed))
          .to.be.revertedWithCustomError(world.settlement, "NotInBatch")
          .withArgs(batch.id);
      }
    }
  });

  it("challengeNodeTotal_inventedChildren_reverts", async () => {
    const world = await freshWorld();
    const { settlement } = world;
    const batch = await postedBatch(world, { size: 8 });
    const [left, right] = batch.tree.levels[0]!;
    const { path, right: bits } = batch.tree.path(0, 1);
    const { total } = batch.tree.levels[1]![0]!;
    await expect(
      settlement.challengeNodeTotal(
        batch.header,
        left!.hash,
        left!.total + 1n,
        right!.hash,
        right!.total,
        total,
        path,
        bits,
      ),
    )
      .to.be.revertedWithCustomError(settlement, "NotInBatch")
      .withArgs(batch.id);
    await expect(
      settlement.challengeNodeTotal(
        batch.header,
        right!.hash,
        right!.total,
        left!.hash,
        left!.total,
        total + 1n,
        path,
        bits,
      ),
    )
      .to.be.revertedWithCustomError(settlement, "NotInBatch")
      .withArgs(batch.id);
  });

  it("challengeNodeTotal_leafPresentedAsNode_reverts", async () => {
    const world = await freshWorld();
    const { settlement } = world;
    const batch = await postedBatch(world, { size: 8 });
    // a leaf's preimage has the length of a node's: receipt hash | r | vs against left | right | totals
    const { receipt, signature } = batch.receipts[0]!;
    const [r, vs] = [`0x${signature.slice(2, 66)}`, BigInt(`0x${signature.slice(66)}`)];
    const { path, right } = batch.tree.path(0);
    await expect(
      settlement.challengeNodeTotal(
        batch.header,
        receiptStructHash(receipt),
        vs >> 128n,
        r,
        vs & ((1n << 128n) - 1n),
        batch.tree.levels[0]![0]!.total,
        path,
        right,
      ),
    )
      .to.be.revertedWithCustomError(settlement, "NotInBatch")
      .withArgs(batch.id);
  });

  it("challengeNodeTotal_unknownOrPunishedBatch_reverts", async () => {
    const world = await freshWorld();
    const batch = await skewed(world, 4, 1, 0, ONE_FEE);
    await expect(challengeNodeTotal(world, batch, 1, 0))
      .to.be.revertedWithCustomError(world.settlement, "WrongStatus")
      .withArgs(Status.None);
    await post(world, batch);
    await challengeNodeTotal(world, batch, 1, 0);
    await expect(challengeNodeTotal(world, batch, 1, 0))
      .to.be.revertedWithCustomError(world.settlement, "WrongStatus")
      .withArgs(Status.Attested);
  });
});
