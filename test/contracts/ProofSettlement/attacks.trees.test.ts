import { expect } from "chai";
import { concat, ethers, keccak256, toBeHex } from "ethers";

import type { Hex, SignedReceipt } from "../../../simulator/receipts/types.ts";
import {
  challengeReceipt,
  freshWorld,
  leafOf,
  postedBatch,
  SUBMITTER_SLASH,
  type BuiltBatch,
  type World,
} from "../../support/batches.ts";
import { Fault } from "../../support/settlement.ts";

const SIZES = Array.from({ length: 17 }, (_, i) => i + 1);

const forgeAll = (_: number, signed: SignedReceipt): SignedReceipt => ({
  ...signed,
  signature: `0x${"11".repeat(64)}`,
});

const challenge = ({ settlement }: World, batch: BuiltBatch, index: number, claimedTotal: bigint) =>
  settlement.challengeReceipt.staticCall(batch.header, leafOf(batch, index), claimedTotal);

describe("ProofSettlement: attacks on trees", () => {
  it("trees_ofAnySize_everyReceiptIsProvable", async () => {
    const world = await freshWorld();
    for (const size of SIZES) {
      const batch = await postedBatch(world, { size });
      for (const index of batch.receipts.keys()) {
        const proven = await world.settlement.isAttested(batch.header, leafOf(batch, index));
        expect(proven, `${index} of ${size}`).to.equal(true);
      }
    }
  });

  it("trees_honestOfAnySize_nothingInThemIsChallengeable", async () => {
    const world = await freshWorld();
    const { settlement } = world;
    for (const size of SIZES) {
      const batch = await postedBatch(world, { size });
      const { tree, header } = batch;
      const refused = (call: Promise<unknown>, what: string) =>
        expect(call, `${what} of ${size}`).to.be.revertedWithCustomError(settlement, "NoFault");
      for (const [index, leaf] of tree.levels[0]!.entries()) {
        await refused(challenge(world, batch, index, leaf.total), `receipt ${index}`);
        const place = leafOf(batch, index);
        await refused(settlement.challengeDuplicate.staticCall(header, place, header, place), `duplicate ${index}`);
      }
      for (const [level, nodes] of tree.levels.slice(0, -1).entries()) {
        for (const [index, node] of nodes.entries()) {
          const { path, right } = tree.path(index, level);
          const call = settlement.challengeHeaderTotal.staticCall(header, node.hash, node.total, path, right);
          await refused(call, `header by ${level}/${index}`);
        }
      }
      for (const [level, nodes] of tree.levels.entries()) {
        for (const [index, node] of nodes.entries()) {
          const [left, sibling] = [tree.levels[level - 1]?.[2 * index], tree.levels[level - 1]?.[2 * index + 1]];
          if (!left || !sibling) continue;
          const { path, right } = tree.path(index, level);
          const call = settlement.challengeNodeTotal.staticCall(
            header,
            left.hash,
            left.total,
            sibling.hash,
            sibling.total,
            node.total,
            path,
            right,
          );
          await refused(call, `node ${level}/${index}`);
        }
      }
    }
  });

  it("trees_ofAnySize_aBadReceiptAnywhereIsChallengeable", async () => {
    const world = await freshWorld();
    for (const size of SIZES) {
      const batch = await postedBatch(world, { size, seats: [], tamper: forgeAll });
      for (const [index, leaf] of batch.tree.levels[0]!.entries()) {
        await challenge(world, batch, index, leaf.total);
      }
    }
  });

  it("trees_oddLeaf_isNotInTheTreeTwice", async () => {
    const world = await freshWorld();
    const { settlement } = world;
    const batch = await postedBatch(world, { size: 5 });
    const leaf = leafOf(batch, 4);
    const node = batch.tree.levels[0]![4]!;
    const self = concat([node.hash, toBeHex(node.total, 16)]);
    for (const [path, right] of [
      [concat([self, leaf.path]), 0b11n],
      [concat([self, leaf.path]), 0b10n],
      [concat([self, self, leaf.path]), 0b100n],
    ] as const) {
      const twin = { ...leaf, path, right };
      expect(await settlement.isAttested(batch.header, twin)).to.equal(false);
      await expect(settlement.challengeDuplicate(batch.header, twin, batch.header, leaf))
        .to.be.revertedWithCustomError(settlement, "NotInBatch")
        .withArgs(batch.id);
    }
  });

  it("trees_innerNodeInALeafsPlace_provesNothing", async () => {
    const world = await freshWorld();
    const batch = await postedBatch(world, { size: 8 });
    const { settlement } = world;
    for (const level of [1, 2, 3]) {
      const place = { ...leafOf(batch, 0), ...batch.tree.path(0, level) };
      expect(await settlement.isAttested(batch.header, place)).to.equal(false);
      await expect(settlement.challengeReceipt(batch.header, place, batch.tree.levels[level]![0]!.total))
        .to.be.revertedWithCustomError(settlement, "NotInBatch")
        .withArgs(batch.id);
    }
  });

  it("trees_rootThatIsALeafButCountsMore_isAFault", async () => {
    const world = await freshWorld();
    const batch = await postedBatch(world, { size: 1, seats: [], header: { count: 1_000 }, royalties: [] });
    const claimed = (batch.header.fees << 32n) | 1_000n;
    await expect(challengeReceipt(world, batch, 0, claimed))
      .to.emit(world.settlement, "BatchProvenWrong")
      .withArgs(batch.id, world.challenger, Fault.Receipt, false, SUBMITTER_SLASH);
  });

  it("trees_hangingFromOneSide_aBadReceiptAtTheBottomIsChallengeable", async () => {
    const world = await freshWorld();
    const { settlement, challenger } = world;
    // 30 levels with one sibling each: not the canonical tree, but one that an operator can post
    const bottom = await postedBatch(world, { size: 1, tamper: forgeAll, seats: [] });
    const sibling = { hash: ethers.id("sibling"), total: (1n << 32n) | 1n };
    let { hash, total } = bottom.tree.root;
    for (let level = 0; level < 30; level++) {
      const totals = [toBeHex(total, 16), toBeHex(sibling.total, 16)];
      hash = keccak256(concat(["0x01", hash, sibling.hash, ...totals])) as Hex;
      total += sibling.total;
    }
    const header = { root: hash, fees: total >> 32n, count: Number(total & 0xffffffffn) };
    const batch = await postedBatch(world, { receipts: bottom.receipts, seats: [], header, royalties: [] });
    const path = concat(new Array<string>(30).fill(concat([sibling.hash, toBeHex(sibling.total, 16)])));
    const leaf = { ...leafOf(bottom, 0), path };
    await expect(settlement.connect(challenger).challengeReceipt(batch.header, leaf, bottom.tree.root.total))
      .to.emit(settlement, "BatchProvenWrong")
      .withArgs(batch.id, challenger, Fault.Receipt, false, SUBMITTER_SLASH);
  });

  it("trees_pathOf256Levels_reverts", async () => {
    const world = await freshWorld();
    const { settlement } = world;
    const batch = await postedBatch(world, { seats: [] });
    const leaf = leafOf(batch, 0);
    const level = `${"22".repeat(32)}${"00".repeat(16)}`;
    for (const [levels, error] of [
      [255, "NotInBatch"],
      [256, "InvalidPathBits"],
      [300, "InvalidPathBits"],
    ] as const) {
      const place = { ...leaf, path: `0x${level.repeat(levels)}` };
      await expect(
        settlement.challengeReceipt(batch.header, place, batch.tree.levels[0]![0]!.total),
      ).to.be.revertedWithCustomError(settlement, error);
    }
  });
});
