import { createHash } from "node:crypto";

import { encodeOnnx } from "./encodeOnnx.ts";
import { type Dataset, FEATURES, HORIZON_DAYS, samplePositions } from "./lendingPositions.ts";
import { areaUnderCurve, measure, type Metrics } from "./metrics.ts";
import { Mlp } from "./Mlp.ts";
import { SeededRandom } from "../../simulator/models/SeededRandom.ts";

export const SEED = 0x4f5047; // "OPG"
const TRAINING_ROWS = 40_000;
const HELD_OUT_ROWS = 10_000;
const WIDTHS = [FEATURES.length, 32, 16, 1];
const TRAINING = { epochs: 12, batchSize: 64, learningRate: 0.004, weightDecay: 1e-4 };

/** Everything the training makes: the two files to commit, and what a test wants to look at. */
export interface TrainedModel {
  onnx: Uint8Array;
  /** The model card, as text. */
  json: string;
  /** The network as stored: raw features in, float32 parameters. */
  network: Mlp;
  heldOut: Dataset;
  metrics: Metrics & { aucOfDistanceRule: number };
}

/** Makes the data, trains, folds the normalisation into the first layer and measures what is stored. Deterministic. */
export function trainLiquidationModel(): TrainedModel {
  const training = samplePositions(new SeededRandom(SEED), TRAINING_ROWS);
  const heldOut = samplePositions(new SeededRandom(SEED + 1), HELD_OUT_ROWS);

  const { mean, deviation } = columnStatistics(training);
  const random = new SeededRandom(SEED + 2);
  const network = Mlp.initialise(WIDTHS, random);
  network.train(normalise(training, mean, deviation), training.labels, TRAINING, random);

  const stored = network.foldNormalisation(mean, deviation).toFloat32();
  const width = FEATURES.length;
  const scores = new Float64Array(heldOut.rows).map((_, row) => stored.predict(heldOut.features, row * width));
  const byDistance = heldOut.distance.map((distance) => -distance);
  const metrics = {
    ...measure(scores, heldOut.labels),
    aucOfDistanceRule: Math.round(areaUnderCurve(byDistance, heldOut.labels) * 1e5) / 1e5,
  };

  const description =
    `Probability that a collateralised loan is liquidated within ${HORIZON_DAYS} days. ` +
    "Trained on simulated positions and price paths: a demonstration, not a risk tool for real money.";
  const onnx = encodeOnnx(stored, {
    name: "liquidation-risk",
    version: 1,
    description,
    input: { name: "positions", description: `One position a row: ${FEATURES.map(({ name }) => name).join(", ")}.` },
    output: { name: "risk", description: "Probability of liquidation, one a row." },
    metadata: {
      features: FEATURES.map(({ name }) => name).join(","),
      units: FEATURES.map(({ unit }) => unit).join(","),
      horizonDays: String(HORIZON_DAYS),
      seed: String(SEED),
    },
  });
  const card = {
    name: "opengradient/liquidation-risk-v1",
    description,
    file: "liquidation-risk.onnx",
    sha256: createHash("sha256").update(onnx).digest("hex"),
    architecture: `${WIDTHS.join("-")}, ReLU, sigmoid; normalisation is folded into the first layer, so inputs are raw`,
    input: { name: "positions", type: "float32", shape: ["N", FEATURES.length], features: FEATURES },
    output: { name: "risk", type: "float32", shape: ["N", 1] },
    horizonDays: HORIZON_DAYS,
    training: { seed: SEED, rows: TRAINING_ROWS, ...TRAINING },
    heldOut: metrics,
  };
  const json = JSON.stringify(card, null, 2).replace(
    /\[\s+([^[\]{}]*?)\s+\]/g,
    (_, items: string) => `[${items.replace(/\s+/g, " ")}]`,
  );
  return { onnx, json: `${json}\n`, network: stored, heldOut, metrics };
}

function columnStatistics({ rows, features }: Dataset): { mean: Float64Array; deviation: Float64Array } {
  const width = FEATURES.length;
  const mean = new Float64Array(width);
  const deviation = new Float64Array(width);
  features.forEach((value, i) => (mean[i % width] = (mean[i % width] ?? 0) + value / rows));
  features.forEach((value, i) => {
    deviation[i % width] = (deviation[i % width] ?? 0) + (value - (mean[i % width] ?? 0)) ** 2 / rows;
  });
  return { mean, deviation: deviation.map(Math.sqrt) };
}

function normalise({ features }: Dataset, mean: Float64Array, deviation: Float64Array): Float64Array {
  return features.map((value, i) => (value - (mean[i % mean.length] ?? 0)) / (deviation[i % mean.length] ?? 1));
}
