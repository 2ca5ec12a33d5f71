import { ethers, type Signer } from "ethers";

import { toHex } from "../../simulator/receipts/bytes.ts";
import { committedProof, type TensorReceipt } from "../../simulator/receipts/tensors.ts";
import { Mode, type Hex, type Receipt } from "../../simulator/receipts/types.ts";
import { buildBatch, compactSignature, hexAddress, leafOf, post, signedReceipt } from "../../test/support/batches.ts";
import { opgWei } from "../../test/support/protocol.ts";
import {
  createZkWorld,
  provenArguments,
  provenReceipt,
  refutation,
  tensorArguments,
  type ProvenOptions,
  type ZkWorld,
} from "../../test/support/zkWorld.ts";
import { tick } from "./clock.ts";
import type { GasMeter } from "./GasMeter.ts";

const BATCH = 16;

/** What zk proofs do in settlement and escrow; models of shape S. */
export async function measureReferee(gas: GasMeter): Promise<void> {
  const world = await createZkWorld();
  try {
    await tick(world);
    await world.settlement.snapshot();
    world.setId = Number((await world.settlement.state()).setId);
    await measureSettling(world, gas);
    await measureChallenges(world, gas);
    await measureEscrow(world, gas);
  } finally {
    await world.connection.close();
  }
}

async function posted(world: ZkWorld, make: () => Promise<TensorReceipt[]>) {
  await tick(world);
  const batch = await buildBatch(world, { receipts: await make() });
  await post(world, batch, []);
  return batch;
}

const proven = (world: ZkWorld, options: ProvenOptions = {}) => provenReceipt(world, { ...options, forged: true });

async function measureSettling(world: ZkWorld, gas: GasMeter): Promise<void> {
  for (const size of [1, BATCH]) {
    const batch = await posted(world, async () => {
      const receipts: TensorReceipt[] = [];
      for (let input = 0; input < size; input++) receipts.push(await proven(world, { input }));
      return receipts;
    });
    await gas.measure(
      `ZkReferee.settleProven (${size})`,
      world.referee.settleProven(batch.header, [...batch.royalties], provenArguments(batch)),
    );
  }
}

async function measureChallenges(world: ZkWorld, gas: GasMeter): Promise<void> {
  const { challenger } = world;
  const referee = world.referee.connect(challenger);
  const bare = await posted(world, async () => {
    const { receipt, signature } = await proven(world);
    return [{ receipt, signature }];
  });
  await gas.measure("ZkReferee.challengeMissingProof", referee.challengeMissingProof(bare.header, leafOf(bare, 0)));
  const requestId = ethers.id("another request") as Hex;
  const bad = await posted(world, async () => [await proven(world, { context: { requestId } })]);
  const { tensors } = bad.receipts[0]!;
  await gas.measure(
    "ZkReferee.challengeProof",
    referee.challengeProof(bad.header, leafOf(bad, 0), toHex(committedProof(tensors!.proof!, tensors!))),
  );
  const wrong = await posted(world, async () => {
    const { receipt } = await proven(world);
    const outputHash = ethers.id("wrong output") as Hex;
    return [signedReceipt(world, { ...receipt, mode: Mode.Vanilla, outputHash })];
  });
  const { inWords, outWords, proof } = await refutation(world, wrong.receipts[0]!.receipt, challenger, {
    forged: true,
  });
  await gas.measure("ZkReferee.refute", referee.refute(wrong.header, leafOf(wrong, 0), inWords, outWords, proof));
}

async function measureEscrow(world: ZkWorld, gas: GasMeter): Promise<void> {
  const { escrow, modelOwner, operatorAddress, zkModels } = world;
  const payer: Signer = world.bystanders[3]!;
  const answerTo = async (label: string) => {
    const now = await tick(world);
    const { receipt: probe } = await proven(world);
    const request = {
      payer: await hexAddress(payer),
      operator: operatorAddress,
      modelId: zkModels[0].modelId,
      inputHash: probe.inputHash,
      inputBlobId: ethers.id("input blob"),
      maxFee: opgWei("1.0123456789"),
      deadline: now + 600,
      mode: Mode.Zkml,
      royaltyTo: await hexAddress(modelOwner),
      royaltyBps: 1_000,
      salt: ethers.id(label),
    };
    await escrow.connect(payer).lock(request);
    const receipt: Partial<Receipt> = {
      requestId: (await escrow.requestIdOf(request)) as Hex,
      payer: request.payer,
      fee: request.maxFee,
      servedAt: BigInt(await tick(world)),
    };
    const answer = await proven(world, { receipt, context: { consumer: await hexAddress(escrow) } });
    const { inWords, outWords, proof } = tensorArguments(answer);
    const { fee, servedAt } = answer.receipt;
    const sig = compactSignature(answer.signature);
    return escrow.fulfilWithProof(request, inWords, outWords, proof, ethers.id("blob"), fee, servedAt, sig);
  };
  // credits are non-zero from the first on
  await answerTo("first");
  await gas.measure("InferenceEscrow.fulfilWithProof", answerTo("second"));
}
