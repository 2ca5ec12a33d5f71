/**
 * Trains the liquidation-risk model and writes it with its model card to simulator/models/.
 *
 *     tsx scripts/trainLiquidationModel.ts            train and write
 *     tsx scripts/trainLiquidationModel.ts --check    train and compare with what is committed; exit code 1 if a byte differs
 */
import { readFile, writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";

import { trainLiquidationModel } from "./training/liquidationModel.ts";

const { values } = parseArgs({ options: { check: { type: "boolean", default: false } } });
const started = performance.now();
const { onnx, json, metrics } = trainLiquidationModel();
const seconds = ((performance.now() - started) / 1000).toFixed(1);

console.log(`trained in ${seconds} s, ${onnx.length} bytes; on ${metrics.rows} held-out positions:`);
console.log(`  accuracy ${metrics.accuracy} (always the commoner answer: ${metrics.accuracyOfBaseRate})`);
console.log(`  AUC      ${metrics.auc} (distance over volatility: ${metrics.aucOfDistanceRule}; guessing: 0.5)`);
console.log(
  `  log loss ${metrics.logLoss} (always the base rate of ${metrics.baseRate}: ${metrics.logLossOfBaseRate})`,
);

const files = [
  { url: new URL("../simulator/models/liquidation-risk.onnx", import.meta.url), bytes: Buffer.from(onnx) },
  { url: new URL("../simulator/models/liquidation-risk.json", import.meta.url), bytes: Buffer.from(json) },
];
for (const { url, bytes } of files) {
  const name = url.pathname.split("/").at(-1) ?? "";
  if (!values.check) {
    await writeFile(url, bytes);
    console.log(`wrote ${name}`);
  } else if (bytes.equals(await readFile(url))) {
    console.log(`${name} is what the script makes`);
  } else {
    console.error(`${name} differs from what the script makes: run it without --check and commit the result`);
    process.exitCode = 1;
  }
}
