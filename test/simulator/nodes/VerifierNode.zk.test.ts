import { expect } from "chai";

import type { TensorReceipt } from "../../../simulator/receipts/tensors.ts";
import { Mode, type Hex } from "../../../simulator/receipts/types.ts";
import { tensorHash } from "../../../simulator/zkml/tensorHash.ts";
import { BlobReader } from "../../../simulator/verification/BlobReader.ts";
import { Refuter } from "../../../simulator/verification/Refuter.ts";
import { ChainZkModels } from "../../../simulator/verification/ZkModels.ts";
import { post, signedReceipt, type BuiltBatch } from "../../support/batches.ts";
import { Status } from "../../support/settlement.ts";
import { developmentKey, prover } from "../../support/zk.ts";
import { createZkWorld, provenReceipt, type ZkWorld } from "../../support/zkWorld.ts";
import { createVerifierWorld, eventually, type VerifierWorld } from "../verification/verifierWorld.ts";

describe("VerifierNode: zk proofs", () => {
  let zkWorld: ZkWorld;
  let world: VerifierWorld;

  before(async () => {
    zkWorld = await createZkWorld();
    world = await createVerifierWorld(Promise.resolve(zkWorld));
    for (const { blob } of zkWorld.zkModels) await world.blobs.put(blob);
    const { chain, contracts, blobs } = world;
    const zk = new ChainZkModels({
      provider: chain.provider,
      models: contracts.models,
      reader: new BlobReader({ blobs }),
      keyOf: developmentKey,
    });
    const refuter = new Refuter({ chainId: chain.chainId, models: zk, prover });
    await world.startAll({ zk, refuter });
  });

  after(async () => {
    await world.close();
    await zkWorld.connection.close();
  });

  const built = (receipts: TensorReceipt[]) => world.build({ receipts });

  /** Waits until a batch is punished once, by one verifier that has the reward. */
  async function expectChallenged({ id }: BuiltBatch, fault: string, method: string): Promise<void> {
    await eventually(async () => (await world.settlement.records(id)).punished, "punished", 90_000);
    await eventually(() => world.running.every((node) => node.isIdle), "idle", 90_000);
    const challenges = world.told("challenged").filter(({ batchId }) => batchId === id);
    expect(challenges.map((challenge) => [challenge.fault, challenge.method])).to.deep.equal([[fault, method]]);
    const [event] = await world.referee.queryFilter(world.referee.filters.ReceiptRefuted(id));
    expect(event!.args.reward).to.be.greaterThan(0n);
    expect(event!.transactionHash).to.equal(challenges[0]!.transactionHash);
  }

  it("votes for a batch whose proofs hold", async () => {
    const batch = await built([await provenReceipt(zkWorld), await provenReceipt(zkWorld, { input: 2 })]);
    for (const node of world.running) await node.vote(batch.header);
    await post(world, batch);
    expect((await world.settlement.records(batch.id)).status).to.equal(Status.Attested);
  }).timeout(120_000);

  it("refuses a batch with a proof for another request, and proves it wrong when it is posted", async () => {
    const requestId: Hex = `0x${"77".repeat(32)}`;
    const batch = await built([await provenReceipt(zkWorld), await provenReceipt(zkWorld, { context: { requestId } })]);
    const refusal: unknown = await world.running[0]!.vote(batch.header).catch((error: unknown) => error);
    expect(refusal).to.include({ code: "faulty_batch" });
    await post(world, batch, []);
    await expectChallenged(batch, "proof-invalid", "challengeProof");
  }).timeout(120_000);

  it("proves a batch wrong whose receipt has no proof", async () => {
    const { receipt, signature } = await provenReceipt(zkWorld);
    const batch = await built([{ receipt, signature }]);
    await post(world, batch, []);
    await expectChallenged(batch, "proof-missing", "challengeMissingProof");
  }).timeout(120_000);

  it("refutes the wrong output of a VANILLA receipt with a proof of the right one", async () => {
    const { receipt, tensors } = await provenReceipt(zkWorld);
    const outWords = [tensors!.outWords[0]! + 1n, tensors!.outWords[1]!];
    const wrong = {
      ...signedReceipt(world, { ...receipt, mode: Mode.Vanilla, outputHash: tensorHash(outWords) }),
      tensors: { inWords: tensors!.inWords, outWords },
    };
    const batch = await built([wrong]);
    await post(world, batch, []);
    await expectChallenged(batch, "output-refuted", "refute");
  }).timeout(120_000);
});
