import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { type Lane, quantile, runSlice } from "./load/LoadGenerator.ts";
import { readRequests } from "./load/requests.ts";

interface Options {
  url: string;
  requests: string;
  connections: number;
  first: number;
  seconds: number;
  json?: true;
}

/** What a run left, and where its place in the sequence is kept. */
interface LaneFile {
  lane: Lane;
  placeFile?: string;
  place: number;
}

/** A folder has `0.req`, `1.req`, … for each connection, sent once and in order; a file is sent by all, again and again. */
function openLane(requests: string, index: number): LaneFile {
  if (!statSync(requests).isDirectory()) return { lane: { requests: readRequests(requests), repeat: true }, place: 0 };
  const file = join(requests, `${index}.req`);
  const placeFile = `${file}.next`;
  const place = existsSync(placeFile) ? Number(readFileSync(placeFile, "utf8")) : 0;
  return { lane: { requests: readRequests(file).slice(place) }, placeFile, place };
}

const options = new Command("load")
  .description("Replays requests made before against a server, one at a time per connection.")
  .requiredOption("--url <url>", "base URL")
  .requiredOption(
    "--requests <path>",
    "folder of 0.req, 1.req, … (one per connection; the place in each is kept in N.req.next), or one file for all, repeated",
  )
  .option("--connections <n>", "how many at once", Number, 1)
  .option("--first <n>", "first connection's file", Number, 0)
  .option("--seconds <s>", "how long", Number, 3)
  .option("--json", "print JSON")
  .parse()
  .opts<Options>();

const files = Array.from({ length: options.connections }, (_, i) => openLane(options.requests, options.first + i));
const result = await runSlice({ url: options.url, lanes: files.map(({ lane }) => lane), seconds: options.seconds });
files.forEach(({ placeFile, place }, i) => placeFile && writeFileSync(placeFile, String(place + result.sent[i]!)));

const { latenciesMs, seconds, failed, exhausted, firstFailure } = result;
const summary = {
  p50Ms: quantile(latenciesMs, 0.5),
  p99Ms: quantile(latenciesMs, 0.99),
  rps: latenciesMs.length / seconds,
  answers: latenciesMs.length,
  non200: failed,
  exhausted,
};
if (options.json) console.log(JSON.stringify(summary));
else console.table(summary);
if (firstFailure !== undefined) console.error(firstFailure.slice(0, 2_000));
process.exitCode = failed > 0 || exhausted > 0 ? 1 : 0;
