import type { Settlement } from "./Contender.ts";
import type { Started } from "./measure.ts";

/** What became of the money of what a contender sold. */
export interface SettledContender extends Settlement {
  name: string;
  /** To the generator and to users. */
  sold: number;
  drainSeconds: number;
}

/** Has every contender that is paid bring to the chain what is left. */
export async function settlements(running: readonly Started[]): Promise<SettledContender[]> {
  const rows: SettledContender[] = [];
  for (const { name, server, sold, drainSeconds } of running) {
    if (server.settlement === undefined) continue;
    const startedAt = performance.now();
    const settlement = await server.settlement();
    rows.push({ ...settlement, name, sold, drainSeconds: drainSeconds + (performance.now() - startedAt) / 1_000 });
  }
  return rows;
}
