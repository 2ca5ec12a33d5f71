import type { LiveClientKind, LiveResult, LiveRun } from "../load/liveClient.ts";
import { quantile } from "../load/LoadGenerator.ts";
import { startServer } from "./childProcess.ts";
import { drain, type Started } from "./measure.ts";

/** What one user sees who makes one call after the other. */
export interface LiveFigures {
  name: string;
  client: LiveClientKind;
  p50Ms: number;
  p99Ms: number;
  rps: number;
  /** The first call, which may open a channel. */
  firstMs: number;
}

const WARM_UP_SECONDS = 0.5;

/** Measures contenders through the clients that users have, each in a process of its own, which signs while it runs. */
export async function measureLive(
  running: readonly Started[],
  seconds: number,
  progress: (line: string) => void,
): Promise<LiveFigures[]> {
  const figures: LiveFigures[] = [];
  for (const started of running) {
    const { name, server } = started;
    for (const live of server.live) {
      progress(`live: ${live.kind} to ${name}`);
      const client = await startServer(new URL("../load/liveClient.ts", import.meta.url));
      try {
        const ask = (forSeconds: number): Promise<LiveResult> => {
          const run: LiveRun = { ...live, seconds: forSeconds };
          return client.ask<LiveResult>(run);
        };
        const { firstMs } = await ask(WARM_UP_SECONDS);
        const { latenciesMs, seconds: took } = await ask(seconds);
        figures.push({
          name,
          client: live.kind,
          p50Ms: quantile(latenciesMs, 0.5),
          p99Ms: quantile(latenciesMs, 0.99),
          rps: latenciesMs.length / took,
          firstMs,
        });
      } finally {
        await client.stop();
      }
      await drain(started);
    }
  }
  return figures;
}
