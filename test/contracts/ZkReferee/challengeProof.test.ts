import { expect } from "chai";
import { concat, ethers } from "ethers";

import { toHex } from "../../../simulator/receipts/bytes.ts";
import { SumTree } from "../../../simulator/receipts/sumTree.ts";
import { committedProof, type TensorReceipt } from "../../../simulator/receipts/tensors.ts";
import type { Hex } from "../../../simulator/receipts/types.ts";
import { SCALAR_FIELD } from "../../../simulator/zkml/field.ts";
import {
  buildBatch,
  hexAddress,
  leafOf,
  post,
  postedBatch,
  signedReceipt,
  type BatchOptions,
  type BuiltBatch,
} from "../../support/batches.ts";
import { latestTimestamp } from "../../support/protocol.ts";
import { freshState } from "../../support/freshState.ts";
import { RefereeFault, Status } from "../../support/settlement.ts";
import { createZkWorld, provenReceipt, type ZkWorld } from "../../support/zkWorld.ts";

const committedBy = ({ tensors }: TensorReceipt): Hex => toHex(committedProof(tensors!.proof!, tensors!));

const challenge = (
  { referee, challenger }: ZkWorld,
  batch: BuiltBatch,
  index = 0,
  committed = committedBy(batch.receipts[index]!),
) => referee.connect(challenger).challengeProof(batch.header, leafOf(batch, index), committed);

/** A receipt that has nothing to do with zk. */
const plainReceipt = async (world: ZkWorld): Promise<TensorReceipt> =>
  signedReceipt(world, { servedAt: BigInt(await latestTimestamp(world)) - 5n });

/** Expects that the first receipt of a batch of `receipts` is shown to be proven wrongly. */
async function expectFault(world: ZkWorld, first: TensorReceipt): Promise<void> {
  const { referee, settlement } = world;
  const batch = await postedBatch(world, { seats: [], receipts: [first, await plainReceipt(world)] });
  await expect(challenge(world, batch)).to.emit(referee, "ReceiptRefuted");
  expect((await settlement.records(batch.id)).status).to.equal(Status.Rejected);
}

describe("ZkReferee.challengeProof", () => {
  const state = freshState(createZkWorld);

  describe("faults", () => {
    it("challengeProof_tamperedProof_slashesAndPaysTheChallenger", async () => {
      const world = state();
      const { referee, settlement, opg, challenger } = world;
      const right = await provenReceipt(world);
      const other = await provenReceipt(world, { input: 2 });
      const tensors = { ...right.tensors!, proof: other.tensors!.proof! };
      const batch = await postedBatch(world, { receipts: [{ ...right, tensors }, other] });
      const before = await opg.balanceOf(challenger);
      const tx = challenge(world, batch);
      await expect(tx).to.emit(settlement, "BatchProvenWrong");
      const [event] = await referee.queryFilter(referee.filters.ReceiptRefuted(batch.id));
      expect(event!.args.challenger).to.equal(challenger);
      expect(event!.args.fault).to.equal(RefereeFault.ProofInvalid);
      expect((await opg.balanceOf(challenger)) - before)
        .to.equal(event!.args.reward)
        .and.to.be.greaterThan(0n);
    });

    it("challengeProof_forAnotherRequest_isAFault", async () => {
      const world = state();
      await expectFault(world, await provenReceipt(world, { context: { requestId: ethers.id("other") as Hex } }));
    });

    it("challengeProof_forAnotherPayer_isAFault", async () => {
      const world = state();
      await expectFault(world, await provenReceipt(world, { context: { requester: await hexAddress(world.owner) } }));
    });

    it("challengeProof_forAnotherContract_isAFault", async () => {
      const world = state();
      await expectFault(world, await provenReceipt(world, { context: { consumer: await hexAddress(world.escrow) } }));
    });

    it("challengeProof_forAnotherChain_isAFault", async () => {
      const world = state();
      await expectFault(world, await provenReceipt(world, { context: { chainId: 8453n } }));
    });

    it("challengeProof_ofAnotherModel_isAFault", async () => {
      const world = state();
      const [first, second] = world.zkModels;
      const receipt = { modelId: first.modelId };
      const signed = await provenReceipt(world, { model: second, receipt, context: { modelId: first.modelId } });
      await expectFault(world, signed);
    });

    it("challengeProof_wordsThatAreNotTheHashes_isAFault", async () => {
      const world = state();
      for (const field of ["inputHash", "outputHash"] as const) {
        await expectFault(world, await provenReceipt(world, { receipt: { [field]: ethers.id("else") as Hex } }));
      }
    });

    it("challengeProof_tamperedOutput_isAFault", async () => {
      const world = state();
      const right = await provenReceipt(world);
      const outWords = [right.tensors!.outWords[0]! + 1n, right.tensors!.outWords[1]!];
      const outputHash = ethers.keccak256(concat(outWords.map((word) => ethers.toBeHex(word, 32)))) as Hex;
      const signed = signedReceipt(world, { ...right.receipt, outputHash });
      await expectFault(world, { ...signed, tensors: { ...right.tensors!, outWords } });
    });

    it("challengeProof_aliasedSignals_areAFault", async () => {
      const world = state();
      const right = await provenReceipt(world);
      const inWords = right.tensors!.inWords.map((word) => word + SCALAR_FIELD);
      const inputHash = ethers.keccak256(concat(inWords.map((word) => ethers.toBeHex(word, 32)))) as Hex;
      const signed = signedReceipt(world, { ...right.receipt, inputHash });
      await expectFault(world, { ...signed, tensors: { ...right.tensors!, inWords } });
    });

    it("challengeProof_garbageBesideTheReceipt_isAFault", async () => {
      const world = state();
      const receipts = [await provenReceipt(world), await plainReceipt(world)];
      const whole = committedBy(receipts[0]!);
      const garbage: Hex[] = [
        "0x",
        "0x02",
        ethers.hexlify(ethers.randomBytes(97)) as Hex,
        // whole, but for its first byte
        `0x03${whole.slice(4)}`,
        // a word short, and one too long
        whole.slice(0, -64) as Hex,
        `${whole}${"00".repeat(32)}`,
      ];
      for (const committed of garbage) {
        const batch = await withSibling(world, receipts, ethers.keccak256(committed) as Hex);
        await challenge(world, batch, 0, committed);
        expect((await world.settlement.records(batch.id)).status, committed).to.equal(Status.Rejected);
      }
    });
  });

  describe("refused", () => {
    it("challengeProof_honestReceipt_reverts", async () => {
      const world = state();
      const batch = await postedBatch(world, { receipts: [await provenReceipt(world), await provenReceipt(world)] });
      for (const index of [0, 1]) {
        await expect(challenge(world, batch, index)).to.be.revertedWithCustomError(world.referee, "NoFault");
      }
      expect((await world.settlement.records(batch.id)).punished).to.equal(false);
    });

    it("challengeProof_otherBytesThanTheSibling_reverts", async () => {
      const world = state();
      const receipts = [await provenReceipt(world), await provenReceipt(world)];
      const batch = await postedBatch(world, { receipts });
      for (const committed of ["0x", "0x02", committedBy(receipts[1]!)]) {
        await expect(challenge(world, batch, 0, committed as Hex)).to.be.revertedWithCustomError(
          world.referee,
          "ProofNotShown",
        );
      }
    });

    it("challengeProof_ofAReceiptWithoutAPlaceForOne_reverts", async () => {
      const world = state();
      const { receipt, signature, tensors } = await provenReceipt(world);
      const batch = await postedBatch(world, { receipts: [{ receipt, signature }] });
      await expect(
        challenge(world, batch, 0, committedBy({ receipt, signature, tensors })),
      ).to.be.revertedWithCustomError(world.referee, "ProofNotCommitted");
    });

    it("challengeProof_ofAPlainReceipt_reverts", async () => {
      const world = state();
      const batch = await postedBatch(world, {});
      await expect(challenge(world, batch, 0, "0x"))
        .to.be.revertedWithCustomError(world.referee, "NotZkml")
        .withArgs(0);
    });

    it("challengeProof_byAnySmallGasLimit_neverCondemnsAnHonestReceipt", async () => {
      const world = state();
      const { referee, challenger, settlement } = world;
      const receipts = [await provenReceipt(world), await plainReceipt(world)];
      const batch = await postedBatch(world, { receipts });
      const args = [batch.header, leafOf(batch, 0), committedBy(receipts[0]!)] as const;
      for (let gasLimit = 60_000n; gasLimit < 700_000n; gasLimit += 40_000n) {
        await expect(referee.connect(challenger).challengeProof(...args, { gasLimit })).to.revert(
          world.connection.ethers,
        );
      }
      expect((await settlement.records(batch.id)).punished).to.equal(false);
    });

    it("challengeProof_afterTheShapeWasRetired_reverts", async () => {
      const world = state();
      const right = await provenReceipt(world);
      const other = await provenReceipt(world, { input: 2 });
      const tensors = { ...right.tensors!, proof: other.tensors!.proof! };
      const batch = await postedBatch(world, { receipts: [{ ...right, tensors }, other] });
      await world.models.retireShape(1);
      await expect(challenge(world, batch)).to.be.revertedWithCustomError(world.models, "ShapeNotUsable");
    });
  });
});

/** A posted batch in whose tree something else stands beside the first receipt. */
async function withSibling(world: ZkWorld, receipts: TensorReceipt[], hash: Hex): Promise<BuiltBatch> {
  const options: BatchOptions = { receipts };
  const honest = await buildBatch(world, options);
  const tree = new SumTree(honest.tree.levels[0]!.map((node, i) => (i === 1 ? { ...node, hash } : node)));
  const header = { ...honest.header, root: tree.root.hash };
  const batch = { ...honest, tree, header, id: world.hasher.batchDigest(header) };
  await post(world, batch, []);
  return batch;
}
