import { expect } from "chai";

import {
  buildBatch,
  challengeHeaderTotal,
  freshWorld,
  post,
  postedBatch,
  SUBMITTER_SLASH,
  VOTER_SLASH,
} from "../../support/batches.ts";
import { Fault, Status } from "../../support/settlement.ts";

describe("ProofSettlement.challengeHeaderTotal", () => {
  it("challengeHeaderTotal_wrongFeesOrCount_isAFault", async () => {
    const world = await freshWorld();
    for (const header of [{ count: 1 }, { count: 4_000_000_000 }, { fees: 0n }, { fees: 10n ** 20n }]) {
      for (const [size, level, index] of [
        [8, 0, 7],
        [8, 2, 1],
        [5, 0, 4],
        [2, 0, 0],
      ] as const) {
        const batch = await postedBatch(world, { size, seats: [], header, royalties: [] });
        await expect(challengeHeaderTotal(world, batch, level, index))
          .to.emit(world.settlement, "BatchProvenWrong")
          .withArgs(batch.id, world.challenger, Fault.HeaderTotal, false, SUBMITTER_SLASH);
      }
    }
  });

  it("challengeHeaderTotal_attestedBatch_slashesTheVoters", async () => {
    const world = await freshWorld();
    const batch = await postedBatch(world, { header: { count: 3 } });
    await expect(challengeHeaderTotal(world, batch))
      .to.emit(world.settlement, "BatchProvenWrong")
      .withArgs(batch.id, world.challenger, Fault.HeaderTotal, true, SUBMITTER_SLASH + 4n * VOTER_SLASH);
  });

  it("challengeHeaderTotal_honestHeader_reverts", async () => {
    const world = await freshWorld();
    const batch = await postedBatch(world, { size: 7 });
    for (const [level, nodes] of batch.tree.levels.slice(0, -1).entries()) {
      for (const index of nodes.keys()) {
        await expect(challengeHeaderTotal(world, batch, level, index)).to.be.revertedWithCustomError(
          world.settlement,
          "NoFault",
        );
      }
    }
  });

  it("challengeHeaderTotal_rootWithAnInventedTotal_reverts", async () => {
    const world = await freshWorld();
    const { settlement } = world;
    for (const size of [1, 4]) {
      const { header } = await postedBatch(world, { size });
      // the root's total is committed by nothing but the header
      await expect(
        settlement.challengeHeaderTotal(header, header.root, 12_345n, "0x", 0n),
      ).to.be.revertedWithCustomError(settlement, "NoFault");
    }
  });

  it("challengeHeaderTotal_nodeWithAnInventedTotal_reverts", async () => {
    const world = await freshWorld();
    const { settlement } = world;
    const batch = await postedBatch(world);
    const [node] = batch.tree.levels[0]!;
    const { path, right } = batch.tree.path(0);
    await expect(settlement.challengeHeaderTotal(batch.header, node!.hash, node!.total + 1n, path, right))
      .to.be.revertedWithCustomError(settlement, "NotInBatch")
      .withArgs(batch.id);
  });

  it("challengeHeaderTotal_unknownOrPunishedBatch_reverts", async () => {
    const world = await freshWorld();
    const batch = await buildBatch(world, { header: { count: 3 } });
    await expect(challengeHeaderTotal(world, batch))
      .to.be.revertedWithCustomError(world.settlement, "WrongStatus")
      .withArgs(Status.None);
    await post(world, batch, []);
    await challengeHeaderTotal(world, batch);
    await expect(challengeHeaderTotal(world, batch))
      .to.be.revertedWithCustomError(world.settlement, "WrongStatus")
      .withArgs(Status.Rejected);
  });
});
