import { writeFileSync } from "node:fs";
import { Command } from "commander";
import { startBench } from "./contenders/startBench.ts";
import { CONTENDER_NAMES } from "./contenders/names.ts";
import { machineFacts } from "./harness/machine.ts";
import { measure, type Started } from "./harness/measure.ts";
import { measureLive } from "./harness/measureLive.ts";
import { settlements } from "./harness/settlements.ts";
import { cellTable, jsonOf, liveTable, settlementTable, targetTable } from "./harness/report.ts";

interface Options {
  seconds: number;
  slices: number;
  only?: string[];
  patience: number;
  live: boolean;
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
  .option("--no-live", "leave out the clients that sign while they run")
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
const running: Started[] = [];
try {
  for (const contender of bench.contenders) {
    progress(`starting ${contender.name}`);
    running.push({ name: contender.name, server: await contender.start(), sold: 0, drainSeconds: 0 });
  }
  const cells = await measure({
    running,
    slices: options.slices,
    seconds: options.seconds,
    patienceMs: options.patience * 1_000,
    progress,
  });
  const live = options.live ? await measureLive(running, options.seconds, progress) : [];

  const how = `${options.slices} slices of ${options.seconds} s per cell, medians`;
  console.log(`${machineFacts()}; ${how}; every answer was 200`);
  console.log(cellTable(bench.contenders, cells));
  console.log(targetTable(cells).text);
  if (live.length > 0) console.log(liveTable(live));
  console.log(settlementTable(await settlements(running)));
  if (options.json) writeFileSync(options.json, `${JSON.stringify(jsonOf(cells), null, 2)}\n`);
} finally {
  await Promise.all(running.map(({ server }) => server.stop()));
  await bench.stop();
}
