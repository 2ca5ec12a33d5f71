import Table from "cli-table3";
import type { Cell, CellKey, Contender } from "./Contender.ts";
import { CONCURRENCIES } from "./Contender.ts";
import type { SettledContender } from "./settlements.ts";
import type { LiveFigures } from "./measureLive.ts";

const PLAIN = { head: [], border: [], compact: true };

/** One line per contender, with both concurrencies. */
export function cellTable(contenders: readonly Contender[], cells: ReadonlyMap<CellKey, Cell>): string {
  const columns = CONCURRENCIES.flatMap((c) => [`c=${c} p50 ms`, "p99 ms", "req/s", "min–max", "CPU µs"]);
  const table = new Table({
    head: ["", ...columns],
    colAligns: ["left", ...columns.map(() => "right" as const)],
    style: PLAIN,
  });
  for (const { name, title } of contenders) {
    const figures = CONCURRENCIES.flatMap((c) => {
      const cell = cells.get(`${name}@${c}`);
      if (cell === undefined) return ["–", "–", "–", "–", "–"];
      const { p50Ms, p99Ms, rps, rpsRange, cpuMicros } = cell;
      return [
        p50Ms.toFixed(2),
        p99Ms.toFixed(2),
        whole(rps),
        rpsRange.map(whole).join("–"),
        cpuMicros === undefined ? "–" : whole(cpuMicros),
      ];
    });
    table.push([`${name}: ${title}`, ...figures]);
  }
  return table.toString();
}

const whole = (value: number): string => Math.round(value).toLocaleString("en-US");

/** What the JSON file holds. */
export const jsonOf = (cells: ReadonlyMap<CellKey, Cell>): Record<string, Pick<Cell, "p50Ms" | "p99Ms" | "rps">> =>
  Object.fromEntries([...cells].map(([key, { p50Ms, p99Ms, rps }]) => [key, { p50Ms, p99Ms, rps }]));

/** A ratio that has to be reached within one run. */
interface Target {
  what: string;
  over: CellKey;
  under: CellKey;
  of: "rps" | "p50Ms";
  atLeast?: number;
  atMost?: number;
}

export const TARGETS: readonly Target[] = [
  { what: "channels against Portkey", over: "batch-settlement@16", under: "portkey@16", of: "rps", atLeast: 1.7 },
  { what: "channels against the bare proxy", over: "batch-settlement@16", under: "bare@16", of: "rps", atLeast: 0.2 },
  {
    what: "channels against Portkey, latency",
    over: "batch-settlement@1",
    under: "portkey@1",
    of: "p50Ms",
    atMost: 1.5,
  },
  { what: "enclave, Merkle batches, against Portkey", over: "tee@16", under: "portkey@16", of: "rps", atLeast: 1.3 },
  { what: "exact against the stock packages", over: "exact@16", under: "stock-exact@16", of: "rps", atLeast: 2 },
  {
    what: "exact against the stock packages, one by one",
    over: "exact@1",
    under: "stock-exact@1",
    of: "rps",
    atLeast: 2,
  },
  { what: "upto against the stock packages", over: "upto@16", under: "stock-upto@16", of: "rps", atLeast: 2 },
  { what: "upto against the stock packages, one by one", over: "upto@1", under: "stock-upto@1", of: "rps", atLeast: 2 },
];

/** The targets of which both sides were measured. */
export function targetTable(cells: ReadonlyMap<CellKey, Cell>): { text: string; missed: number } {
  const table = new Table({
    head: ["ratio", "of", "found", "target", ""],
    colAligns: ["left", "left", "right", "right", "left"],
    style: PLAIN,
  });
  let missed = 0;
  for (const { what, over, under, of, atLeast, atMost } of TARGETS) {
    const [a, b] = [cells.get(over), cells.get(under)];
    if (a === undefined || b === undefined) continue;
    const ratio = a[of] / b[of];
    const reached = ratio >= (atLeast ?? 0) && ratio <= (atMost ?? Infinity);
    if (!reached) missed++;
    const target = atLeast === undefined ? `≤ ${atMost}` : `≥ ${atLeast}`;
    table.push([
      what,
      `${of === "rps" ? "req/s" : "p50"} ${over} / ${under}`,
      ratio.toFixed(2),
      target,
      reached ? "reached" : "MISSED",
    ]);
  }
  return { text: table.length === 0 ? "" : table.toString(), missed };
}

/** What users see, by their client. */
export function liveTable(figures: readonly LiveFigures[]): string {
  const table = new Table({
    head: ["server", "client", "first ms", "p50 ms", "p99 ms", "req/s"],
    colAligns: ["left", "left", "right", "right", "right", "right"],
    style: PLAIN,
  });
  for (const { name, client, firstMs, p50Ms, p99Ms, rps } of figures) {
    table.push([name, client, firstMs.toFixed(0), p50Ms.toFixed(2), p99Ms.toFixed(2), whole(rps)]);
  }
  return table.toString();
}

/** Where the money is. */
export function settlementTable(rows: readonly SettledContender[]): string {
  const table = new Table({
    head: ["server", "answers sold", "on chain", "not yet", "seconds it took between slices and after"],
    colAligns: ["left", "right", "right", "right", "right"],
    style: PLAIN,
  });
  for (const { name, sold, onChain, unit, waiting, drainSeconds } of rows) {
    table.push([name, whole(sold), `${whole(onChain)} ${unit}`, whole(waiting), drainSeconds.toFixed(1)]);
  }
  return table.toString();
}
