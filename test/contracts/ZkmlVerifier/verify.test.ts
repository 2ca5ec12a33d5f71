import { expect } from "chai";
import { AbiCoder, ethers, keccak256 } from "ethers";

import type { Hex } from "../../../simulator/receipts/types.ts";
import { contextSignal, type ProofContext } from "../../../simulator/zkml/context.ts";
import { SCALAR_FIELD } from "../../../simulator/zkml/field.ts";
import { hexAddress } from "../../support/batches.ts";
import { freshState } from "../../support/freshState.ts";
import { provedSample } from "../../support/zk.ts";
import { rerandomised } from "../../support/zkForgery.ts";
import {
  attestZk,
  challengeZk,
  proofStruct,
  publishZkModel,
  registerZk,
  usableZkModel,
} from "../../support/zkModels.ts";
import { answerTo, createStage, isProven, type Answer } from "./stage.ts";

const OTHER: Hex = `0x${"0c".repeat(20)}`;

describe("ZkmlVerifier.verify", () => {
  const state = freshState(createStage);

  it("verify_answerOfTheProver_isProven", async () => {
    const stage = state();
    const { modelId, vector } = stage.zkModels[0];
    const requestId = ethers.id("real") as Hex;
    const requester = stage.payer;
    const context: ProofContext = { chainId: 31337n, consumer: stage.consumer, requestId, modelId, requester };
    const { outWords, inWords, proof } = await provedSample({ context, vector });
    expect(await isProven(stage, { modelId, requestId, requester, inWords, outWords, proof })).to.equal(true);
    const tampered = outWords.with(0, outWords[0]! ^ 1n);
    expect(await isProven(stage, { modelId, requestId, requester, inWords, outWords: tampered, proof })).to.equal(
      false,
    );
  });

  it("verify_anythingElseThanWasProven_isFalse", async () => {
    const stage = state();
    const answer = answerTo(stage, 1);
    expect(await isProven(stage, answer)).to.equal(true);
    const others: Record<string, Partial<Answer>> = {
      model: { modelId: stage.zkModels[1].modelId },
      request: { requestId: ethers.id("request 2") as Hex },
      requester: { requester: OTHER },
      input: { inWords: [answer.inWords[0]! + 1n] },
      output: { outWords: answer.outWords.with(1, 0n) },
      "order of outputs": { outWords: answer.outWords.toReversed() },
    };
    for (const [what, other] of Object.entries(others)) {
      expect(await isProven(stage, { ...answer, ...other }), what).to.equal(false);
    }
  });

  it("verify_proofForAnotherContract_isFalse", async () => {
    const stage = state();
    const answer = answerTo(stage, 1, { consumer: OTHER });
    expect(await isProven(stage, answer)).to.equal(false);
  });

  it("verify_proofForAnotherChain_isFalse", async () => {
    const stage = state();
    for (const chainId of [1n, 8453n, 1337n]) {
      expect(await isProven(stage, answerTo(stage, 1, { chainId }))).to.equal(false);
    }
  });

  it("verify_proofOfAnotherModelUnderThisOnesName_isFalse", async () => {
    const stage = state();
    const { commitment } = stage.zkModels[1];
    expect(await isProven(stage, answerTo(stage, 1, { proven: { commitment } }))).to.equal(false);
  });

  it("verify_sameWeightsInAnotherVersion_isAnotherModel", async () => {
    const stage = state();
    const copy = await usableZkModel(stage);
    expect(copy.commitment).to.deep.equal(stage.zkModels[0].commitment);
    expect(await isProven(stage, { ...answerTo(stage, 1), modelId: copy.modelId })).to.equal(false);
  });

  it("verify_aliasedWords_areFalse", async () => {
    const stage = state();
    const answer = answerTo(stage, 1);
    expect(await isProven(stage, { ...answer, inWords: [answer.inWords[0]! + SCALAR_FIELD] })).to.equal(false);
    const outWords = answer.outWords.with(0, answer.outWords[0]! + SCALAR_FIELD);
    expect(await isProven(stage, { ...answer, outWords })).to.equal(false);
  });

  it("verify_wordsMovedAcrossTheContext_areFalse", async () => {
    // the signals would be the same four, with a word of the caller's where the context belongs
    const stage = state();
    const { modelId, requestId, requester, ...answer } = answerTo(stage, 1);
    const context = contextSignal({ chainId: 31337n, consumer: stage.consumer, requestId, modelId, requester });
    for (const moved of [
      { outWords: answer.outWords.slice(0, 1), inWords: [answer.outWords[1]!, context] },
      { outWords: [...answer.outWords, context], inWords: [] },
      { outWords: [...answer.outWords, context, ...answer.inWords], inWords: [] },
      { outWords: [], inWords: [...answer.outWords, context] },
    ]) {
      expect(await isProven(stage, { ...answer, modelId, requestId, requester, ...moved })).to.equal(false);
    }
  });

  it("verify_remadeProof_isStillOne", async () => {
    // which is why no proof may serve as a nullifier
    const stage = state();
    const answer = answerTo(stage, 1);
    expect(await isProven(stage, { ...answer, proof: rerandomised(answer.proof) })).to.equal(true);
  });

  it("verify_beforeAttestation_reverts", async () => {
    const stage = state();
    const model = await publishZkModel(stage);
    const answer = { ...answerTo(stage, 1), modelId: model.modelId };
    await expect(isProven(stage, answer))
      .to.be.revertedWithCustomError(stage.models, "ZkNotUsable")
      .withArgs(model.modelId, 0n);
    await registerZk(stage, model);
    await expect(isProven(stage, answer))
      .to.be.revertedWithCustomError(stage.models, "ZkNotUsable")
      .withArgs(model.modelId, 1n);
    await attestZk(stage, model.modelId);
    expect(await isProven(stage, answer)).to.equal(false);
  });

  it("verify_afterTheCommitmentWasProvenWrong_reverts", async () => {
    const stage = state();
    const model = await usableZkModel(stage, { commitment: stage.zkModels[1].commitment });
    await challengeZk(stage, model);
    await expect(isProven(stage, { ...answerTo(stage, 1), modelId: model.modelId }))
      .to.be.revertedWithCustomError(stage.models, "ZkNotUsable")
      .withArgs(model.modelId, 4n);
  });

  it("verify_ofARetiredShape_reverts", async () => {
    const stage = state();
    await stage.models.retireShape(1);
    await expect(isProven(stage, answerTo(stage, 1)))
      .to.be.revertedWithCustomError(stage.models, "ShapeNotUsable")
      .withArgs(1n);
  });

  it("verifyFor_aConsumer_isWhatThatConsumerWouldBeTold", async () => {
    const stage = state();
    const { zkml, owner } = stage;
    const { modelId, requestId, requester, inWords, outWords, proof } = answerTo(stage, 1);
    const words = [modelId, requestId, requester, inWords, outWords, proofStruct(proof)] as const;
    expect(await zkml.connect(owner).verifyFor(stage.consumer, ...words)).to.equal(true);
    expect(await zkml.connect(owner).verifyFor(await hexAddress(owner), ...words)).to.equal(false);
    expect(await zkml.connect(owner).verify(...words)).to.equal(false);
  });

  it("contextOf_aRequest_isTheHashThatProversTake", async () => {
    const { zkml, consumer, payer, zkModels } = state();
    const requestId = ethers.id("request") as Hex;
    const { modelId } = zkModels[0];
    const encoded = AbiCoder.defaultAbiCoder().encode(
      ["uint256", "address", "bytes32", "bytes32", "address"],
      [31337n, consumer, requestId, modelId, payer],
    );
    const context = await zkml.contextOf(consumer, requestId, modelId, payer);
    expect(context).to.equal(BigInt(keccak256(encoded)) % SCALAR_FIELD);
    expect(context).to.equal(contextSignal({ chainId: 31337n, consumer, requestId, modelId, requester: payer }));
  });
});
