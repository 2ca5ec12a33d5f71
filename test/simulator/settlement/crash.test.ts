import { expect } from "chai";

import type { Hex, SignedReceipt } from "../../../simulator/receipts/types.ts";
import type { SettlementStep } from "../../../simulator/settlement/BatchPoster.ts";
import { createSettlementWorld, eventually, mortalSource, type SettlementWorld } from "./settlementWorld.ts";

const STEPS: SettlementStep[] = ["stored", "marked", "uploaded", "voted", "posted", "submitted", "ended"];

/** A settler that is killed leaves its files; the next one gets nothing but them and the chain. */
describe("a killed BatchSettler", () => {
  let world: SettlementWorld;
  /** Ends the killed process's last call, when nobody looks any more. */
  let bury: () => void;
  let dead: Promise<void>;

  beforeEach(async () => {
    world = await createSettlementWorld();
    dead = new Promise((_resolve, reject) => (bury = () => reject(new Error("killed"))));
    dead.catch(() => undefined);
  });
  afterEach(() => {
    bury();
    return world.close();
  });

  /** Runs a settler until it is about to go on from `step`, and lets it do nothing any more from there. */
  async function killedAt(step: SettlementStep): Promise<void> {
    const source = mortalSource(world.outbox);
    const submitter = await world.startSubmitter();
    let killed = false;
    const onStep = async (reached: SettlementStep) => {
      if (reached !== step) return;
      source.kill();
      killed = true;
      await submitter.stop();
      await dead;
    };
    await world.settler({ source, submitter, faults: { onStep } });
    await eventually(() => killed);
  }

  /** All receipts are in exactly one batch on chain, all batches are final, and the outbox is empty. */
  async function expectSettledOnce(receipts: readonly SignedReceipt[]): Promise<void> {
    const settler = await world.settler();
    await settler.flush();
    await settler.idle();
    const posted = await world.posted();
    const ids = [...posted.values()].flat().map(({ receipt }) => receipt.requestId);
    expect(ids).to.have.members(receipts.map(({ receipt }) => receipt.requestId));
    for (const batchId of posted.keys()) {
      expect((await world.settlement.records(batchId)).status, "attested").to.equal(2n);
    }
    expect(world.outbox.unbatched(10)).to.deep.equal([]);
    for (const { args, transactionHash } of await world.settlement.queryFilter(
      world.settlement.filters.BatchSubmitted(),
    )) {
      for (const { receipt } of posted.get(args.batchId as Hex)!) {
        const place = {
          state: "final",
          batchId: args.batchId,
          blobId: args.batch.blobId,
          transaction: transactionHash,
        };
        expect(world.outbox.placeOf(receipt.requestId)).to.deep.equal(place);
      }
    }
  }

  for (const step of STEPS) {
    it(`after "${step}" loses nothing and posts nothing twice`, async () => {
      const receipts = await world.serve(3);
      await killedAt(step);
      await expectSettledOnce(receipts);
    });
  }

  it("leaves receipts that come while it is dead to the next", async () => {
    const receipts = await world.serve(3);
    await killedAt("stored");
    const later = await world.serve(1);
    await expectSettledOnce([...receipts, ...later]);
    expect((await world.posted()).size).to.equal(2);
  });

  it("with its transaction in the pool posts the batch once", async () => {
    const receipts = await world.serve(2);
    await world.chain.provider.send("evm_setAutomine", [false]);
    const submitter = await world.startSubmitter();
    const first = await world.settler({ submitter });
    await eventually(async () => (await poolContent(world)).length === 1);
    await submitter.stop();
    await first.stop();

    const asked = world.questions;
    const second = await world.settler();
    await eventually(() => world.questions > asked);
    await world.chain.provider.send("evm_setAutomine", [true]);
    await world.chain.provider.send("evm_mine", []);
    await second.idle();
    await expectSettledOnce(receipts);
  });
});

async function poolContent({ chain }: SettlementWorld): Promise<unknown[]> {
  const block = (await chain.provider.send("eth_getBlockByNumber", ["pending", false])) as { transactions: unknown[] };
  return block.transactions;
}
