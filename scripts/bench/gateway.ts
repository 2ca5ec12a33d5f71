import { writeFileSync } from "node:fs";
import { Command } from "commander";
import { bare, calibration, portkey } from "./contenders/unpaid.ts";
import type { Contender } from "./harness/Contender.ts";
import { startServer } from "./harness/childProcess.ts";
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
  .option("--only <names...>", "measure these")
  .option("--patience <s>", "how long a slice waits for other programs to be quiet", Number, 5)
  .option("--json <file>", 'write { "bare@1": { p50Ms, p99Ms, rps }, … }')
  .parse()
  .opts<Options>();

const progress = (line: string): void => console.error(line);
const upstream = await startServer(new URL("upstream.ts", import.meta.url));
const all: Contender[] = [calibration(upstream.url), bare(upstream.url), portkey(upstream.url)];
const unknown = options.only?.filter((name) => !all.some((contender) => contender.name === name)) ?? [];
if (unknown.length > 0)
  throw new RangeError(`Expected --only of ${all.map(({ name }) => name).join(", ")}, found ${unknown.join(", ")}`);
const contenders = all.filter(({ name }) => options.only?.includes(name) ?? true);

try {
  const cells = await measure({
    contenders,
    slices: options.slices,
    seconds: options.seconds,
    patienceMs: options.patience * 1_000,
    progress,
  });
  console.log(
    `${machineFacts()}; ${options.slices} slices of ${options.seconds} s per cell, medians; every answer was 200`,
  );
  console.log(cellTable(contenders, cells));
  console.log(targetTable(cells).text);
  if (options.json) writeFileSync(options.json, `${JSON.stringify(jsonOf(cells), null, 2)}\n`);
} finally {
  await upstream.stop();
}
