import { writeFileSync } from "node:fs";
import { Command } from "commander";
import { startBench } from "./contenders/startBench.ts";
import { CONTENDER_NAMES } from "./contenders/names.ts";
import { machineFacts } from "./harness/machine.ts";
import { measure } from "./harness/measure.ts";
import { cellTable, jsonOf, targetTable } from "./harness/report.ts";

interface Options {
  seconds: number;
  slices: number;
  only?: string[];
  patience: number;
  json?: string;
}

const options = new Command("bench:gateway")
  .description(
    "Measures gateways side by side on loopback, paid and unpaid, each in its own process, in interleaved slices.",
  )
  .option("--seconds <s>", "length of a slice", Number, 1.2)
  .option("--slices <n>", "slices per cell; figures are medians over them", Number, 4)
  .option("--only <names...>", `measure these of ${CONTENDER_NAMES.join(", ")}`)
  .option("--patience <s>", "how long a slice waits for other programs to be quiet", Number, 5)
  .option("--json <file>", 'write { "bare@1": { p50Ms, p99Ms, rps }, … }')
  .parse()
  .opts<Options>();

const unknown = options.only?.filter((name) => !CONTENDER_NAMES.some((known) => known === name)) ?? [];
if (unknown.length > 0) {
  throw new RangeError(`Expected --only of ${CONTENDER_NAMES.join(", ")}, found ${unknown.join(", ")}`);
}
const names = CONTENDER_NAMES.filter((name) => options.only?.includes(name) ?? true);
const progress = (line: string): void => console.error(line);

const bench = await startBench(names, progress);
try {
  const cells = await measure({
    contenders: bench.contenders,
    slices: options.slices,
    seconds: options.seconds,
    patienceMs: options.patience * 1_000,
    progress,
  });
  const how = `${options.slices} slices of ${options.seconds} s per cell, medians`;
  console.log(`${machineFacts()}; ${how}; every answer was 200`);
  console.log(cellTable(bench.contenders, cells));
  console.log(targetTable(cells).text);
  if (options.json) writeFileSync(options.json, `${JSON.stringify(jsonOf(cells), null, 2)}\n`);
} finally {
  await bench.stop();
}
