import { expect } from "chai";
import { ethers, type BaseWallet } from "ethers";

import { Mode, type Hex } from "../../../simulator/receipts/types.ts";
import type { ProofContext } from "../../../simulator/zkml/context.ts";
import { SHAPES } from "../../../simulator/zkml/shape.ts";
import { tensorHash } from "../../../simulator/zkml/tensorHash.ts";
import { contractProof } from "../../../simulator/verification/challenge.ts";
import { InferenceEscrow__factory } from "../../../typechain-types/index.ts";
import { hexAddress } from "../../support/batches.ts";
import {
  answerTo,
  fulfil,
  LockStatus,
  requestOf,
  signReceipt,
  type Answer,
  type EscrowParts,
  type EscrowRequest,
} from "../../support/escrow.ts";
import { freshState } from "../../support/freshState.ts";
import { increaseTime, opgWei, registerNode, testKey } from "../../support/protocol.ts";
import { provedSample, randomInputs } from "../../support/zk.ts";
import type { Stage } from "../../support/stage.ts";
import { createZkWorld, type ZkTestModel, type ZkWorld } from "../../support/zkWorld.ts";

type ZkStage = EscrowParts & Pick<ZkWorld, "zkModels" | "hasher"> & Pick<Stage, "stranger">;

async function createStage(): Promise<ZkStage> {
  const world = await createZkWorld();
  const signers = await world.connection.ethers.getSigners();
  const [operator, modelOwner, payer, relayer, stranger] = [1, 4, 11, 12, 13].map((i) => signers[i]!);
  return {
    ...world,
    operator: operator!,
    modelOwner: modelOwner!,
    payer: payer!,
    relayer: relayer!,
    stranger: stranger!,
    modelId: world.zkModels[0].modelId,
    key: world.nodeKey,
  };
}

const inputWordsOf = async (input: number) => (await sample({ input })).inWords;

/** What the first model answers, with a proof for whatever `context` says. */
const sample = ({
  input = 1,
  model,
  context = {},
}: {
  input?: number;
  model?: ZkTestModel;
  context?: Partial<ProofContext>;
}) =>
  provedSample({
    ...(model && { vector: model.vector }),
    inputs: randomInputs(SHAPES.S, input),
    context: { ...NOTHING, ...context },
  });

const NOTHING: ProofContext = {
  chainId: 31337n,
  consumer: `0x${"00".repeat(20)}`,
  requestId: `0x${"00".repeat(32)}`,
  modelId: `0x${"00".repeat(32)}`,
  requester: `0x${"00".repeat(20)}`,
};

async function zkRequest(stage: ZkStage, change: Partial<EscrowRequest> = {}, label?: string): Promise<EscrowRequest> {
  const inputHash = tensorHash(await inputWordsOf(1));
  const request = await requestOf(stage, { mode: Mode.Zkml, inputHash, maxFee: opgWei(10), ...change }, label);
  await stage.escrow.connect(stage.payer).lock(request);
  return request;
}

/** The proof that an honest operator makes for a request. */
async function proofFor(
  { escrow, zkModels, hasher }: ZkStage,
  request: EscrowRequest,
  context: Partial<ProofContext> = {},
  model = zkModels[0],
) {
  return sample({
    model,
    context: {
      chainId: hasher.domain.chainId,
      consumer: await hexAddress(escrow),
      requestId: (await escrow.requestIdOf(request)) as Hex,
      modelId: request.modelId as Hex,
      requester: request.payer.toLowerCase() as Hex,
      ...context,
    },
  });
}

type Proof = Awaited<ReturnType<typeof proofFor>>;

async function fulfilWithProof(
  stage: ZkStage,
  request: EscrowRequest,
  proof: Proof,
  { answer = {}, signer }: { answer?: Partial<Answer>; signer?: BaseWallet } = {},
) {
  const given = await answerTo(stage, { outputHash: tensorHash(proof.outWords), ...answer });
  const sig = await signReceipt(stage, request, given, signer && { signer });
  const { outputBlobId, fee, servedAt } = given;
  return stage.escrow
    .connect(stage.relayer)
    .fulfilWithProof(
      request,
      proof.inWords,
      proof.outWords,
      contractProof(proof.proof),
      outputBlobId,
      fee,
      servedAt,
      sig,
    );
}

describe("InferenceEscrow.fulfilWithProof", () => {
  const state = freshState(createStage);

  it("fulfilWithProof_rightAnswer_paysEveryone", async () => {
    const stage = state();
    const { escrow, operator, modelOwner, payer, key } = stage;
    const request = await zkRequest(stage);
    const proof = await proofFor(stage, request);
    const requestId = await escrow.requestIdOf(request);
    await expect(fulfilWithProof(stage, request, proof, { answer: { fee: opgWei(4) } }))
      .to.emit(escrow, "RequestFulfilled")
      .withArgs(requestId, key, tensorHash(proof.outWords), ethers.id("output blob"), opgWei(4));
    expect((await escrow.locks(requestId)).status).to.equal(LockStatus.Fulfilled);
    expect(await escrow.credits(operator)).to.equal(opgWei("3.56"));
    expect(await escrow.credits(modelOwner)).to.equal(opgWei("0.4"));
    expect(await escrow.protocolCredit()).to.equal(opgWei("0.04"));
    expect(await escrow.credits(payer)).to.equal(opgWei(6));
  });

  it("fulfil_requestOfModeZkml_revertsWithoutAProof", async () => {
    const stage = state();
    const request = await zkRequest(stage);
    const { outWords } = await proofFor(stage, request);
    const answer = await answerTo(stage, { outputHash: tensorHash(outWords) });
    await expect(fulfil(stage, request, answer)).to.be.revertedWithCustomError(stage.escrow, "ProofRequired");
  });

  it("fulfilWithProof_requestOfAnotherMode_reverts", async () => {
    const stage = state();
    const request = await zkRequest(stage, { mode: Mode.Vanilla });
    await expect(fulfilWithProof(stage, request, await proofFor(stage, request)))
      .to.be.revertedWithCustomError(stage.escrow, "ModeNotAllowed")
      .withArgs(0, 2);
  });

  it("lock_modeZkmlOfAModelWithoutCommitment_reverts", async () => {
    const stage = state();
    const { models, escrow } = stage;
    await models.connect(stage.modelOwner).createRepository("plain", "MIT", "");
    const terms = { contentHash: ethers.id("c"), blobId: ethers.id("b"), price: 0n, royaltyBps: 0, modes: 1 };
    await models.connect(stage.modelOwner).publishVersion(await models.repositoryCount(), terms);
    const modelId = await models.modelIdOf(await models.repositoryCount(), 1);
    await expect(zkRequest(stage, { modelId, royaltyBps: 0 }))
      .to.be.revertedWithCustomError(escrow, "ModeNotAllowed")
      .withArgs(Mode.Zkml, 1);
  });

  it("fulfilWithProof_proofForSomethingElse_reverts", async () => {
    const stage = state();
    const { escrow, zkModels, settlement } = stage;
    const request = await zkRequest(stage);
    const other = await zkRequest(stage, {}, "another");
    const requestId = await escrow.requestIdOf(request);
    const contexts: Partial<ProofContext>[] = [
      { requestId: (await escrow.requestIdOf(other)) as Hex },
      { consumer: await hexAddress(settlement) },
      { requester: await hexAddress(stage.operator) },
      { chainId: 8453n },
      { modelId: zkModels[1].modelId },
    ];
    for (const context of contexts) {
      await expect(fulfilWithProof(stage, request, await proofFor(stage, request, context)))
        .to.be.revertedWithCustomError(escrow, "InvalidProof")
        .withArgs(requestId);
    }
    const ofAnotherModel = await proofFor(stage, request, {}, zkModels[1]);
    await expect(fulfilWithProof(stage, request, ofAnotherModel))
      .to.be.revertedWithCustomError(escrow, "InvalidProof")
      .withArgs(requestId);
    expect((await escrow.locks(requestId)).status).to.equal(LockStatus.Locked);
  });

  it("fulfilWithProof_inAnotherEscrow_reverts", async () => {
    const stage = state();
    const { opg, nodes, models, zkml, escrow, owner, payer } = stage;
    const twin = await new InferenceEscrow__factory(owner).deploy(
      opg,
      nodes,
      models,
      zkml,
      await escrow.receiptDomain(),
      owner,
      100,
    );
    await opg.connect(payer).approve(twin, ethers.MaxUint256);
    const request = await zkRequest(stage);
    const proof = await proofFor(stage, request);
    await twin.connect(payer).lock(request);
    const there = { ...stage, escrow: twin };
    await expect(fulfilWithProof(there, request, proof)).to.be.revertedWithCustomError(twin, "InvalidProof");
  });

  it("fulfilWithProof_inputThatWasNotAskedFor_reverts", async () => {
    const stage = state();
    const request = await zkRequest(stage);
    const proof = await proofFor(stage, request);
    const inWords = proof.inWords.map((word) => word ^ 1n);
    await expect(fulfilWithProof(stage, request, { ...proof, inWords })).to.be.revertedWithCustomError(
      stage.escrow,
      "InputMismatch",
    );
  });

  it("fulfilWithProof_tamperedOutput_reverts", async () => {
    const stage = state();
    const request = await zkRequest(stage);
    const proof = await proofFor(stage, request);
    const outWords = [proof.outWords[0]! ^ 1n, proof.outWords[1]!];
    await expect(fulfilWithProof(stage, request, { ...proof, outWords })).to.be.revertedWithCustomError(
      stage.escrow,
      "InvalidProof",
    );
  });

  it("fulfilWithProof_signedByAnybodyElse_reverts", async () => {
    const stage = state();
    const { escrow, operator, stranger } = stage;
    const request = await zkRequest(stage);
    const proof = await proofFor(stage, request);
    const key = testKey(90);
    await registerNode(stage, stranger, key);
    for (const signer of [key, testKey(91)]) {
      await expect(fulfilWithProof(stage, request, proof, { signer }))
        .to.be.revertedWithCustomError(escrow, "InvalidSigner")
        .withArgs(signer.address, operator);
    }
  });

  it("fulfilWithProof_twice_reverts", async () => {
    const stage = state();
    const request = await zkRequest(stage);
    const proof = await proofFor(stage, request);
    await fulfilWithProof(stage, request, proof);
    await expect(fulfilWithProof(stage, request, proof))
      .to.be.revertedWithCustomError(stage.escrow, "WrongStatus")
      .withArgs(LockStatus.Fulfilled);
  });

  it("fulfilWithProof_modelThatCannotBeUsedAnyMore_revertsAndIsRefunded", async () => {
    const stage = state();
    const { escrow, models, payer } = stage;
    const request = await zkRequest(stage);
    const proof = await proofFor(stage, request);
    await models.retireShape(1);
    await expect(fulfilWithProof(stage, request, proof)).to.be.revertedWithCustomError(models, "ShapeNotUsable");
    await increaseTime(stage, 3_601);
    await escrow.refund(request);
    expect(await escrow.credits(payer)).to.equal(request.maxFee);
  });
});
