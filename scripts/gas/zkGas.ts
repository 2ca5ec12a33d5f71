import { ethers, type ContractTransactionResponse } from "ethers";

import type { Hex } from "../../simulator/receipts/types.ts";
import { contextSignal } from "../../simulator/zkml/context.ts";
import { hexAddress } from "../../test/support/batches.ts";
import { increaseTime, opgWei, ZK_TERMS } from "../../test/support/protocol.ts";
import { randomModel } from "../../test/support/zk.ts";
import { forgedProof } from "../../test/support/zkForgery.ts";
import {
  createZkWorld,
  proofStruct,
  publishZkModel,
  registerZk,
  STEP_ENTRIES,
  usableZkModel,
  zkStep,
  zkVotes,
  type ZkModel,
  type ZkWorld,
} from "../../test/support/zkModels.ts";
import { DevelopmentShapeM__factory } from "../../typechain-types/index.ts";
import { tick } from "./clock.ts";
import type { GasMeter } from "./GasMeter.ts";

const BATCH = 16;

/** The zk functions of ModelRegistry, and proofs of shape S checked in whole transactions. */
export async function measureZk(gas: GasMeter): Promise<void> {
  const world = await createZkWorld();
  try {
    await tick(world);
    await world.settlement.snapshot();
    world.setId = 2;
    await measureRegistration(world, gas);
    await measureProofs(world, gas);
    await measureChallenge(world, gas);
    await measureShapes(world, gas);
  } finally {
    await world.connection.close();
  }
}

async function measureRegistration(world: ZkWorld, gas: GasMeter): Promise<void> {
  const { models, modelOwner, repositoryId } = world;
  const registry = models.connect(modelOwner);
  await gas.measure("ModelRegistry.depositZkBond", registry.depositZkBond(repositoryId, opgWei(2_000)));
  await gas.measure("ModelRegistry.withdrawZkBond", registry.withdrawZkBond(repositoryId, opgWei(100), modelOwner));
  const model = await publishZkModel(world);
  gas.row("zk.register", await gas.measure("ModelRegistry.registerZk", registerZk(world, model)));
  await increaseTime(world, ZK_TERMS.withdrawalDelay + 1);
  await gas.measure("ModelRegistry.withdrawZk", registry.withdrawZk(model.modelId));
  await registerZk(world, model);
  await renewSet(world);
  const { seats, signatures } = await zkVotes(world, model.modelId);
  await gas.measure("ModelRegistry.attestZk", registry.attestZk(model.modelId, world.setId, seats, signatures));
  await increaseTime(world, ZK_TERMS.accountability + 1);
  await gas.measure("ModelRegistry.releaseZkBond", registry.releaseZkBond(model.modelId));
  await renewSet(world);
}

async function renewSet(world: ZkWorld): Promise<void> {
  await tick(world);
  await world.settlement.snapshot();
  world.setId = Number((await world.settlement.state()).setId);
}

/** In a batch of many models each has to be looked up and its commitment multiplied; neighbours of one model share that. */
async function measureProofs(world: ZkWorld, gas: GasMeter): Promise<void> {
  const { zkml, challenger } = world;
  const models: ZkModel[] = [];
  for (let seed = 0; seed < BATCH; seed++) {
    models.push(await usableZkModel(world, { vector: randomModel(undefined, 50 + seed) }));
  }
  const consumer = await hexAddress(challenger);
  const answers = (of: (i: number) => ZkModel) =>
    Array.from({ length: BATCH }, (_, i) => provenAnswer(world, of(i), consumer, i));
  // views, sent as transactions: what they cost whoever calls nothing else
  const send = async (data: string) =>
    (await challenger.sendTransaction({ to: await zkml.getAddress(), data })) as ContractTransactionResponse;

  const { modelId, requestId, requester, inWords, outWords, proof } = provenAnswer(world, models[0]!, consumer, 99);
  const single = zkml.interface.encodeFunctionData("verify", [modelId, requestId, requester, inWords, outWords, proof]);
  if (!(await zkml.connect(challenger).verify(modelId, requestId, requester, inWords, outWords, proof))) {
    throw new Error("Expected the proof to hold");
  }
  gas.row("zk.single", await gas.measure("ZkmlVerifier.verify", send(single)));
  for (const [name, batch] of [
    ["16 models", answers((i) => models[i]!)],
    ["one model", answers(() => models[0]!)],
  ] as const) {
    if (!(await zkml.connect(challenger).verifyBatch(batch))) throw new Error("Expected the proofs to hold");
    const data = zkml.interface.encodeFunctionData("verifyBatch", [batch]);
    const used = await gas.measure(`ZkmlVerifier.verifyBatch (16 proofs, ${name})`, send(data));
    gas.row(name === "one model" ? "zk.batch16" : "zk.batch16Models", used / BATCH);
  }
}

/** Numbers as large as any tensor's: words without zero bytes are the dearest. */
function provenAnswer({ keyS, payer }: ZkWorld, { modelId, commitment }: ZkModel, consumer: Hex, number: number) {
  const request = { modelId, requestId: ethers.id(`request ${number}`) as Hex, requester: payer };
  const context = contextSignal({ chainId: 31337n, consumer, ...request });
  const word = (name: string, bits: bigint) => BigInt(ethers.id(`${name} ${number}`)) >> (256n - bits);
  const inWords = [word("in", 240n)];
  const outWords = [word("out 0", 248n), word("out 1", 248n)];
  const proof = forgedProof(keyS, commitment, [...outWords, context, ...inWords], number);
  return { ...request, inWords, outWords, proof: proofStruct(proof) };
}

/** Proves an attested commitment wrong that four verifiers approved. */
async function measureChallenge(world: ZkWorld, gas: GasMeter): Promise<void> {
  const { keyS } = world;
  const model = await usableZkModel(world, { commitment: keyS.ic[0]! });
  const step = gas.measure("ModelRegistry.accumulateZk (1,024 entries)", zkStep(world, model, 0, STEP_ENTRIES));
  gas.row("zk.accumulate", (await step) / STEP_ENTRIES);
  await zkStep(world, model, STEP_ENTRIES, STEP_ENTRIES);
  const done = 2 * STEP_ENTRIES;
  await gas.measure(
    "ModelRegistry.accumulateZk (82 entries, last, four voters slashed)",
    zkStep(world, model, done, model.vector.length - done),
  );
}

async function measureShapes({ models, owner, accounts }: ZkWorld, gas: GasMeter): Promise<void> {
  const heir = accounts[8]!;
  const verifier = await new DevelopmentShapeM__factory(owner).deploy();
  await gas.measure("ModelRegistry.addShape", models.addShape(verifier));
  await gas.measure("ModelRegistry.retireShape", models.retireShape(2));
  await gas.measure("ModelRegistry.transferOwnership", models.transferOwnership(heir));
  await gas.measure("ModelRegistry.acceptOwnership (of the shapes)", models.connect(heir)["acceptOwnership()"]());
  await gas.measure("ModelRegistry.renounceOwnership", models.connect(heir).renounceOwnership());
}
