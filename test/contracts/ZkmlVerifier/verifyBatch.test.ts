import { expect } from "chai";
import { ethers } from "ethers";

import type { Hex } from "../../../simulator/receipts/types.ts";
import { commitmentOf } from "../../../simulator/zkml/commitment.ts";
import { contextSignal } from "../../../simulator/zkml/context.ts";
import { SHAPES } from "../../../simulator/zkml/shape.ts";
import { DevelopmentShapeM__factory } from "../../../typechain-types/index.ts";
import { freshState } from "../../support/freshState.ts";
import { developmentKey, randomModel } from "../../support/zk.ts";
import { forgedProof } from "../../support/zkForgery.ts";
import { publishZkModel, usableZkModel } from "../../support/zkModels.ts";
import { answerTo, areProven, createStage, structOf, type Answer, type Stage } from "./stage.ts";

const OTHER: Hex = `0x${"0c".repeat(20)}`;

const answersOf = (stage: Stage, models: readonly (0 | 1)[]): Answer[] =>
  models.map((model, i) => answerTo(stage, 10 + i, { model }));

describe("ZkmlVerifier.verifyBatch", () => {
  const state = freshState(createStage);

  it("verifyBatch_answersOfSeveralModels_areProven", async () => {
    const stage = state();
    for (const models of [[0], [1, 1], [0, 1, 0, 1], [0, 0, 0, 1, 1, 0]] as (0 | 1)[][]) {
      expect(await areProven(stage, answersOf(stage, models))).to.equal(true);
    }
  });

  it("verifyBatch_oneWrongInAnyPlace_isFalse", async () => {
    const stage = state();
    const answers = answersOf(stage, [0, 0, 1]);
    for (let i = 0; i < answers.length; i++) {
      const answer = answers[i]!;
      for (const change of [
        { requestId: ethers.id("another") as Hex },
        { requester: OTHER },
        { inWords: [answer.inWords[0]! + 1n] },
        { outWords: answer.outWords.with(0, 0n) },
        { modelId: stage.zkModels[answer.modelId === stage.zkModels[0].modelId ? 1 : 0].modelId },
        { proof: answers[(i + 1) % 3]!.proof },
        { inWords: [] },
        { outWords: [...answer.outWords, 0n] },
      ]) {
        expect(await areProven(stage, answers.with(i, { ...answer, ...change })), `answer ${i}`).to.equal(false);
      }
    }
  });

  it("verifyBatch_noAnswers_isFalse", async () => {
    expect(await areProven(state(), [])).to.equal(false);
  });

  it("verifyBatch_modelNobodyAttested_revertsWhateverTheProofs", async () => {
    const stage = state();
    const { modelId } = await publishZkModel(stage);
    const answers = answersOf(stage, [0, 1]);
    const bad = { ...answers[0]!, outWords: [0n, 0n] };
    await expect(areProven(stage, [bad, { ...answers[1]!, modelId }]))
      .to.be.revertedWithCustomError(stage.models, "ZkNotUsable")
      .withArgs(modelId, 0n);
  });

  it("verifyBatchFor_aConsumer_isWhatThatConsumerWouldBeTold", async () => {
    const stage = state();
    const { zkml, owner } = stage;
    const answers = answersOf(stage, [0, 1]).map(structOf);
    expect(await zkml.connect(owner).verifyBatchFor(stage.consumer, answers)).to.equal(true);
    expect(await zkml.connect(owner).verifyBatchFor(owner, answers)).to.equal(false);
    expect(await zkml.connect(owner).verifyBatch(answers)).to.equal(false);
  });

  it("verifyBatch_modelsOfSeveralShapes_areProven", async () => {
    const stage = state();
    const shape = SHAPES.M;
    const { key } = await developmentKey(shape);
    await stage.models.addShape(await new DevelopmentShapeM__factory(stage.owner).deploy());
    const vector = randomModel(shape);
    const commitment = commitmentOf(key, vector);
    const manifest = { shape: 2, inputs: 32, outputs: 16 };
    const { modelId } = await usableZkModel(stage, { vector, commitment, manifest });
    const [first, second] = answersOf(stage, [0, 1]) as [Answer, Answer];
    const request = { modelId, requestId: ethers.id("M") as Hex, requester: stage.payer };
    const context = contextSignal({ chainId: 31337n, consumer: stage.consumer, ...request });
    const [inWords, outWords] = [
      [1n, 2n],
      [3n, 4n],
    ];
    const proof = forgedProof(key, commitment, [...outWords, context, ...inWords]);
    const wide: Answer = { ...request, inWords, outWords, proof };
    expect(await areProven(stage, [first, wide, second])).to.equal(true);
    expect(await areProven(stage, [wide, wide, first])).to.equal(true);
    expect(await areProven(stage, [first, { ...wide, outWords: [3n, 5n] }, second])).to.equal(false);
    expect(await areProven(stage, [first, wide, { ...second, outWords: [3n, 5n] }])).to.equal(false);
  });
});
