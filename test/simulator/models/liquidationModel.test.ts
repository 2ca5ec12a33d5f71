import { readFile } from "node:fs/promises";

import { expect } from "chai";
import { z } from "zod";

import { FEATURES } from "../../../scripts/training/lendingPositions.ts";
import { type TrainedModel, trainLiquidationModel } from "../../../scripts/training/liquidationModel.ts";
import { LIQUIDATION_RISK_MODEL } from "../../../simulator/models/liquidationRisk.ts";
import { OnnxModel } from "../../../simulator/models/OnnxModel.ts";

describe("liquidation-risk model", () => {
  let trained: TrainedModel;
  let model: OnnxModel;
  const risks = async (positions: number[][]) =>
    z
      .object({ risk: z.array(z.tuple([z.number()])) })
      .parse(await model.run({ positions }))
      .risk.map(([risk]) => risk);

  before(async function () {
    this.timeout(60_000);
    trained = trainLiquidationModel();
    model = await OnnxModel.load(LIQUIDATION_RISK_MODEL);
  });
  after(() => model.close());

  it("train_again_givesTheCommittedBytes", async () => {
    expect(Buffer.from(trained.onnx).equals(await readFile(LIQUIDATION_RISK_MODEL))).to.equal(true);
    const card = await readFile(new URL("./liquidation-risk.json", LIQUIDATION_RISK_MODEL), "utf8");
    expect(card).to.equal(trained.json);
  });

  it("heldOut_beatsBaseRateAndDistanceRule", () => {
    const { metrics } = trained;
    expect(metrics.accuracy).to.be.greaterThan(metrics.accuracyOfBaseRate + 0.02);
    expect(metrics.logLoss).to.be.lessThan(0.7 * metrics.logLossOfBaseRate);
    expect(metrics.auc).to.be.greaterThan(metrics.aucOfDistanceRule + 0.01);
  });

  it("run_heldOutPositions_agreesWithTheTrainer", async () => {
    const { heldOut, network } = trained;
    const width = FEATURES.length;
    const result = await risks(
      Array.from({ length: 500 }, (_, row) => Array.from(heldOut.features.subarray(row * width, (row + 1) * width))),
    );
    // not `closeTo`, which Hardhat's matchers take for one of integers
    result.forEach((risk, row) => {
      expect(Math.abs(risk - network.predict(heldOut.features, row * width))).to.be.below(1e-5);
    });
  });

  it("run_riskierPositions_scoreHigher", async () => {
    const calm = { ltv: 0.6, threshold: 0.8, volatility: 0.8, days: 30 };
    const row = (p: typeof calm) => [p.ltv, p.threshold, p.volatility, 0.01, 0, 0.05, 4, p.days];
    const [base = 0, leveraged = 0, wild = 0, neglected = 0] = await risks([
      row(calm),
      row({ ...calm, ltv: 0.75 }),
      row({ ...calm, volatility: 1.6 }),
      row({ ...calm, days: 150 }),
    ]);
    expect(leveraged).to.be.greaterThan(base);
    expect(wild).to.be.greaterThan(base);
    expect(neglected).to.be.greaterThan(base);
  });
});
