import { log } from "./exactMath.ts";

/** How well scores in [0, 1] tell positives from negatives, beside what knowing only the base rate would give. */
export interface Metrics {
  rows: number;
  /** Share of positives. */
  baseRate: number;
  /** Share of rows on the right side of 0.5. */
  accuracy: number;
  /** Accuracy of always giving the commoner answer. */
  accuracyOfBaseRate: number;
  /** Chance that a random positive scores above a random negative; 0.5 is guessing. */
  auc: number;
  /** Mean log loss in nats. */
  logLoss: number;
  /** Log loss of always answering the base rate. */
  logLossOfBaseRate: number;
}

/** Computes every metric, rounded to five digits so that they can be committed. */
export function measure(scores: Float64Array, labels: Uint8Array): Metrics {
  const rows = labels.length;
  let positives = 0;
  let right = 0;
  let loss = 0;
  labels.forEach((label, row) => {
    const score = Math.min(1 - 1e-12, Math.max(1e-12, scores[row] ?? 0));
    positives += label;
    if (score >= 0.5 === (label === 1)) right += 1;
    loss -= log(label === 1 ? score : 1 - score);
  });
  const baseRate = positives / rows;
  return {
    rows,
    baseRate: round(baseRate),
    accuracy: round(right / rows),
    accuracyOfBaseRate: round(Math.max(baseRate, 1 - baseRate)),
    auc: round(areaUnderCurve(scores, labels)),
    logLoss: round(loss / rows),
    logLossOfBaseRate: round(-baseRate * log(baseRate) - (1 - baseRate) * log(1 - baseRate)),
  };
}

/** Area under the ROC curve from ranks (Mann–Whitney), ties counting half. */
export function areaUnderCurve(scores: Float64Array, labels: Uint8Array): number {
  const order = Array.from(scores.keys()).sort((a, b) => (scores[a] ?? 0) - (scores[b] ?? 0));
  let positives = 0;
  let rankSum = 0;
  for (let start = 0; start < order.length;) {
    let end = start;
    while (end < order.length && scores[order[end] ?? 0] === scores[order[start] ?? 0]) end += 1;
    const rank = (start + 1 + end) / 2;
    for (const row of order.slice(start, end)) {
      if (labels[row] === 1) {
        positives += 1;
        rankSum += rank;
      }
    }
    start = end;
  }
  const negatives = labels.length - positives;
  return (rankSum - (positives * (positives + 1)) / 2) / (positives * negatives);
}

function round(value: number): number {
  return Math.round(value * 1e5) / 1e5;
}
