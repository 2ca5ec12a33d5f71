import { existsSync, readFileSync } from "node:fs";
import { availableParallelism, cpus, totalmem } from "node:os";

const TICK_MS = 10;
const SAMPLE_MS = 200;

/** Where the figures come from. */
export function machineFacts(): string {
  const model = cpus()[0]?.model ?? "unknown processor";
  const memory = (totalmem() / 2 ** 30).toFixed(0);
  return `${availableParallelism()} cores of ${model}, ${memory} GiB, ${process.platform}, Node ${process.versions.node}`;
}

/** CPU time a process has used, ms; undefined where /proc does not tell. */
export function cpuMillis(pid: number): number | undefined {
  const file = `/proc/${pid}/stat`;
  if (!existsSync(file)) return undefined;
  const stat = readFileSync(file, "latin1");
  // the name in parentheses may hold spaces; user and system time are fields 14 and 15
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

/** CPU time all cores were busy, ms. */
function busyMillis(): number {
  return cpus().reduce((sum, { times }) => sum + times.user + times.nice + times.sys + times.irq, 0);
}

/** Waits until less than `share` of all cores is busy. @returns the share that was busy last. */
export async function quietMachine(share: number, patienceMs: number): Promise<number> {
  for (const endsAt = Date.now() + patienceMs; ;) {
    const [busyBefore, before] = [busyMillis(), performance.now()];
    await new Promise((resolve) => setTimeout(resolve, SAMPLE_MS));
    const busy = (busyMillis() - busyBefore) / (performance.now() - before) / availableParallelism();
    if (busy < share || Date.now() >= endsAt) return busy;
  }
}
